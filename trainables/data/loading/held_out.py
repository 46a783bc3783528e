"""The base classes of image sets that have training and test images, but no validation images."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

import numpy as np
import torch

from trainables.data.loading.images import Images, Split
from trainables.data.loading.source import Data
from trainables.errors import require

HELD_OUT = 10_000


class Arrays(NamedTuple):
    """A whole set, decoded: images (samples, height, width, channels) uint8, labels (samples,) uint8."""

    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray


@dataclass(frozen=True)
class HeldOut(Data):
    """A set whose last 10,000 training images are held out to judge runs on, unless runs are judged on its test images.

    Attributes:
        train_samples: number of training images to train on; the first ones are used.
        judge_on: what runs are judged on: "held_out", the last 10,000 training images, or "test", the test images, as
            in papers that have no third split.
        validation_samples: number of these 10,000 images to judge on; the first ones are used.
        training_images: number of training images in the set, including those that are held out.

    Raises:
        UserError: a number of samples is outside its range, or judge_on is neither of the two.
    """

    train_samples: int = 40_000
    judge_on: Literal["held_out", "test"] = "held_out"
    validation_samples: int = HELD_OUT

    training_images: ClassVar[int] = 50_000

    def __post_init__(self) -> None:
        name = type(self).__name__
        require(self.judge_on in ("held_out", "test"), f"{name} judge_on {self.judge_on!r}: must be held_out or test")
        most = self.training_images - (HELD_OUT if self.judge_on == "held_out" else 0)
        for field, limit in (("train_samples", most), ("validation_samples", HELD_OUT)):
            value = getattr(self, field)
            require(1 <= value <= limit, f"{name} {field} {value}: must be 1 to {limit:,}")

    def split(self, arrays: Arrays) -> tuple[Split, Split, Split]:
        """The three splits: to train on, to judge runs on, and to test on at the end of a run."""
        images, labels = arrays.train_images, arrays.train_labels
        train = _split(images[: self.train_samples], labels[: self.train_samples])
        test = _split(arrays.test_images, arrays.test_labels)
        held_out = test if self.judge_on == "test" else _split(images[-HELD_OUT:], labels[-HELD_OUT:])
        judged = slice(self.validation_samples)
        return train, Split(held_out.images[judged], held_out.labels[judged]), test


@dataclass(frozen=True)
class Photographs(HeldOut):
    """The base class of CIFAR-10 and CIFAR-100, which are colour photographs of 32 by 32 pixels.

    Attributes:
        train_samples, judge_on, validation_samples: see HeldOut.
        augment: whether to crop training images at random, after padding by 4 pixels, and to flip half of them.
        mean, std: mean and standard deviation of each channel, of pixel values scaled to 0..1.
    """

    augment: bool = True

    mean: ClassVar[tuple[float, ...]]
    std: ClassVar[tuple[float, ...]]

    @property
    def input_shape(self) -> tuple[int, int, int]:
        return (3, 32, 32)

    def images(self, arrays: Arrays) -> Images:
        """The splits of the decoded arrays, on the CPU."""
        padding = 4 if self.augment else 0
        return Images(*self.split(arrays), self.mean, self.std, crop_padding=padding, flip=self.augment)


def check(arrays: Arrays, expected: Mapping[str, str], name: str, source: str) -> None:
    """Compare each array's bytes with its recorded sha256.

    Raises:
        UserError: source does not hold the set of that name.
    """
    for part, array in arrays._asdict().items():
        found = hashlib.sha256(np.ascontiguousarray(array).data).hexdigest()
        require(
            found == expected[part],
            f"{source}: {part} is not {name}'s (sha256 {found}, expected {expected[part]}); delete it and run again",
        )


def _split(images: np.ndarray, labels: np.ndarray) -> Split:
    return Split(torch.from_numpy(images).permute(0, 3, 1, 2).contiguous(), torch.from_numpy(labels).long())
