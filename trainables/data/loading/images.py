"""Small image sets, held in memory as uint8 on the training device.

Images are also cropped, flipped and normalised on that device, with one gather operation per batch.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from trainables.data.loading.source import SplitName, drawn_keys

EVALUATION_BATCH_SIZE = 250


class Split(NamedTuple):
    """Images and labels.

    Attributes:
        images: (samples, channels, height, width) uint8.
        labels: (samples,) int64.
    """

    images: Tensor
    labels: Tensor

    def to(self, device: torch.device) -> "Split":
        return Split(self.images.to(device), self.labels.to(device))


class ImageDraws(NamedTuple):
    """The random draws of one epoch, one row per training image.

    Attributes:
        order: (samples,) the order in which samples are visited.
        keys: (samples,) int32, the samples' keys, which dropout draws from.
        shift: (samples, 2) row and column, 0 to 2 * crop_padding each, at which each crop starts in the padded image.
        mirror: (samples,) bool, whether each image is flipped left to right.
    """

    order: Tensor
    keys: Tensor
    shift: Tensor
    mirror: Tensor


@dataclass(frozen=True)
class Images:
    """A loaded image set.

    Attributes:
        train: the images to train on.
        validation: the images that runs are judged on.
        test: the images that are evaluated at the end of a run; the search never uses them.
        mean, std: mean and standard deviation of each channel, of pixel values scaled to 0..1. Inputs are
            (x - mean) / std.
        crop_padding: pixels of zero padding on each side of an image before a random crop; 0 for no random crop.
        flip: whether to flip half of the training images left to right, drawn at random.
    """

    train: Split
    validation: Split
    test: Split
    mean: tuple[float, ...]
    std: tuple[float, ...]
    crop_padding: int = 0
    flip: bool = False

    @property
    def device(self) -> torch.device:
        return self.train.images.device

    @property
    def train_samples(self) -> int:
        return len(self.train.labels)

    def to(self, device: torch.device) -> "Images":
        """The same set on another device."""
        train, validation, test = (each.to(device) for each in (self.train, self.validation, self.test))
        return replace(self, train=train, validation=validation, test=test)

    def draws(self, generator: torch.Generator, batch_size: int) -> ImageDraws:
        """The draws of one epoch; a CPU generator in the same state gives the same on every worker and device."""
        samples = self.train_samples
        order = torch.randperm(samples, generator=generator)
        shift = torch.randint(0, 2 * self.crop_padding + 1, (samples, 2), generator=generator)
        mirror = torch.rand(samples, generator=generator) < (0.5 if self.flip else 0.0)
        keys = drawn_keys(samples, generator)
        return ImageDraws(*(each.to(self.device) for each in (order, keys, shift, mirror)))

    def batch(self, samples: Tensor, draws: ImageDraws, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Inputs (batch, channels, height, width), cropped and flipped, and labels (batch,)."""
        if not self.crop_padding and not self.flip:
            return self._normalised(self.train.images[samples], dtype), self.train.labels[samples]
        channel, row, column = self._places
        rows = row + draws.shift[samples, 0, None]  # (batch, height)
        columns = torch.where(draws.mirror[samples, None], column.flip(0), column) + draws.shift[samples, 1, None]
        pixels = self._padded[
            samples[:, None, None, None], channel[None, :, None, None], rows[:, None, :, None], columns[:, None, None]
        ]
        return self._normalised(pixels, dtype), self.train.labels[samples]

    def evaluation(
        self, split: SplitName, dtype: torch.dtype, rank: int, workers: int
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """This worker's batches of a split, every `workers`-th from number `rank` on, without augmentation."""
        images, labels = {"train": self.train, "validation": self.validation, "test": self.test}[split]
        batches = list(zip(images.split(EVALUATION_BATCH_SIZE), labels.split(EVALUATION_BATCH_SIZE), strict=True))
        for pixels, answers in batches[rank::workers]:
            yield self._normalised(pixels, dtype), answers

    @cached_property
    def _padded(self) -> Tensor:
        pad = self.crop_padding
        return torch.nn.functional.pad(self.train.images, (pad, pad, pad, pad))

    @cached_property
    def _places(self) -> tuple[Tensor, Tensor, Tensor]:
        """The indices of all channels, rows and columns."""
        channels, height, width = (torch.arange(size, device=self.device) for size in self.train.images.shape[1:])
        return channels, height, width

    def _normalised(self, pixels: Tensor, dtype: torch.dtype) -> Tensor:
        return normalise(pixels, self.mean, self.std, dtype)


def normalise(pixels: Tensor, mean: tuple[float, ...], std: tuple[float, ...], dtype: torch.dtype) -> Tensor:
    """Convert uint8 (batch, channels, height, width) to inputs (x / 255 - mean) / std, in channels-last memory."""
    middle, spread = (
        torch.tensor(values, dtype=dtype, device=pixels.device).view(-1, 1, 1) * 255 for values in (mean, std)
    )
    return ((pixels.to(dtype) - middle) / spread).contiguous(memory_format=torch.channels_last)
