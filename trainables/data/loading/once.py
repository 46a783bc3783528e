"""Files and folders in the data directory that are made only once."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from filelock import FileLock

from trainables.errors import UserError


def once(path: Path, make: Callable[[Path], object]) -> Path:
    """Make a file or folder if it is missing, by one process at a time, completely or not at all; return its path.

    Args:
        path: the file or folder; the folder that contains it is made too.
        make: a function that makes it at the path that it is called with: the same name in a temporary folder.

    Raises:
        UserError: the folder that contains it cannot be written.
    """
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(path.with_suffix(".lock")):
                if not path.exists():
                    with TemporaryDirectory(dir=path.parent) as folder:
                        make(Path(folder) / path.name)
                        (Path(folder) / path.name).replace(path)
    except OSError as error:
        raise UserError(f"data directory {path.parent}: cannot be written ({error.strerror or error})") from error
    return path
