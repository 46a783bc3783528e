"""The folder that a report is written into."""

from pathlib import Path
from tempfile import TemporaryDirectory

from trainables.errors import UserError


def check_writable(folder: Path) -> None:
    """Refuse a results folder that cannot be made or written, and leave nothing behind.

    Raises:
        UserError: the folder cannot be written.
    """
    try:
        there = next(each for each in (folder, *folder.absolute().parents) if each.exists())
        with TemporaryDirectory(dir=there):
            pass
    except OSError as error:
        raise UserError(f"results directory {folder}: cannot be written ({error.strerror})") from error
