"""What several tests of data sets need: refusals, Debian packages, and folders of images."""

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest
from torch import Tensor

from trainables.data import Data, ImageFolder, cifar10
from trainables.data.loading.held_out import Arrays
from trainables.errors import UserError

NOWHERE = "http://127.0.0.1:9/"


def refused(data: Data, data_dir: Path) -> str:
    """The one line that loading fails with."""
    with pytest.raises(UserError) as caught:
        data.load(data_dir)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def pass_for_cifar10(arrays: Arrays, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have these arrays accepted as CIFAR-10's."""
    monkeypatch.setattr(
        cifar10,
        "SHA256",
        {name: hashlib.sha256(array.tobytes()).hexdigest() for name, array in arrays._asdict().items()},
    )


needs_dpkg = pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="builds Debian packages")


def program(path: Path, script: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def build(package: str, files: dict[str, str | bytes], shelf: Path) -> None:
    """A real package on a shelf; files in usr/bin can be run."""
    root = shelf / f"{package}-root"
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        path.chmod(0o755 if name.startswith("usr/bin") else 0o644)
    (root / "DEBIAN").mkdir()
    (root / "DEBIAN" / "control").write_text(
        f"Package: {package}\nVersion: 1\nArchitecture: all\nMaintainer: nobody <nobody@localhost>\nDescription: test\n"
    )
    subprocess.run(["dpkg-deb", "-b", root, shelf / f"{package}_1_all.deb"], check=True, capture_output=True)


def description(folder: Path, train_samples: int = 24, validation_samples: int = 12) -> ImageFolder:
    return ImageFolder(str(folder), 16, 3, train_samples, validation_samples)


def colour_of(inputs: Tensor) -> list[int]:
    """The classes that images show: blue 0, green 1, red 2."""
    return (2 - inputs.mean(dim=(2, 3)).argmax(dim=1)).tolist()
