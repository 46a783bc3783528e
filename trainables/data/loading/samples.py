"""Samples of a map-style data set, read one by one when they are needed."""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from trainables.data.loading.images import EVALUATION_BATCH_SIZE
from trainables.data.loading.source import SampleDraws, SplitName, drawn_keys
from trainables.errors import UserError
from trainables.nested import Nested, on

Dataset = Any
"""What has a length and gives a sample for each number below it, as torch.utils.data.Dataset does."""


@dataclass(frozen=True)
class Samples:
    """A loaded map-style set; items are read in this process, one after the other.

    Whatever a data set draws from the random generators of Python, NumPy or PyTorch while it makes a sample, it draws
    from the sample's own key, so that the sample is the same in every batch and on every worker.

    Attributes:
        train: what is trained on.
        validation: what runs are judged by.
        test: reported at the end of a run.
        targets: the name of the targets where a sample is a mapping.
        collate: makes a batch of a list of samples.
        device: where batches are put.
    """

    train: Dataset
    validation: Dataset
    test: Dataset
    targets: str
    collate: Callable[[list[Any]], Any]
    device: torch.device = torch.device("cpu")

    @property
    def train_samples(self) -> int:
        return len(self.train)

    def to(self, device: torch.device) -> "Samples":
        """The same set with its batches on another device."""
        return replace(self, device=device)

    def draws(self, generator: torch.Generator, batch_size: int) -> SampleDraws:
        """One epoch's draws, the same on every worker and device for the same generator state (CPU)."""
        order = torch.randperm(self.train_samples, generator=generator)
        return SampleDraws(order.to(self.device), drawn_keys(self.train_samples, generator).to(self.device))

    def batch(self, samples: Tensor, draws: SampleDraws, dtype: torch.dtype) -> tuple[Nested, Nested]:
        """Inputs and targets, floating-point ones in this precision."""
        return self.read(self.train, samples.tolist(), draws.keys[samples].tolist(), dtype)

    def evaluation(
        self, split: SplitName, dtype: torch.dtype, rank: int, workers: int
    ) -> Iterator[tuple[Nested, Nested]]:
        """The batches of a split, dealt to the workers one by one; every epoch draws the same for each sample."""
        dataset = {"train": self.train, "validation": self.validation, "test": self.test}[split]
        for numbers in torch.arange(len(dataset)).split(EVALUATION_BATCH_SIZE)[rank::workers]:
            yield self.read(dataset, numbers.tolist(), numbers.tolist(), dtype)

    def read(
        self, dataset: Dataset, numbers: Sequence[int], keys: Sequence[int], dtype: torch.dtype
    ) -> tuple[Nested, Nested]:
        """The inputs and targets of the samples of these numbers, each drawn from its key."""
        with own_generators():
            items = []
            for number, key in zip(numbers, keys, strict=True):
                seed_generators(key % 2**32)
                items.append(dataset[number])
            batch = on(self.device, dtype, self.collate(items))
        return split_targets(batch, self.targets)


def split_targets(batch: Any, name: str) -> tuple[Nested, Nested]:
    """A collated batch as inputs and targets.

    A mapping's targets are under the name; a tuple's or list's are its last entry. What remains are the inputs, alone
    where there is one in a tuple.

    Raises:
        UserError: a batch that is neither, or has nothing beside or in the place of its targets.
    """
    if isinstance(batch, Mapping) and name in batch and len(batch) > 1:
        return {key: value for key, value in batch.items() if key != name}, batch[name]
    if isinstance(batch, tuple | list) and len(batch) > 1:
        *inputs, targets = batch
        return inputs[0] if len(inputs) == 1 else tuple(inputs), targets
    found = f"has {', '.join(map(repr, batch))}" if isinstance(batch, Mapping) else f"is a {type(batch).__name__}"
    raise UserError(
        f"data set sample: must be a tuple of inputs and targets or a mapping with {name!r} and inputs, but {found}"
    )


def seed_generators(seed: int) -> None:
    """Begin the random generators of Python, NumPy and PyTorch (CPU) anew."""
    random.seed(seed)
    np.random.seed(seed)
    torch.random.default_generator.manual_seed(seed)


@contextmanager
def own_generators() -> Iterator[None]:
    """Inside, the random generators may be used at will; afterwards they are what they were."""
    states = random.getstate(), np.random.get_state(), torch.random.get_rng_state()
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.random.set_rng_state(states[2])
