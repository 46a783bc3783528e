"""Where data sets come from: a web server, a shelf of Debian packages, a folder of pictures."""

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.trainables.data.helpers import program


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A local web server standing in for an official host: its address, and the folder it serves."""
    folder = tmp_path / "www"
    folder.mkdir()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: object, **kwargs: object) -> None:
            super().__init__(*args, directory=str(folder), **kwargs)

        def log_message(self, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{httpd.server_port}/", folder
        httpd.shutdown()
        thread.join()


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of packages that `apt-get download` takes them from."""
    folder = tmp_path / "shelf"
    program(folder / "bin" / "apt-get", f'for last; do :; done; cp "{folder}/$last"_*.deb .')
    monkeypatch.setenv("PATH", str(folder / "bin"), prepend=":")
    return folder


COLOURS = {"blue": (0, 0, 250), "green": (0, 250, 0), "red": (250, 0, 0)}


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Three classes of one colour each, eight images to train on and four to judge on, of various sizes."""
    folder = tmp_path / "pictures"
    draw = np.random.default_rng(0)
    for part, count in (("train", 8), ("val", 4)):
        for name, colour in COLOURS.items():
            (folder / part / name).mkdir(parents=True)
            for number in range(count):
                height, width = draw.integers(20, 60, 2)
                pixels = np.clip(np.array(colour) + draw.integers(-5, 6, (height, width, 3)), 0, 255)
                Image.fromarray(pixels.astype(np.uint8)).save(folder / part / name / f"{number}.jpg")
    return folder
