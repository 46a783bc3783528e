"""Downloads and Debian packages: fetched whole, or said to be unreachable."""

import io
import socket
import tarfile
import threading
from pathlib import Path

import pytest

from tests.trainables.data.helpers import build, needs_dpkg, program
from trainables import UserError
from trainables.data.loading import download


def test_a_missing_file_on_the_host_is_unreachable(tmp_path: Path, server: tuple[str, Path]) -> None:
    with pytest.raises(download.Unreachable, match="HTTP 404"):
        download.download(f"{server[0]}nothing", tmp_path / "file")
    assert list(tmp_path.glob("file*")) == []


def test_a_download_that_breaks_off_leaves_nothing_and_says_so(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + b"x" * 10)

        serving = threading.Thread(target=answer)
        serving.start()
        with pytest.raises(download.Unreachable, match=r"cannot be reached|broke off"):
            download.download(f"http://127.0.0.1:{server.getsockname()[1]}/file", tmp_path / "file")
        serving.join()
    assert list(tmp_path.iterdir()) == []


def test_an_archive_cannot_write_outside_its_folder(tmp_path: Path) -> None:
    archive = tmp_path / "data.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        about = tarfile.TarInfo("../outside")
        about.size = 1
        tar.addfile(about, io.BytesIO(b"x"))
    with pytest.raises(UserError, match="outside"):
        download.unpack(archive, tmp_path / "folder")
    assert not (tmp_path / "outside").exists()


@needs_dpkg
def test_a_debian_package_is_fetched_and_unpacked(tmp_path: Path, shelf: Path) -> None:
    build("letters", {"usr/share/letters": "abc"}, shelf)
    (tmp_path / "here").mkdir()
    root = download.deb_package("letters", tmp_path / "here")
    assert (root / "usr/share/letters").read_text() == "abc"


def test_a_debian_package_that_apt_does_not_know_is_unreachable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path / "bin" / "apt-get", "echo first >&2; echo 'E: Unable to locate package none' >&2; exit 100")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(download.Unreachable, match=r"apt-get cannot fetch none \(E: Unable to locate package none\)"):
        download.deb_package("none", tmp_path)


def test_without_apt_a_debian_package_is_unreachable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(download.Unreachable, match="needs `apt-get`, which is not installed"):
        download.deb_package("none", tmp_path)
