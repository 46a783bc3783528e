"""MNIST and Fashion-MNIST: from mirrors, from Debian, from files, and refused in one line."""

import gzip
import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.trainables.data.helpers import NOWHERE, build, needs_dpkg, refused
from trainables.data import MNIST, FashionMNIST, mnist
from trainables.data.loading.held_out import Arrays
from trainables.errors import UserError


def idx(array: np.ndarray) -> bytes:
    """An array of uint8 as the IDX format has it: a magic number, the sizes, the values."""
    header = [0x0800 + array.ndim, *array.shape]
    return b"".join(size.to_bytes(4, "big") for size in header) + array.tobytes()


@pytest.fixture
def digits() -> Arrays:
    draw = np.random.default_rng(0)
    return Arrays(
        draw.integers(0, 256, (6, 28, 28, 1), np.uint8),
        np.arange(6, dtype=np.uint8),
        draw.integers(0, 256, (2, 28, 28, 1), np.uint8),
        np.arange(2, dtype=np.uint8),
    )


def write_packed(arrays: Arrays, folder: Path) -> list[tuple[str, str]]:
    """The four compressed files; their names and md5."""
    folder.mkdir(exist_ok=True)
    resources = []
    for name, array in zip(mnist.FILES, arrays, strict=True):
        packed = gzip.compress(idx(array.squeeze(-1) if array.ndim == 4 else array))
        (folder / f"{name}.gz").write_bytes(packed)
        resources.append((f"{name}.gz", hashlib.md5(packed).hexdigest()))
    return resources


def test_mnist_and_fashion_mnist_say_their_sizes_and_shapes() -> None:
    assert (MNIST().classes, MNIST().input_shape, MNIST().train_samples) == (10, (1, 28, 28), 50_000)
    assert FashionMNIST(60_000, judge_on="test").train_samples == 60_000
    with pytest.raises(UserError, match=r"FashionMNIST train_samples 50001: must be 1 to 50,000"):
        FashionMNIST(50_001)


def test_idx_files_decode_to_what_was_put_in(tmp_path: Path, digits: Arrays) -> None:
    write_packed(digits, tmp_path / "packed")
    mnist.unpack(tmp_path / "packed", tmp_path / "raw")
    for ours, theirs in zip(mnist.read(tmp_path / "raw"), digits, strict=True):
        assert ours.dtype == np.uint8
        assert (ours == theirs).all()


