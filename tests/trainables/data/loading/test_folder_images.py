"""Images read from files: labelled, dealt, cropped, and loaded ahead."""

import random
from collections import Counter
from concurrent.futures import wait
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from tests.trainables.data.helpers import colour_of, description
from trainables.data.loading import folder_images
from trainables.errors import UserError


def test_images_carry_the_label_of_their_folder(pictures: Path) -> None:
    data = description(pictures).load(Path("/nowhere"))
    draws = data.draws(torch.Generator().manual_seed(0), 6)
    assert sorted(draws.order.tolist()) == list(range(24))
    seen = []
    for samples in draws.order.split(6):
        inputs, labels = data.batch(samples, draws, torch.float32)
        assert inputs.shape == (6, 3, 16, 16)
        assert colour_of(inputs) == labels.tolist()
        seen += labels.tolist()
    assert Counter(seen) == {0: 8, 1: 8, 2: 8}


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_the_images_of_a_split_are_dealt_to_workers(
    pictures: Path, monkeypatch: pytest.MonkeyPatch, split: str
) -> None:
    monkeypatch.setattr(folder_images, "EVALUATION_BATCH_SIZE", 5)
    data = description(pictures).load(Path())
    whole = list(data.evaluation(split, torch.float64, 0, 1))
    assert sum(len(labels) for _, labels in whole) == (24 if split == "train" else 12)
    dealt = [list(data.evaluation(split, torch.float64, rank, 2)) for rank in (0, 1)]
    for number, (inputs, labels) in enumerate(whole):
        there = dealt[number % 2][number // 2]
        assert torch.equal(inputs, there[0])
        assert torch.equal(labels, there[1])
        assert colour_of(inputs) == labels.tolist()


def test_crops_belong_to_the_sample_not_to_the_batch(pictures: Path) -> None:
    data, other = (description(pictures).load(Path()) for _ in range(2))
    first, same, another = (data.draws(torch.Generator().manual_seed(seed), 8) for seed in (0, 0, 1))
    for samples in first.order.split(8):
        whole, _ = data.batch(samples, first, torch.float64)
        halves = torch.cat([other.batch(part, same, torch.float64)[0] for part in samples.split(4)])
        assert torch.equal(whole, halves)
        assert not torch.equal(whole, data.batch(samples, another, torch.float64)[0])


@pytest.mark.parametrize(
    ("workers", "sizes", "ready"),
    [
        (1, [4, 4, 4, 4, 4, 4], [0, 4, 4, 4, 4, 4]),
        (2, [4, 4, 4, 4, 4, 4], [0, 2, 2, 2, 2, 2]),
        (1, [2, 2, 4, 4, 4, 4], [0, 2, 2, 2, 4, 4]),
        (2, [2, 2, 4, 4, 4, 4], [0, 1, 1, 0, 2, 2]),
    ],
)
def test_the_next_batch_is_loaded_ahead(
    pictures: Path, monkeypatch: pytest.MonkeyPatch, workers: int, sizes: list[int], ready: list[int]
) -> None:
    """How many of a worker's images are there before they are asked for; the guess is right again soon after growth."""
    loaded = []
    original = folder_images.load

    def load(wanted: folder_images.Wanted, size: int) -> Tensor:
        loaded.append(wanted)
        return original(wanted, size)

    monkeypatch.setattr(folder_images, "load", load)
    data = description(pictures).load(Path())
    draws = data.draws(torch.Generator().manual_seed(0), sizes[0])
    first = 0
    for size, there in zip(sizes, ready, strict=True):
        share = draws.order[first : first + size].chunk(workers)[0]
        before = {wanted.path for wanted in loaded}
        assert len({data.train.paths[index] for index in share.tolist()} & before) == there
        data.batch(share, draws, torch.float32)
        wait(data._ahead._coming.values())
        first += size
    if len(set(sizes)) == 1:
        assert len(loaded) == len(set(loaded)) == 24 // workers, "and each is loaded once"


def test_a_random_box_is_torchvisions() -> None:
    draw = random.Random(0)
    for width, height in ((60, 40), (40, 60), (32, 32)):
        for _ in range(200):
            left, top, right, bottom = folder_images.random_box(width, height, draw)
            assert 0 <= left < right <= width
            assert 0 <= top < bottom <= height
            wide, high = right - left, bottom - top
            assert 0.08 * width * height - wide - high <= wide * high <= width * height
            assert (wide - 1) / (high + 1) <= 4 / 3
            assert (wide + 1) / (high - 1) >= 3 / 4
    assert folder_images.random_box(1000, 2, draw) == (498, 0, 501, 2), "the middle of what no shape fits into"


def test_a_centre_crop_keeps_the_middle() -> None:
    pixels = np.zeros((64, 128, 3), np.uint8)
    pixels[28:36, 60:68] = 255
    cut = np.asarray(folder_images.centre(Image.fromarray(pixels), 56))
    assert cut.shape == (56, 56, 3)
    assert (cut[24:32, 24:32] == 255).all()
    assert cut.sum() == 255 * 3 * 64


def test_a_file_that_is_no_image_is_named(pictures: Path) -> None:
    path = pictures / "val" / "red" / "2.jpg"
    path.write_bytes(b"half a file")
    with pytest.raises(UserError, match=r"red/2\.jpg: cannot be read as an image"):
        list(description(pictures).load(Path()).evaluation("validation", torch.float32, 0, 1))


def test_grey_images_are_read_in_colour(pictures: Path) -> None:
    Image.new("L", (20, 30), 128).save(pictures / "val" / "blue" / "0.jpg")
    inputs, _ = next(description(pictures).load(Path()).evaluation("validation", torch.float32, 0, 1))
    assert inputs[0, :, 0, 0].tolist() == pytest.approx(
        [(128 / 255 - mean) / std for mean, std in zip(folder_images.MEAN, folder_images.STD, strict=True)], abs=1e-4
    )
