"""What a run needs of a data set: a description that loads itself, and the loaded set as batches on a device."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

import torch
from torch import Tensor

from trainables.nested import Nested

SplitName = Literal["train", "validation", "test"]


class EpochDraws(Protocol):
    """The random draws of one epoch, one row per training sample; a data set adds those of its augmentation.

    Attributes:
        order: (samples,) the order samples are visited in.
        keys: (samples,) int32, what dropout draws from.
    """

    @property
    def order(self) -> Tensor: ...
    @property
    def keys(self) -> Tensor: ...


class SampleDraws(NamedTuple):
    """The draws of a set without augmentation of its own."""

    order: Tensor
    keys: Tensor


def drawn_keys(samples: int, generator: torch.Generator) -> Tensor:
    """(samples,) int32 on the CPU: the key of each sample."""
    return torch.randint(-(2**31), 2**31, (samples,), generator=generator, dtype=torch.int32)


class Loaded(Protocol):
    """A loaded data set on the device to train on.

    Every random draw belongs to a sample of an epoch, not to a worker: however a batch is split, each sample is
    augmented the same way.

    Attributes:
        device: where its batches are.
        train_samples: as many as the description says.
    """

    @property
    def device(self) -> torch.device: ...
    @property
    def train_samples(self) -> int: ...

    def to(self, device: torch.device) -> "Loaded":
        """The same set on another device."""
        ...

    def draws(self, generator: torch.Generator, batch_size: int) -> EpochDraws:
        """One epoch's draws, the same on every worker and device for the same generator state (CPU)."""
        ...

    def batch(self, samples: Tensor, draws: Any, dtype: torch.dtype) -> tuple[Nested, Nested]:
        """Inputs and targets of the given training samples (batch,), with the epoch's draws that this set made."""
        ...

    def evaluation(
        self, split: SplitName, dtype: torch.dtype, rank: int, workers: int
    ) -> Iterator[tuple[Nested, Nested]]:
        """The batches of a split, as it is judged: inputs and targets, those that fall to one of so many workers.

        Together the workers have them all. The training split comes without augmentation.
        """
        ...


class Data(Protocol):
    """A data set by description; a frozen dataclass that knows how to load itself. Subclass it for the default example.

    Attributes:
        train_samples, validation_samples: sizes of those splits; batch sizes count the same samples.
        input_shape: of one sample: (channels, height, width) of an image, (steps,) of a text.
        classes: number of labels; None where the targets are no classes.
        streams: whether consecutive batches go on where the one before stopped, so that a state can be carried.
    """

    if TYPE_CHECKING:  # inherited at run time, they would forbid fields of these names that have no default

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
        """The splits, downloaded into data_dir first where they are missing.

        Raises:
            UserError: the data is not there and cannot be had.
        """
        ...

    def example(self, samples: int) -> tuple[Nested, Nested]:
        """Inputs and targets of the right shapes and types, to try and to time a step before anything is loaded."""
        return torch.randn(samples, *self.input_shape), torch.zeros(samples, dtype=torch.int64)
