"""Samples of a map-style data set, which are read one by one when they are needed."""

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
from trainables.errors import UserError, require
from trainables.nested import Nested, described, on, only_tensors

Dataset = Any
"""An object with a length that returns a sample for each index below it, such as a torch.utils.data.Dataset."""


@dataclass(frozen=True)
class Samples:
    """A loaded map-style set, whose samples are read in this process, one after the other.

    While a data set makes a sample, the random generators of Python, NumPy and PyTorch are seeded with the sample's own
    key. So a sample with random parts is the same in every batch and on every worker.

    Attributes:
        train: the data set to train on.
        validation: the data set that runs are judged on.
        test: the data set that is evaluated at the end of a run.
        targets: the name of the targets where a sample is a mapping.
        classes: number of labels; None where the targets are no classes.
        collate: a function that makes a batch from a list of samples.
        device: the device that batches are put on.
    """

    train: Dataset
    validation: Dataset
    test: Dataset
    targets: str
    collate: Callable[[list[Any]], Any]
    classes: int | None = None
    device: torch.device = torch.device("cpu")

    @property
    def train_samples(self) -> int:
        return len(self.train)

    def to(self, device: torch.device) -> "Samples":
        """The same set with its batches on another device."""
        return replace(self, device=device)

    def draws(self, generator: torch.Generator, batch_size: int) -> SampleDraws:
        """The draws of one epoch; a CPU generator in the same state gives the same on every worker and device."""
        order = torch.randperm(self.train_samples, generator=generator)
        return SampleDraws(order.to(self.device), drawn_keys(self.train_samples, generator).to(self.device))

    def batch(self, samples: Tensor, draws: SampleDraws, dtype: torch.dtype) -> tuple[Nested, Nested]:
        """Inputs and targets of the given training samples, with floating-point tensors in this precision."""
        return self.read(self.train, samples.tolist(), draws.keys[samples].tolist(), dtype)

    def evaluation(
        self, split: SplitName, dtype: torch.dtype, rank: int, workers: int
    ) -> Iterator[tuple[Nested, Nested]]:
        """This worker's batches of a split, every `workers`-th from number `rank` on.

        Random parts of a sample are the same in every evaluation.
        """
        dataset = {"train": self.train, "validation": self.validation, "test": self.test}[split]
        for numbers in torch.arange(len(dataset)).split(EVALUATION_BATCH_SIZE)[rank::workers]:
            yield self.read(dataset, numbers.tolist(), numbers.tolist(), dtype)

    def read(
        self, dataset: Dataset, numbers: Sequence[int], keys: Sequence[int], dtype: torch.dtype
    ) -> tuple[Nested, Nested]:
        """The inputs and targets of the samples with these numbers, each made with its key as the random seed."""
        with own_generators():
            items = []
            for number, key in zip(numbers, keys, strict=True):
                seed_generators(key % 2**32)
                items.append(_tried(lambda: dataset[number], f"data set {type(dataset).__name__}, sample {number}"))  # noqa: B023
            batch = _tried(lambda: self.collate(items), f"data set {type(dataset).__name__}: a batch of its samples")
        inputs, targets = split_targets(batch, self.targets)
        kind = type(dataset).__name__
        require(
            only_tensors((inputs, targets)),
            f"data set {kind}: its batches are {described((inputs, targets))} but must be of tensors alone; choose "
            "what a sample has, or give `collate`",
        )
        self._check_labels(kind, targets)
        return on(self.device, dtype, inputs), on(self.device, dtype, targets)

    def _check_labels(self, name: str, targets: Nested) -> None:
        """Refuse labels that are no numbers of the classes."""
        if self.classes is not None and isinstance(targets, Tensor) and not targets.is_floating_point():
            low, high = targets.min().item(), targets.max().item()
            require(
                low >= 0 and high < self.classes,
                f"data set {name}: has labels from {low} to {high}; {self.classes} classes are 0 to {self.classes - 1}",
            )


def _tried(make: Callable[[], Any], name: str) -> Any:
    """What is made; where that fails, UserError names it and the reason, and the traceback stays with it."""
    try:
        return make()
    except Exception as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise UserError(f"{name} cannot be made ({type(error).__name__}: {reason})") from error


def split_targets(batch: Any, name: str) -> tuple[Nested, Nested]:
    """Split a collated batch into inputs and targets.

    The targets are the entry of that name in a mapping, and the last entry of a tuple or list. All other entries are
    the inputs. If a tuple or list has only one other entry, that entry itself is the inputs.

    Raises:
        UserError: the batch is neither a mapping nor a tuple or list, or it has no targets or no inputs.
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
    """Seed the random generators of Python, NumPy and PyTorch (CPU)."""
    random.seed(seed)
    np.random.seed(seed)
    torch.random.default_generator.manual_seed(seed)


@contextmanager
def own_generators() -> Iterator[None]:
    """Inside the context, the random generators may be used freely; afterwards their states are restored."""
    states = random.getstate(), np.random.get_state(), torch.random.get_rng_state()
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.random.set_rng_state(states[2])
