"""The names and units of everything that a run reports, in one place."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from torch import nn

RUNNING = "running"
DONE = "done"
DIVERGED = "diverged"
STOPPED_EARLY = "stopped_early"
OUT_OF_MEMORY = "out_of_memory"
FAILED = "failed"

STATUSES = (DONE, DIVERGED, STOPPED_EARLY, OUT_OF_MEMORY, FAILED)
"""How a run can end. Divergence is a result and not an error: a diverged run gets the score of a guess."""

SPLITS = ("train", "validation", "test")

Series = Mapping[str, Sequence[tuple[int, float]]]
"""By name, numbers with their positions."""


@dataclass(frozen=True)
class EpochReport:
    """What a run reports after each epoch. Every number is finite, whatever happened.

    Attributes:
        epoch: epochs completed.
        samples: training samples seen; the last partial batch of an epoch is dropped and not counted.
        steps: optimizer steps taken.
        last_learning_rate: learning rate of the epoch's last step. The peak learning rate is part of the run itself.
        last_batch_size: global batch size of the epoch's last step, in samples. Where the batch grows, it is larger
            than the batch size that the run started with.
        train_loss: mean loss over the epoch's samples, computed while they were trained on; cross-entropy is in nats.
        validation_loss: mean loss after the epoch on the validation split, which the search may use.
        test_loss: mean loss on the test split after the last epoch; None after every other epoch.
        train_seconds: seconds of training since the start of the run, without evaluation.
        evaluation_seconds: seconds of evaluation since the start of the run.
        noise_scale: gradient noise scale tr(Sigma) / |G|^2, averaged over the latest steps, in samples; None where no
            slot needs it.
        diverged: 1 if the run has diverged, otherwise 0.
        status: "running", or how the run ended.
        values: what the task's metric reports for each split, such as train_accuracy, validation_accuracy and, after
            the last epoch, test_accuracy. After the last epoch of a run that ended well, also the task's measures, by
            name.
        series: by name, what is no single number after an epoch, as (position, number) pairs. A tracked measure has the
            numbers taken in this epoch, at the steps they were taken before. A measure of several numbers has them
            after the last epoch, at their places from 0 on.
        note: what else happened, in words.
    """

    epoch: int
    samples: int
    steps: int
    last_learning_rate: float
    last_batch_size: int
    train_loss: float
    validation_loss: float
    test_loss: float | None
    train_seconds: float
    evaluation_seconds: float
    noise_scale: float | None
    diverged: int
    status: str
    values: Mapping[str, float] = field(default_factory=dict)
    series: Series = field(default_factory=dict)
    note: str = ""

    def numbers(self) -> dict[str, float]:
        """The reported numbers by name, without those that have no value after this epoch."""
        named = {**{name: getattr(self, name) for name in REPORTED}, **self.values}
        return {name: float(value) for name, value in named.items() if value is not None}

    def __getitem__(self, name: str) -> Any:
        """One number by its name, or the status.

        Raises:
            KeyError: the run reported nothing of that name after this epoch.
        """
        if name in (*REPORTED, "status"):
            return getattr(self, name)
        return self.values[name]


REPORTED = tuple(each.name for each in fields(EpochReport) if each.name not in ("status", "values", "series", "note"))
"""The names of the numbers that every run reports."""


@dataclass(frozen=True)
class History:
    """What one run reported, epoch by epoch.

    Example:
        >>> history = train(task, recipe, batch_size=64, learning_rate=0.1)  # doctest: +SKIP
        >>> history["validation_accuracy"][-1]  # doctest: +SKIP
        0.93

    Attributes:
        status: how the run ended, one of STATUSES.
        epochs: one EpochReport per completed epoch.
        model: the trained model, in evaluation mode.
    """

    status: str
    epochs: tuple[EpochReport, ...]
    model: nn.Module | None = field(default=None, repr=False, compare=False)

    def __getitem__(self, name: str) -> list[Any]:
        """The values of one number, one per epoch; None for an epoch after which it has no value.

        Raises:
            KeyError: no epoch reported a number of that name.
        """
        names = dict.fromkeys(name for epoch in self.epochs for name in (*REPORTED, "status", *epoch.values))
        if name not in names:
            raise KeyError(f"{name!r}: the run reported {', '.join(names)}")
        return [epoch.values.get(name) if name not in (*REPORTED, "status") else epoch[name] for epoch in self.epochs]

    @property
    def series(self) -> dict[str, list[tuple[int, float]]]:
        """The series of all epochs, by name, as (position, number) pairs in order."""
        names = dict.fromkeys(name for epoch in self.epochs for name in epoch.series)
        return {name: [pair for epoch in self.epochs for pair in epoch.series.get(name, ())] for name in names}
