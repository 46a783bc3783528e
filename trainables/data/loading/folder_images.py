"""Images that are loaded from files batch by batch, so that they are never all in memory."""

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from trainables.data.loading.images import EVALUATION_BATCH_SIZE, normalise
from trainables.data.loading.look_ahead import LookAhead
from trainables.data.loading.source import SplitName, drawn_keys
from trainables.errors import UserError

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
SCALE = (0.08, 1.0)
RATIO = (3 / 4, 4 / 3)

Box = tuple[int, int, int, int]
"""Left, top, right and bottom edge, pixels."""


class Files(NamedTuple):
    """Labelled images that are not yet read.

    Attributes:
        paths: path of each sample's file.
        labels: (samples,) int64.
    """

    paths: list[str]
    labels: Tensor


class FolderDraws(NamedTuple):
    """The random draws of one epoch, one row per training image.

    Attributes:
        order: (samples,) the order in which samples are visited.
        keys: (samples,) int32, the samples' keys, which dropout draws from.
        seeds: (samples,) int64 on the CPU, the seed of each image's crop and flip.
        visits: the same as order, but on the CPU.
        batch_size: global batch size at the start of the run, from which the first guess of the next batch is made.
    """

    order: Tensor
    keys: Tensor
    seeds: Tensor
    visits: Tensor
    batch_size: int


class Wanted(NamedTuple):
    """One image to load. With a seed it is cropped and flipped at random, without one it is cropped at the centre."""

    path: str
    seed: int | None


class Following:
    """Guesses a worker's next batch: it assumes that the distance in the order between two batches stays the same."""

    def __init__(self) -> None:
        self._before = 0

    def __call__(self, samples: Tensor, draws: FolderDraws) -> Tensor:
        """The samples of the batch after this one, given and returned on the CPU; fewer or none at the epoch's end."""
        first = int((draws.visits == samples[0]).nonzero()[0])
        stride = first - self._before if first > self._before else draws.batch_size
        self._before = first
        return draws.visits[first + stride : first + stride + len(samples)]


@dataclass(frozen=True)
class FolderImages:
    """A loaded image folder, whose files are decoded on threads, one batch before they are used.

    Training images are cropped and flipped at random as torchvision's RandomResizedCrop and RandomHorizontalFlip do.
    All other images are resized so that their short side is 256/224 of the size, and are cropped at the centre.

    Attributes:
        train: the images to train on.
        validation: the images that runs are judged on; they are also the test split.
        size: height and width of the inputs, in pixels.
        device: the device that batches are put on.
    """

    train: Files
    validation: Files
    size: int
    device: torch.device = torch.device("cpu")
    _following: Following = field(default_factory=Following, init=False, repr=False, compare=False)

    @property
    def train_samples(self) -> int:
        return len(self.train.paths)

    def to(self, device: torch.device) -> "FolderImages":
        """The same set with its batches on another device."""
        return replace(self, device=device)

    def draws(self, generator: torch.Generator, batch_size: int) -> FolderDraws:
        """The draws of one epoch; a CPU generator in the same state gives the same on every worker and device."""
        samples = self.train_samples
        order = torch.randperm(samples, generator=generator)
        seeds = torch.randint(2**62, (samples,), generator=generator)
        keys = drawn_keys(samples, generator)
        return FolderDraws(order.to(self.device), keys.to(self.device), seeds, order, batch_size)

    def batch(self, samples: Tensor, draws: FolderDraws, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Inputs (batch, 3, size, size), cropped and flipped, and labels (batch,).

        The next batch is loaded in the background while this one is used.
        """
        now = samples.cpu()
        wanted, expected = (
            [
                Wanted(self.train.paths[index], seed)
                for index, seed in zip(indices.tolist(), draws.seeds[indices].tolist(), strict=True)
            ]
            for indices in (now, self._following(now, draws))
        )
        return self._inputs(wanted, expected, dtype), self._labels(self.train, now)

    def evaluation(
        self, split: SplitName, dtype: torch.dtype, rank: int, workers: int
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """This worker's batches of a split, every `workers`-th from number `rank` on, cropped at the centre."""
        files = self.train if split == "train" else self.validation
        batches = torch.arange(len(files.paths)).split(EVALUATION_BATCH_SIZE)[rank::workers]
        wanted = [[Wanted(files.paths[index], None) for index in indices.tolist()] for indices in batches]
        for indices, now, following in zip(batches, wanted, [*wanted[1:], []], strict=True):
            yield self._inputs(now, following, dtype), self._labels(files, indices)

    @cached_property
    def _ahead(self) -> LookAhead[Wanted, Tensor]:
        return LookAhead(lambda wanted: load(wanted, self.size))

    def _inputs(self, wanted: list[Wanted], expected: list[Wanted], dtype: torch.dtype) -> Tensor:
        pixels = torch.stack(self._ahead.take(wanted, expected)).to(self.device)
        return normalise(pixels.permute(0, 3, 1, 2), MEAN, STD, dtype)

    def _labels(self, files: Files, indices: Tensor) -> Tensor:
        return files.labels[indices].to(self.device)


def load(wanted: Wanted, size: int) -> Tensor:
    """One image, (size, size, 3) uint8.

    Raises:
        UserError: Pillow cannot read the file.
    """
    try:
        with Image.open(wanted.path) as file:
            image = file.convert("RGB")
    except OSError as error:
        raise UserError(f"{wanted.path}: cannot be read as an image ({error})") from error
    if wanted.seed is None:
        return _pixels(centre(image, size))
    draw = random.Random(wanted.seed)
    mirrored = draw.random() < 0.5
    image = image.crop(random_box(image.width, image.height, draw)).resize((size, size), Image.Resampling.BILINEAR)
    return _pixels(image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if mirrored else image)


def centre(image: Image.Image, size: int) -> Image.Image:
    """The central square of `size` pixels of the image, whose short side is first resized to 256/224 of size."""
    scale = round(size * 256 / 224) / min(image.size)
    image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.BILINEAR)
    left, top = (image.width - size) // 2, (image.height - size) // 2
    return image.crop((left, top, left + size, top + size))


def random_box(width: int, height: int, draw: random.Random) -> Box:
    """A random part of an image, with 8 % to 100 % of its area and a ratio of width to height from 3:4 to 4:3.

    If none of 10 drawn parts fits into the image, it is the largest central part with a ratio in this range.
    """
    for _ in range(10):
        area = width * height * draw.uniform(*SCALE)
        ratio = math.exp(draw.uniform(*(math.log(bound) for bound in RATIO)))
        wide, high = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < wide <= width and 0 < high <= height:
            left, top = draw.randint(0, width - wide), draw.randint(0, height - high)
            return left, top, left + wide, top + high
    wide, high = min(width, round(height * RATIO[1])), min(height, round(width / RATIO[0]))
    left, top = (width - wide) // 2, (height - high) // 2
    return left, top, left + wide, top + high


def _pixels(image: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(image))
