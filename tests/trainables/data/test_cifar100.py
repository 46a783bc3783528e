"""CIFAR-100: from the official host, kept, and refused in one line."""

import hashlib
import io
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest

from tests.trainables.data.helpers import NOWHERE, refused
from trainables.data import CIFAR100, cifar100
from trainables.data.loading.held_out import Arrays
from trainables.errors import UserError


@pytest.fixture
def photographs(monkeypatch: pytest.MonkeyPatch) -> tuple[Arrays, bytes]:
    """Four training and two test images in CIFAR-100's layout, as torchvision expects them, and their archive."""
    from torchvision.datasets import CIFAR100 as Official

    draw = np.random.default_rng(0)
    images = draw.integers(0, 256, (6, 32, 32, 3), np.uint8)
    labels = draw.integers(0, 100, 6).astype(np.uint8)
    contents: dict[str, object] = {
        part: {"data": images[rows].transpose(0, 3, 1, 2).reshape(-1, 3072), "fine_labels": labels[rows].tolist()}
        for part, rows in (("train", slice(4)), ("test", slice(4, 6)))
    }
    contents["meta"] = {"fine_label_names": [str(number) for number in range(100)]}
    archive, md5 = io.BytesIO(), {}
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        for name, content in contents.items():
            data = pickle.dumps(content)
            md5[name] = hashlib.md5(data).hexdigest()
            info = tarfile.TarInfo(f"{cifar100.FOLDER}/{name}")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    monkeypatch.setattr(Official, "train_list", [["train", md5["train"]]])
    monkeypatch.setattr(Official, "test_list", [["test", md5["test"]]])
    monkeypatch.setattr(Official, "meta", {**Official.meta, "md5": md5["meta"]})
    return Arrays(images[:4], labels[:4], images[4:], labels[4:]), archive.getvalue()


def test_cifar100_comes_from_the_official_host_and_stays(
    tmp_path: Path,
    photographs: tuple[Arrays, bytes],
    server: tuple[str, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    arrays, archive = photographs
    url, folder = server
    (folder / "cifar-100-python.tar.gz").write_bytes(archive)
    monkeypatch.setattr(cifar100, "OFFICIAL_URL", f"{url}cifar-100-python.tar.gz")
    first = cifar100.load_arrays(tmp_path / "data")
    monkeypatch.setattr(cifar100, "OFFICIAL_URL", NOWHERE)
    for found in (first, cifar100.load_arrays(tmp_path / "data")):
        assert all((ours == theirs).all() for ours, theirs in zip(found, arrays, strict=True))
    images = CIFAR100(train_samples=3, judge_on="test").load(tmp_path / "data")
    assert images.train.labels.tolist() == arrays.train_labels[:3].tolist()
    assert images.validation.labels.tolist() == arrays.test_labels.tolist()
    assert (images.train.images[2].permute(1, 2, 0).numpy() == arrays.train_images[2]).all()


def test_damaged_cifar100_files_say_so(tmp_path: Path, photographs: tuple[Arrays, bytes]) -> None:
    (tmp_path / "cifar-100-python.tar.gz").write_bytes(photographs[1])
    cifar100.load_arrays(tmp_path)
    (tmp_path / cifar100.FOLDER / "train").write_bytes(b"half a file")
    assert "is damaged" in refused(CIFAR100(), tmp_path)


def test_cifar100_out_of_reach_names_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cifar100, "OFFICIAL_URL", f"{NOWHERE}cifar-100-python.tar.gz")
    message = refused(CIFAR100(), tmp_path / "data")
    for words in (str(tmp_path / "data"), "put cifar-100-python.tar.gz", NOWHERE):
        assert words in message


def test_cifar100_says_its_size_and_shape() -> None:
    assert (CIFAR100().classes, CIFAR100().input_shape, CIFAR100().train_samples) == (100, (3, 32, 32), 40_000)
    with pytest.raises(UserError, match="CIFAR100 judge_on 'train': must be held_out or test"):
        CIFAR100(judge_on="train")  # type: ignore[arg-type]
