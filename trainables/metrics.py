"""Names and units of everything a run reports, in one place."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

RUNNING = "running"
DONE = "done"
DIVERGED = "diverged"
STOPPED_EARLY = "stopped_early"
OUT_OF_MEMORY = "out_of_memory"
FAILED = "failed"

STATUSES = (DONE, DIVERGED, STOPPED_EARLY, OUT_OF_MEMORY, FAILED)
"""How a run can end. A diverged run is a measurement, not an error: its score is that of chance."""


@dataclass(frozen=True)
class EpochMetrics:
    """What a run reports after each epoch; every number is finite, whatever happened.

    Attributes:
        epoch: epochs completed.
        samples: training samples seen; the last partial batch of an epoch is dropped and not counted.
        steps: optimizer steps taken.
        learning_rate: of the last step.
        batch_size: global, of the last step.
        train_loss: mean cross-entropy over the epoch's samples as they were trained on, nats.
        train_accuracy: share of right answers among the same, as the task's metric counts them, 0 to 1.
        validation_loss, validation_accuracy: on the split the search may look at, after the epoch.
        test_loss, test_accuracy: on the test split, after the last epoch only, otherwise None.
        validation_perplexity, test_perplexity: exp(loss) of the same; None where the task's metric is another.
        train_seconds: since the start of the run, evaluation excluded.
        evaluation_seconds: since the start of the run.
        noise_scale: tr(Sigma) / |G|^2 averaged over the latest steps, samples; None where no slot asks for it.
        diverged: 1 or 0.
        status: "running", or how the run ended.
        measures: the task's further measures by name, after the last epoch of a run that ended well.
    """

    epoch: int
    samples: int
    steps: int
    learning_rate: float
    batch_size: int
    train_loss: float
    train_accuracy: float
    validation_loss: float
    validation_accuracy: float
    test_loss: float | None
    test_accuracy: float | None
    validation_perplexity: float | None
    test_perplexity: float | None
    train_seconds: float
    evaluation_seconds: float
    noise_scale: float | None
    diverged: int
    status: str
    measures: Mapping[str, float] = field(default_factory=dict)

    def numbers(self) -> dict[str, float]:
        """The metrics that have a value now, by name."""
        values = {**{name: getattr(self, name) for name in METRIC_NAMES}, **self.measures}
        return {name: float(value) for name, value in values.items() if value is not None}


METRIC_NAMES = tuple(each.name for each in fields(EpochMetrics) if each.name not in ("status", "measures"))


def chance_loss(classes: int) -> float:
    """Cross-entropy of a uniform guess, in nats: what a diverged run scores."""
    return math.log(classes)


@dataclass(frozen=True)
class History:
    """What one run reported, epoch by epoch.

    Example:
        >>> history = train(task, recipe, batch_size=64, learning_rate=0.1)  # doctest: +SKIP
        >>> history["validation_accuracy"][-1]  # doctest: +SKIP
        0.93

    Attributes:
        status: how the run ended, one of STATUSES.
        epochs: one EpochMetrics per completed epoch.
    """

    status: str
    epochs: tuple[EpochMetrics, ...]

    def __getitem__(self, name: str) -> list[Any]:
        """One metric's value after each epoch."""
        return [getattr(epoch, name) for epoch in self.epochs]
