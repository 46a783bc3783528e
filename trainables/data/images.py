"""Small image sets, held in memory as uint8 on the training device.

Cropping, flipping and normalising happen there too, in one gather per batch, and every random draw belongs to a
sample of an epoch, not to a worker: however a batch is split, each image is augmented the same way.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import torch
from torch import Tensor


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


@dataclass(frozen=True)
class Images:
    """A loaded image set.

    Attributes:
        train: what is trained on.
        validation: what runs are judged by.
        test: reported at the end of a run, never searched on.
        mean, std: per channel, of pixel values scaled to 0..1; inputs are (x - mean) / std.
        crop_padding: pixels of zero padding around a random crop; 0 for none.
        flip: whether to mirror half of the images.
    """

    train: Split
    validation: Split
    test: Split
    mean: tuple[float, ...]
    std: tuple[float, ...]
    crop_padding: int = 0
    flip: bool = False

    def to(self, device: torch.device) -> "Images":
        """The same set on another device."""
        splits = (self.train.to(device), self.validation.to(device), self.test.to(device))
        return Images(*splits, self.mean, self.std, self.crop_padding, self.flip)


class ImageData(Protocol):
    """A data set by description; a frozen dataclass that knows how to load itself.

    Attributes:
        train_samples, validation_samples: sizes of those splits.
        input_shape: (channels, height, width).
        classes: number of labels.
    """

    @property
    def train_samples(self) -> int: ...
    @property
    def validation_samples(self) -> int: ...
    @property
    def input_shape(self) -> tuple[int, int, int]: ...
    @property
    def classes(self) -> int: ...

    def load(self, data_dir: Path) -> Images:
        """The splits, downloaded into data_dir first where they are missing.

        Raises:
            UserError: the data is not there and cannot be had.
        """
        ...


class Draws(NamedTuple):
    """The random draws of one epoch, one row per training sample.

    Attributes:
        order: (samples,) the order samples are visited in.
        shift: (samples, 2) rows and columns, 0 to 2 * crop_padding: where each crop starts in the padded image.
        mirror: (samples,) bool, whether each image is flipped left to right.
        keys: (samples,) int32, what dropout draws from.
    """

    order: Tensor
    shift: Tensor
    mirror: Tensor
    keys: Tensor


class Augmented:
    """The training split as batches of ready inputs, augmented on the device.

    Args:
        images: a loaded set, on the device to train on.
        dtype: of the inputs.
    """

    def __init__(self, images: Images, dtype: torch.dtype) -> None:
        pad = images.crop_padding
        self._images = images
        self._dtype = dtype
        self._padded = torch.nn.functional.pad(images.train.images, (pad, pad, pad, pad))
        self._channel = torch.arange(self._padded.shape[1], device=self._padded.device)
        self._row = torch.arange(images.train.images.shape[2], device=self._padded.device)
        self._column = torch.arange(images.train.images.shape[3], device=self._padded.device)

    def draws(self, generator: torch.Generator) -> Draws:
        """One epoch's draws, the same on every worker and device for the same generator state (CPU)."""
        samples = len(self._padded)
        device = self._padded.device
        order = torch.randperm(samples, generator=generator)
        shift = torch.randint(0, 2 * self._images.crop_padding + 1, (samples, 2), generator=generator)
        mirror = torch.rand(samples, generator=generator) < (0.5 if self._images.flip else 0.0)
        keys = torch.randint(-(2**31), 2**31, (samples,), generator=generator, dtype=torch.int32)
        return Draws(*(each.to(device) for each in (order, shift, mirror, keys)))

    def batch(self, samples: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
        """Inputs (batch, channels, height, width) and labels (batch,) of the given sample indices."""
        rows = self._row + draws.shift[samples, 0, None]  # (batch, height)
        mirrored = draws.mirror[samples, None]
        columns = torch.where(mirrored, self._column.flip(0), self._column) + draws.shift[samples, 1, None]
        pixels = self._padded[
            samples[:, None, None, None],
            self._channel[None, :, None, None],
            rows[:, None, :, None],
            columns[:, None, None, :],
        ]
        return normalise(pixels, self._images, self._dtype), self._images.train.labels[samples]


def normalise(pixels: Tensor, images: Images, dtype: torch.dtype) -> Tensor:
    """uint8 (batch, channels, height, width) to inputs of mean 0 and deviation 1, in channels-last memory."""
    mean = torch.tensor(images.mean, dtype=dtype, device=pixels.device).view(-1, 1, 1) * 255
    std = torch.tensor(images.std, dtype=dtype, device=pixels.device).view(-1, 1, 1) * 255
    return ((pixels.to(dtype) - mean) / std).contiguous(memory_format=torch.channels_last)
