"""The interface of data sets: Data, a description that can load itself, and Loaded, which gives batches."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

import torch
from torch import Tensor

from trainables.nested import Nested

SplitName = Literal["train", "validation", "test"]


class EpochDraws(Protocol):
    """The random draws of one epoch, one row per training sample; a data set may add those of its augmentation.

    Attributes:
        order: (samples,) the order in which samples are visited.
        keys: (samples,) int32, the samples' keys, which dropout draws from.
    """

    @property
    def order(self) -> Tensor: ...
    @property
    def keys(self) -> Tensor: ...


class SampleDraws(NamedTuple):
    """The draws of a data set without augmentation; see EpochDraws."""

    order: Tensor
    keys: Tensor


def drawn_keys(samples: int, generator: torch.Generator) -> Tensor:
    """The random key of each sample, (samples,) int32 on the CPU."""
    return torch.randint(-(2**31), 2**31, (samples,), generator=generator, dtype=torch.int32)


class Loaded(Protocol):
    """A loaded data set on the device to train on.

    Every random draw belongs to a sample of an epoch, not to a worker. So each sample is augmented in the same way,
    however a batch is split.

    Attributes:
        device: the device that its batches are on.
        train_samples: number of training samples, the same as in the description.
    """

    @property
    def device(self) -> torch.device: ...
    @property
    def train_samples(self) -> int: ...

    def to(self, device: torch.device) -> "Loaded":
        """The same set on another device."""
        ...

    def draws(self, generator: torch.Generator, batch_size: int) -> EpochDraws:
        """The draws of one epoch; a CPU generator in the same state gives the same on every worker and device."""
        ...

    def batch(self, samples: Tensor, draws: Any, dtype: torch.dtype) -> tuple[Nested, Nested]:
        """Inputs and targets of the given training samples (batch,), augmented by the epoch's draws of this set."""
        ...

    def evaluation(
        self, split: SplitName, dtype: torch.dtype, rank: int, workers: int
    ) -> Iterator[tuple[Nested, Nested]]:
        """Inputs and targets of the batches of a split that belong to worker `rank` of `workers`.

        Together the workers get all batches of the split. The training split is not augmented here.
        """
        ...


class Data(Protocol):
    """The description of a data set: a frozen dataclass that can load itself.

    A data set that subclasses it inherits `streams` and `example`.

    Attributes:
        train_samples, validation_samples: number of samples in these splits; batch sizes count the same samples.
        input_shape: shape of one sample: (channels, height, width) of an image, (steps,) of a text.
        classes: number of classes; None where the targets are not classes.
        streams: whether each batch continues where the batch before it ended, so that layers can carry a state.
    """

    if TYPE_CHECKING:  # at run time, subclasses could have no fields of these names without defaults

        @property
        def train_samples(self) -> int: ...
        @property
        def validation_samples(self) -> int: ...
        @property
        def input_shape(self) -> tuple[int, ...]: ...
        @property
        def classes(self) -> int | None: ...

    @property
    def streams(self) -> bool:
        return False

    def load(self, data_dir: Path) -> Loaded:
        """The loaded splits; if they are missing, they are first downloaded into data_dir.

        Raises:
            UserError: the data is missing and cannot be fetched.
        """
        ...

    def example(self, samples: int) -> tuple[Nested, Nested]:
        """Inputs and targets of the right shapes and types, to test and time a step before the data is loaded."""
        return torch.randn(samples, *self.input_shape), torch.zeros(samples, dtype=torch.int64)
