"""Task: what is trained."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from torch import nn

from trainables.data.loading.source import Data
from trainables.errors import require
from trainables.history import REPORTED, SPLITS
from trainables.loss import CrossEntropy, Loss
from trainables.measure import Measure, Tracked
from trainables.metric import Accuracy, Metric, Perplexity, check_own_metric

RESERVED = (
    *("technique", "batch_size", "learning_rate", "run_id", "seed", "setting", "status", "error", "trace", "done"),
    *("series", "start_batch_size", "peak_learning_rate"),
)
"""Names that a run has besides what it reports."""


class Means(NamedTuple):
    """The loss and the metric of a model on a split.

    Attributes:
        loss: the mean loss.
        mean: the mean that the task's metric measures.
    """

    loss: float
    mean: float


@dataclass(frozen=True)
class Task:
    """What is trained.

    Attributes:
        model: a function or dataclass that builds a newly initialised module when it is called without arguments. The
            module is called with the inputs that the data gives: a tensor, a tuple of arguments, or a mapping of
            arguments by name.
        data: the data set that the model is trained and judged on.
        epochs: number of epochs, in which schedules count; the model is evaluated after each.
        metric: what runs are judged by.
        loss: what training minimises.
        measures: what else is measured on the final model of a run that ended well.
        tracked: what is measured during training.
        passes_per_epoch: number of passes over the training set that make an epoch. It differs from 1 where runs at
            several batch sizes are given equally many steps, or seconds, and so more samples at a larger one. All
            schedules are stretched by it.

    Raises:
        UserError: model is a module and not something that builds one, epochs is below 1, passes_per_epoch is not above
            0, a name would be reported twice, or the metric is a perplexity and the loss is not the plain
            cross-entropy.
    """

    model: Callable[[], nn.Module]
    data: Data
    epochs: int
    metric: Metric = Accuracy()
    loss: Loss = CrossEntropy()
    measures: tuple[Measure, ...] = ()
    tracked: tuple[Tracked, ...] = ()
    passes_per_epoch: float = 1.0

    def __post_init__(self) -> None:
        require(
            callable(self.model) and not isinstance(self.model, nn.Module),
            f"Task model {type(self.model).__name__}: must be a function or dataclass that builds a new model "
            "each time it is called, as each seed draws its own weights (for given ones, `lambda: copy.deepcopy(it)`)",
        )
        for name, base, use in (
            ("metric", Metric, "an object such as Accuracy(), or of a subclass of trainables.metric.Metric"),
            ("loss", Loss, "an object such as CrossEntropy(), or of a subclass of trainables.loss.Loss"),
        ):
            value = getattr(self, name)
            require(isinstance(value, base), f"Task {name} {value!r}: must be {use}")
        require(
            Data in type(self.data).__mro__,
            f"Task data {type(self.data).__name__}: must be TensorData(...), DatasetData(...) or of another subclass "
            "of trainables.data.Data",
        )
        require(
            isinstance(self.epochs, int) and self.epochs >= 1,
            f"Task epochs {self.epochs!r}: must be a whole number, at least 1",
        )
        require(
            isinstance(self.passes_per_epoch, int | float) and 0 < self.passes_per_epoch < math.inf,
            f"Task passes_per_epoch {self.passes_per_epoch!r}: must be a positive number",
        )
        require(
            not isinstance(self.metric, Perplexity) or self.loss == CrossEntropy(),
            f"Task loss {self.loss!r}: a perplexity is of the plain cross-entropy; use CrossEntropy()",
        )
        check_own_metric(self.metric)
        names = [*self.reported_names, *(each.name for each in self.tracked)]
        twice = sorted({name for name in names if names.count(name) > 1 or name in RESERVED})
        require(
            not twice,
            f"Task metric {self.metric!r}, measures {(*self.measures, *self.tracked)!r}: {', '.join(twice)} would be "
            "reported twice",
        )
        odd = [name for name in names if not name.isidentifier()]
        require(not odd, f"Task metric or measure name {', '.join(odd)}: must be letters, digits and underscores")

    @property
    def reported_names(self) -> tuple[str, ...]:
        """The name of every number that a run of this task may report."""
        of_metric = [name for split in SPLITS for name in self.metric.report(split, 0.0, 1.0)]
        return (*REPORTED, *of_metric, *(measure.name for measure in self.measures))

    @property
    def guess(self) -> Means | None:
        """The loss and the metric of a guess among the classes; None where they are not known without training."""
        classes = self.data.classes
        if classes is None:
            return None
        loss, mean = self.loss.guess(classes), self.metric.guess(classes)
        return None if loss is None or mean is None else Means(loss, mean)

    @property
    def guess_score(self) -> float | None:
        """The score of a guess among the classes; None where it is not known without training."""
        return None if self.guess is None else self.metric.score(*self.guess)
