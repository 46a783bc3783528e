"""Names and units of everything a run reports, in one place."""

from collections.abc import Mapping
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
"""How a run can end. A diverged run is a measurement, not an error: its score is that of a guess."""

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class EpochReport:
    """What a run reports after each epoch. Every number is finite, whatever happened.

    Attributes:
        epoch: epochs completed.
        samples: training samples seen; the last partial batch of an epoch is dropped and not counted.
        steps: optimizer steps taken.
        last_learning_rate: of the epoch's last step; the run's own learning rate is its peak.
        last_batch_size: global, of the epoch's last step; it differs from the run's own where the batch grows.
        train_loss: mean loss over the epoch's samples as they were trained on; cross-entropy is in nats.
        validation_loss: on the split the search may look at, after the epoch.
        test_loss: on the test split, after the last epoch only, otherwise None.
        train_seconds: since the start of the run, evaluation excluded.
        evaluation_seconds: since the start of the run.
        noise_scale: tr(Sigma) / |G|^2 averaged over the latest steps, samples; None where no slot asks for it.
        diverged: 1 or 0.
        status: "running", or how the run ended.
        values: what the task's metric makes of each split, such as train_accuracy, validation_accuracy and, after the
            last epoch, test_accuracy; and the task's measures by name, after the last epoch of a run that ended well.
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

    def numbers(self) -> dict[str, float]:
        """The numbers that have a value now, by name."""
        named = {**{name: getattr(self, name) for name in REPORTED}, **self.values}
        return {name: float(value) for name, value in named.items() if value is not None}

    def __getitem__(self, name: str) -> Any:
        """One number by name; None where it has no value now."""
        return self.values[name] if name in self.values else getattr(self, name, None)


REPORTED = tuple(each.name for each in fields(EpochReport) if each.name not in ("status", "values"))
"""The numbers that every run reports."""


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
        """One number's value after each epoch; None after those that have none.

        Raises:
            KeyError: no epoch reported anything of that name.
        """
        names = dict.fromkeys(name for epoch in self.epochs for name in (*REPORTED, "status", *epoch.values))
        if name not in names:
            raise KeyError(f"{name!r}: the run reported {', '.join(names)}")
        return [epoch[name] for epoch in self.epochs]
