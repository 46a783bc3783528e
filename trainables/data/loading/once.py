"""Files of the data directory that are made once."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from filelock import FileLock

from trainables.errors import UserError


def once(path: Path, make: Callable[[Path], object]) -> Path:
    """A file or folder, made where it is missing, by one process at a time, whole or not at all.

    Args:
        path: what shall be there; its folder is made too.
        make: writes it to the path it is given, which has the same name in a temporary folder beside it.

    Raises:
        UserError: the folder it belongs in cannot be written.
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
