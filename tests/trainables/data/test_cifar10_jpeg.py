"""CIFAR-10 as JPEG files: written once, read like any folder of images."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.trainables.data.helpers import pass_for_cifar10
from trainables.data import CIFAR10JPEG, cifar10_jpeg
from trainables.data.loading import folder_images
from trainables.data.loading.folder_images import FolderImages
from trainables.data.loading.held_out import Arrays
from trainables.errors import UserError


def test_cifar10_is_written_as_jpeg_files_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw = np.random.default_rng(0)
    labels = np.arange(40, dtype=np.uint8) % 10
    colours = draw.integers(0, 256, (40, 1, 1, 3), np.uint8)
    images = np.broadcast_to(colours, (40, 32, 32, 3)).copy()
    arrays = Arrays(images, labels, images[:1], labels[:1])
    pass_for_cifar10(arrays, monkeypatch)
    np.savez(tmp_path / "cifar10.npz", **arrays._asdict())
    description = CIFAR10JPEG(20, 10)
    data = description.load(tmp_path)
    assert isinstance(data, FolderImages)
    (tmp_path / "cifar10.npz").unlink()
    assert len(description.load(tmp_path).train.paths) == 20, "written once, then read"
    assert (data.train_samples, description.input_shape, description.classes) == (20, (3, 32, 32), 10)
    for split, first, count in (("train", 0, 20), ("validation", 30, 10)):
        inputs, found = next(data.evaluation(split, torch.float64, 0, 1))
        numbers = sorted(range(count), key=lambda number: (cifar10_jpeg.CLASSES[labels[first + number]], number))
        assert found.tolist() == [labels[first + number] for number in numbers]
        mean, std = (torch.tensor(each).view(3, 1, 1) for each in (folder_images.MEAN, folder_images.STD))
        pixels = (inputs * std + mean) * 255
        expected = torch.from_numpy(images[[first + number for number in numbers]]).permute(0, 3, 1, 2)
        assert (pixels - expected).abs().max() < 4, "JPEG loses little of one colour"


def test_too_many_jpeg_files_are_refused() -> None:
    with pytest.raises(UserError, match="train_samples 45000, validation_samples 10000"):
        CIFAR10JPEG(45_000, 10_000)
