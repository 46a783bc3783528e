"""What runs are judged by: a score of which more is better, whatever the task counts."""

import math
import re
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from trainables.errors import require

PIECE_DEVIATION = 0.12
"""By how much a run is luckier than others as good on a piece of 20 words, nats: a standard deviation, about what two
seeds of the quick language model differ by, over the root of 2."""

MOST_NATS = 700.0
"""The mean loss above which a perplexity is no longer a finite number."""


class Metric(Protocol):
    """What a task's runs are judged by.

    Attributes:
        name: in tables and files.
        unit: of a tolerance, as people read it, for `100 * tolerance`.
    """

    @property
    def name(self) -> str: ...
    @property
    def unit(self) -> str: ...

    def right(self, logits: Tensor, labels: Tensor) -> Tensor:
        """How many answers are right; logits (..., classes), labels (...)."""
        ...

    def score(self, loss: float, accuracy: float) -> float:
        """The score of a run, from its mean loss in nats and the share of right answers."""
        ...

    def value(self, score: float) -> float:
        """A score as people read it."""
        ...

    def show(self, score: float) -> str:
        """The same, as text."""
        ...

    def chance(self, classes: int) -> float:
        """The share of right answers of a guess."""
        ...

    def floor(self, score: float, samples: int) -> float:
        """Standard deviation of a score that so few samples to judge on cause alone."""
        ...


@dataclass(frozen=True)
class Accuracy:
    """The share of samples whose label is among the highest logits, 0 to 1; a tolerance of 0.01 is a percentage point.

    Attributes:
        top: how many of the highest logits count.

    Raises:
        UserError: top below 1.
    """

    top: int = 1

    def __post_init__(self) -> None:
        require(self.top >= 1, f"Accuracy top {self.top}: must be at least 1")

    @property
    def name(self) -> str:
        return "accuracy" if self.top == 1 else f"top{self.top}_accuracy"

    @property
    def unit(self) -> str:
        return "points"

    def right(self, logits: Tensor, labels: Tensor) -> Tensor:
        if self.top == 1:
            return (logits.argmax(-1) == labels).sum()
        return (logits.topk(self.top, dim=-1).indices == labels[..., None]).sum()

    def score(self, loss: float, accuracy: float) -> float:
        return accuracy

    def value(self, score: float) -> float:
        return score

    def show(self, score: float) -> str:
        return f"{score:.2%}"

    def chance(self, classes: int) -> float:
        return min(self.top / classes, 1.0)

    def floor(self, score: float, samples: int) -> float:
        """Binomial: sqrt(p (1 - p) / N)."""
        likely = min(max(score, 1 / samples), 1 - 1 / samples)
        return math.sqrt(likely * (1 - likely) / samples)


@dataclass(frozen=True)
class Perplexity:
    """exp(mean loss); lower is better. The score is minus the loss, so a tolerance of 0.01 is one per cent of it."""

    @property
    def name(self) -> str:
        return "perplexity"

    @property
    def unit(self) -> str:
        return "%"

    def right(self, logits: Tensor, labels: Tensor) -> Tensor:
        return (logits.argmax(-1) == labels).sum()

    def score(self, loss: float, accuracy: float) -> float:
        return -loss

    def value(self, score: float) -> float:
        return math.exp(min(-score, MOST_NATS))

    def show(self, score: float) -> str:
        value = self.value(score)
        return f"{value:.2f}" if value < 1e6 else f"{value:.3g}"

    def chance(self, classes: int) -> float:
        return 1 / classes

    def floor(self, score: float, samples: int) -> float:
        """Runs are compared on the same text: what counts is how they differ on a piece of it."""
        return PIECE_DEVIATION / math.sqrt(samples)


def named(name: str) -> Metric:
    """The metric of that name, as a study wrote it down.

    Raises:
        UserError: none is called so.
    """
    if name == Perplexity().name:
        return Perplexity()
    top = re.fullmatch(r"(?:top(\d+)_)?accuracy", name)
    require(top is not None, f"metric {name!r}: must be accuracy, topN_accuracy or perplexity")
    assert top is not None
    return Accuracy(top=int(top[1] or 1))
