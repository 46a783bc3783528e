"""Tensors of any shape and type, which are held in memory on the training device."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from trainables.data.loading.images import EVALUATION_BATCH_SIZE
from trainables.data.loading.source import SampleDraws, SplitName, drawn_keys
from trainables.nested import Nested, map_tensors, on, tensors_of


class Pair(NamedTuple):
    """The inputs and targets of a split; the first dimension of every tensor counts its samples."""

    inputs: Nested
    targets: Nested

    @property
    def samples(self) -> int:
        return len(tensors_of(self.inputs)[0])

    def some(self, samples: Tensor) -> "Pair":
        """The inputs and targets of some samples."""
        return Pair(*map_tensors(lambda each: each[samples], tuple(self)))

    def to(self, device: torch.device) -> "Pair":
        """The same pair on another device."""
        return Pair(*map_tensors(lambda each: each.to(device), tuple(self)))


@dataclass(frozen=True)
class Tensors:
    """A loaded set of tensors.

    Attributes:
        train: the split to train on.
        validation: the split that runs are judged on.
        test: the split that is evaluated at the end of a run; the search never uses it.
    """

    train: Pair
    validation: Pair
    test: Pair

    @property
    def device(self) -> torch.device:
        return tensors_of(self.train.inputs)[0].device

    @property
    def train_samples(self) -> int:
        return self.train.samples

    def to(self, device: torch.device) -> "Tensors":
        """The same set on another device."""
        train, validation, test = (each.to(device) for each in (self.train, self.validation, self.test))
        return replace(self, train=train, validation=validation, test=test)

    def draws(self, generator: torch.Generator, batch_size: int) -> SampleDraws:
        """The draws of one epoch; a CPU generator in the same state gives the same on every worker and device."""
        order = torch.randperm(self.train_samples, generator=generator)
        return SampleDraws(order.to(self.device), drawn_keys(self.train_samples, generator).to(self.device))

    def batch(self, samples: Tensor, draws: SampleDraws, dtype: torch.dtype) -> tuple[Nested, Nested]:
        """Inputs and targets of the given training samples, with floating-point tensors in this precision."""
        inputs, targets = on(self.device, dtype, tuple(self.train.some(samples)))
        return inputs, targets

    def evaluation(
        self, split: SplitName, dtype: torch.dtype, rank: int, workers: int
    ) -> Iterator[tuple[Nested, Nested]]:
        """This worker's batches of a split, every `workers`-th from number `rank` on."""
        pair = {"train": self.train, "validation": self.validation, "test": self.test}[split]
        batches = torch.arange(pair.samples, device=self.device).split(EVALUATION_BATCH_SIZE)
        for samples in batches[rank::workers]:
            inputs, targets = on(self.device, dtype, tuple(pair.some(samples)))
            yield inputs, targets
