"""Metric: what a task's runs are judged by.

A metric is a frozen dataclass. To add one, subclass Metric, here or in a module of your own, and define its total:

    @dataclass(frozen=True)
    class AbsoluteError(Metric):
        lower_is_better = True

        def total(self, outputs, targets):
            return (outputs - targets).abs().sum()
"""

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from trainables.errors import require
from trainables.loss import class_logits, same_shape
from trainables.nested import Nested, answers_in
from trainables.score import HIGHEST_LOG, Quantity, Score

PIECE_DEVIATION = 0.12
"""By how much, as a standard deviation in nats, a run's loss on one piece of 20 words differs from that of equally good
runs. Two seeds of the quick language model differ from each other by about the square root of 2 times this."""


class Metric(Score, ABC):
    """A quantity that is measured on batches, and the score that is computed from its mean."""

    @abstractmethod
    def total(self, outputs: Any, targets: Nested) -> Tensor:
        """The sum of the measured quantity over the answers of a batch, a scalar."""

    def answers(self, targets: Nested) -> int:
        """The number of answers that the sum is taken over."""
        return answers_in(targets)

    def report(self, split: str, loss: float, mean: float) -> dict[str, float]:
        """What a run reports about a split, by name, given the mean loss and the mean of the metric on it."""
        return {f"{split}_{self.reported}": mean}

    def guess(self, classes: int) -> float | None:
        """The metric's mean for a guess among this number of classes; None where a guess has no meaning."""
        return None


class _RightAnswers(Metric):
    """The base class of accuracy and perplexity: the fraction of right answers is reported as the accuracy."""

    @property
    def reported(self) -> str:
        return "accuracy"

    def total(self, outputs: Any, targets: Nested) -> Tensor:
        return (class_logits(self, outputs, targets).argmax(-1) == targets).sum()

    def guess(self, classes: int) -> float | None:
        return 1 / classes


@dataclass(frozen=True)
class Accuracy(_RightAnswers):
    """The fraction of answers whose label is among the highest logits, 0 to 1.

    A tolerance of 0.01 is one percentage point.

    Attributes:
        top: how many of the highest logits count, at least 1.

    Raises:
        UserError: top is below 1.
    """

    top: int = 1

    unit = "points"

    def __post_init__(self) -> None:
        require(self.top >= 1, f"Accuracy top {self.top}: must be at least 1")

    @property
    def name(self) -> str:
        return "accuracy" if self.top == 1 else f"top{self.top}_accuracy"

    def total(self, outputs: Any, targets: Nested) -> Tensor:
        if self.top == 1:
            return super().total(outputs, targets)
        logits = class_logits(self, outputs, targets)
        return (logits.topk(self.top, dim=-1).indices == targets[..., None]).sum()

    def show(self, score: float) -> str:
        return f"{score:.2%}"

    def guess(self, classes: int) -> float | None:
        return min(self.top / classes, 1.0)

    def floor(self, score: float, samples: int) -> float:
        """The standard deviation of a fraction p of N samples: sqrt(p (1 - p) / N)."""
        likely = min(max(score, 1 / samples), 1 - 1 / samples)
        return math.sqrt(likely * (1 - likely) / samples)


@dataclass(frozen=True)
class Perplexity(_RightAnswers):
    """exp(mean loss); lower is better. The score is minus the loss, so a tolerance of 0.01 is 1 % of the perplexity."""

    lower_is_better = True

    def score(self, loss: float, mean: float) -> float:
        return -loss

    def show(self, score: float) -> str:
        value = self.value(score)
        return f"{value:.2f}" if value < 1e6 else f"{value:.3g}"

    def report(self, split: str, loss: float, mean: float) -> dict[str, float]:
        return {**super().report(split, loss, mean), f"{split}_perplexity": math.exp(min(loss, HIGHEST_LOG))}

    def floor(self, score: float, samples: int) -> float:
        """By how much equally good runs differ on a text of this many pieces; all runs are judged on the same text."""
        return PIECE_DEVIATION / math.sqrt(samples)


@dataclass(frozen=True)
class MeanSquaredError(Metric):
    """The mean squared difference between outputs and targets, which have the same shape; lower is better."""

    lower_is_better = True

    def total(self, outputs: Any, targets: Nested) -> Tensor:
        return F.mse_loss(same_shape(self, outputs, targets), targets, reduction="sum")


def check_own_metric(metric: Metric) -> None:
    """Raise UserError where a metric of the user's own redefines how its score is made or shown.

    The report knows a metric of one's own by its name and its direction alone, so only these, what is summed, over how
    many answers, and what else is reported may be its own.
    """
    if type(metric) in (Accuracy, Perplexity):
        return
    for name in ("score", "value", "show", "show_difference", "unit", "floor", "reported", "score_of"):
        own = getattr(type(metric), name) is not getattr(Metric, name)
        require(
            not own,
            f"metric {metric!r}: redefines {name}; a subclass of Metric has its own name, lower_is_better, "
            "total, answers, report and guess",
        )


def named(name: str) -> Score:
    """The metric with this name, if it is one of this module's metrics for classes.

    Raises:
        UserError: no such metric has this name.
    """
    if name == Perplexity().name:
        return Perplexity()
    top = re.fullmatch(r"(?:top(\d+)_)?accuracy", name)
    require(top is not None, f"metric {name!r}: must be accuracy, topN_accuracy or perplexity")
    assert top is not None
    return Accuracy(top=int(top[1] or 1))


def written(score: Score) -> str | dict[str, object]:
    """A metric in the form in which a study stores it; it can be read back without the module that defines it."""
    if type(score) in (Accuracy, Perplexity):
        return score.name
    return {"label": score.name, "less": score.lower_is_better}


def read(value: str | Mapping[str, Any]) -> Score:
    """The metric that `written` stored."""
    return named(value) if isinstance(value, str) else Quantity(value["label"], value["less"])
