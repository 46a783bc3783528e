"""Metric: what a task's runs are judged by.

A metric is a frozen dataclass. To add one, subclass Metric, here or in a module of your own, and say its total:

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
from trainables.loss import check_same_shape, logits_of
from trainables.nested import Nested, answers_in
from trainables.score import HIGHEST_LOG, Quantity, Score

PIECE_DEVIATION = 0.12
"""The standard deviation, in nats, of the luck that a run has on a piece of 20 words, compared with runs as good as it
is. Two seeds of the quick language model differ by about this, times the root of 2."""


class Metric(Score, ABC):
    """What is measured on batches, and the score that is made of its mean."""

    @abstractmethod
    def total(self, outputs: Any, targets: Nested) -> Tensor:
        """The sum, over the answers of a batch, of what the mean is the mean of; a scalar."""

    def answers(self, targets: Nested) -> int:
        """How many answers the sum is over."""
        return answers_in(targets)

    def report(self, split: str, loss: float, mean: float) -> dict[str, float]:
        """What a run reports of a split, by name, from its mean loss and the mean."""
        return {f"{split}_{self.reported}": mean}

    def guess(self, classes: int) -> float | None:
        """The mean of a guess among so many classes; None where a guess has no meaning."""
        return None


class _RightAnswers(Metric):
    """What accuracy and perplexity share: the share of right answers is reported as the accuracy."""

    @property
    def reported(self) -> str:
        return "accuracy"

    def total(self, outputs: Any, targets: Nested) -> Tensor:
        return (logits_of(outputs).argmax(-1) == targets).sum()

    def guess(self, classes: int) -> float | None:
        return 1 / classes


@dataclass(frozen=True)
class Accuracy(_RightAnswers):
    """The share of samples whose label is among the highest logits, 0 to 1; a tolerance of 0.01 is a percentage point.

    Attributes:
        top: how many of the highest logits are looked at.

    Raises:
        UserError: top below 1.
    """

    top: int = 1

    def __post_init__(self) -> None:
        require(self.top >= 1, f"Accuracy top {self.top}: must be at least 1")

    @property
    def name(self) -> str:
        return "accuracy" if self.top == 1 else f"top{self.top}_accuracy"

    def total(self, outputs: Any, targets: Nested) -> Tensor:
        if self.top == 1:
            return super().total(outputs, targets)
        return (logits_of(outputs).topk(self.top, dim=-1).indices == targets[..., None]).sum()

    def show(self, score: float) -> str:
        return f"{score:.2%}"

    def guess(self, classes: int) -> float | None:
        return min(self.top / classes, 1.0)

    def floor(self, score: float, samples: int) -> float:
        """Binomial: sqrt(p (1 - p) / N)."""
        likely = min(max(score, 1 / samples), 1 - 1 / samples)
        return math.sqrt(likely * (1 - likely) / samples)


@dataclass(frozen=True)
class Perplexity(_RightAnswers):
    """exp(mean loss); lower is better. The score is minus the loss, so a tolerance of 0.01 is one per cent of it."""

    lower_is_better = True

    def score(self, loss: float, mean: float) -> float:
        return -loss

    def show(self, score: float) -> str:
        value = self.value(score)
        return f"{value:.2f}" if value < 1e6 else f"{value:.3g}"

    def report(self, split: str, loss: float, mean: float) -> dict[str, float]:
        return {**super().report(split, loss, mean), f"{split}_perplexity": math.exp(min(loss, HIGHEST_LOG))}

    def floor(self, score: float, samples: int) -> float:
        """Runs are compared on the same text, so what matters is how much they differ on a piece of it."""
        return PIECE_DEVIATION / math.sqrt(samples)


@dataclass(frozen=True)
class MeanSquaredError(Metric):
    """The mean squared difference between outputs and targets, which have the same shape; lower is better."""

    lower_is_better = True

    def total(self, outputs: Any, targets: Nested) -> Tensor:
        check_same_shape(self, outputs, targets)
        return F.mse_loss(outputs, targets, reduction="sum")


def named(name: str) -> Score:
    """The metric of that name, one of this module's that judge classes.

    Raises:
        UserError: none is called so.
    """
    if name == Perplexity().name:
        return Perplexity()
    top = re.fullmatch(r"(?:top(\d+)_)?accuracy", name)
    require(top is not None, f"metric {name!r}: must be accuracy, topN_accuracy or perplexity")
    assert top is not None
    return Accuracy(top=int(top[1] or 1))


def written(score: Score) -> str | dict[str, object]:
    """A metric as a study writes it down, to be read back without the module that defines it."""
    if isinstance(score, Accuracy | Perplexity):
        return score.name
    return {"label": score.name, "less": score.lower_is_better}


def read(value: str | Mapping[str, Any]) -> Score:
    """What `written` wrote."""
    return named(value) if isinstance(value, str) else Quantity(value["label"], value["less"])