def test_mnist_comes_from_the_first_mirror_that_has_it_right(
    tmp_path: Path, digits: Arrays, server: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from torchvision.datasets import MNIST as Official

    url, folder = server
    resources = write_packed(digits, folder / "right")
    write_packed(digits._replace(train_labels=digits.train_labels[::-1].copy()), folder / "wrong")
    monkeypatch.setattr(Official, "resources", resources)
    monkeypatch.setattr(Official, "mirrors", [NOWHERE, f"{url}wrong/", f"{url}right/"])
    mnist.fetch_official("MNIST", tmp_path / "raw")
    assert (mnist.read(tmp_path / "raw").train_labels == digits.train_labels).all()
    monkeypatch.setattr(Official, "mirrors", [f"{url}wrong/"])
    message = refused(MNIST(), tmp_path / "data")
    assert "is another file (md5" in message
    assert f"is not in {tmp_path / 'data'}" in message


def test_mnist_holds_out_the_last_training_images(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    labels = draw.integers(0, 10, 70_000).astype(np.uint8)
    images = np.zeros((70_000, 28, 28, 1), np.uint8)
    images[:, 0, 0, 0] = labels
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name, array in zip(
        mnist.FILES, (images[:60_000, ..., 0], labels[:60_000], images[60_000:, ..., 0], labels[60_000:]), strict=True
    ):
        (raw / name).write_bytes(idx(array))
    loaded = MNIST(train_samples=1000).load(tmp_path)
    for split, rows in (
        (loaded.train, slice(1000)),
        (loaded.validation, slice(50_000, 60_000)),
        (loaded.test, slice(60_000, 70_000)),
    ):
        assert (split.labels.numpy() == labels[rows]).all()
        assert torch.equal(split.images[:, 0, 0, 0].long(), split.labels)
    assert not loaded.flip
    assert loaded.crop_padding == 0


def test_other_files_are_not_mnist(tmp_path: Path, digits: Arrays) -> None:
    write_packed(digits, tmp_path / "packed")
    (tmp_path / "MNIST").mkdir()
    mnist.unpack(tmp_path / "packed", tmp_path / "MNIST" / "raw")
    assert "has 6 images where MNIST has 60,000" in refused(MNIST(), tmp_path)
    (tmp_path / "MNIST" / "raw" / mnist.FILES[0]).write_bytes(b"half a file")
    assert "is damaged" in refused(MNIST(), tmp_path)
    (tmp_path / "MNIST" / "raw" / mnist.FILES[1]).unlink()
    assert "is damaged" in refused(MNIST(), tmp_path)


def test_installed_fashion_mnist_needs_no_host(tmp_path: Path, digits: Arrays, monkeypatch: pytest.MonkeyPatch) -> None:
    write_packed(digits, tmp_path / "installed")
    monkeypatch.setattr(mnist, "INSTALLED", tmp_path / "installed")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "has 6 images where FashionMNIST has 60,000" in refused(FashionMNIST(), tmp_path / "data")
    for ours, theirs in zip(mnist.read(tmp_path / "data" / "FashionMNIST" / "raw"), digits, strict=True):
        assert (ours == theirs).all()


def test_other_pixels_are_not_fashion_mnist(tmp_path: Path) -> None:
    zeros = np.zeros((60_000, 28, 28), np.uint8)
    raw = tmp_path / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for name, array in zip(mnist.FILES, (zeros, zeros[:, 0, 0], zeros[:10_000], zeros[:10_000, 0, 0]), strict=True):
        (raw / name).write_bytes(idx(array))
    assert "train_images is not Fashion-MNIST's" in refused(FashionMNIST(), tmp_path)


def test_fashion_mnist_out_of_reach_names_all_remedies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision.datasets import FashionMNIST as Official

    monkeypatch.setattr(Official, "mirrors", [NOWHERE])
    monkeypatch.setattr(mnist, "INSTALLED", tmp_path / "nothing")
    monkeypatch.setenv("PATH", str(tmp_path))
    message = refused(FashionMNIST(), tmp_path / "data")
    for words in (str(tmp_path / "data"), NOWHERE, "`apt-get`", "FashionMNIST/raw", "dataset-fashion-mnist"):
        assert words in message


def test_archives_that_broke_are_named(tmp_path: Path) -> None:
    """As an installed package's may be: nobody checked them on their way."""
    folder, raw = tmp_path / "packed", tmp_path / "raw"
    folder.mkdir()
    for damage in (None, b"not gzip", gzip.compress(bytes(1000))[:20]):
        if damage is not None:
            (folder / f"{mnist.FILES[0]}.gz").write_bytes(damage)
        with pytest.raises(UserError, match=f"{mnist.FILES[0]}.gz: is missing or damaged"):
            mnist.unpack(folder, raw)


@needs_dpkg
def test_fashion_mnist_comes_from_debian_where_its_host_is_out_of_reach(
    tmp_path: Path, digits: Arrays, shelf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torchvision.datasets import FashionMNIST as Official

    write_packed(digits, tmp_path / "packed")
    monkeypatch.setattr(Official, "mirrors", [NOWHERE])
    monkeypatch.setattr(mnist, "INSTALLED", Path("/usr/share/nothing"))
    files = {f"usr/share/nothing/{path.name}": path.read_bytes() for path in (tmp_path / "packed").iterdir()}
    build(mnist.DEBIAN_PACKAGE, files, shelf)
    assert "has 6 images where FashionMNIST has 60,000" in refused(FashionMNIST(), tmp_path / "data")
    for ours, theirs in zip(mnist.read(tmp_path / "data" / "FashionMNIST" / "raw"), digits, strict=True):
        assert (ours == theirs).all()
