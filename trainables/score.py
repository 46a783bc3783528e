"""Score: the one number that a run is judged by, where more is better. This module works without torch.

A metric measures a mean over a split, such as the fraction of right answers. Where a higher mean is better, the score
is the mean itself. Where a lower mean is better, the score is minus the logarithm of the mean, so that a tolerance of
0.01 is one per cent of the mean.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

HIGHEST_LOG = 700.0
"""The highest exponent that exp is called with; a little above it, exp is no longer a finite number."""

SEED_DEVIATION = 0.001
"""The lowest standard deviation between seeds that is assumed where a metric does not define its own: a thousandth of
the mean."""


class Score:
    """What the search and the report need to know about a metric."""

    @property
    def name(self) -> str:
        """The metric's name in tables and files: the class's name in lower case, as in absolute_error."""
        return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type(self).__name__).lower()

    @property
    def lower_is_better(self) -> bool:
        """Whether a lower mean is better; the mean must then be positive."""
        return False

    @property
    def reported(self) -> str:
        """The name under which runs report the mean, after the name of the split, as in validation_accuracy."""
        return self.name

    def show_difference(self, difference: float) -> str:
        """A difference of two scores in words, such as a tolerance: 3 points, 10 %, or a plain number."""
        return f"{100 * difference:g} {self.unit}" if self.unit else f"{difference:g}"

    @property
    def unit(self) -> str:
        """The unit of 100 times a difference of scores; empty where people read the difference itself."""
        return "%" if self.lower_is_better else ""

    def score(self, loss: float, mean: float) -> float:
        """The score of a run, from its mean loss and the mean that its metric measured."""
        return -math.log(max(mean, math.exp(-HIGHEST_LOG))) if self.lower_is_better else mean

    def value(self, score: float) -> float:
        """The number that people read in the place of a score, such as an error or a perplexity."""
        if not self.lower_is_better:
            return score
        return 0.0 if score >= HIGHEST_LOG else math.exp(min(-score, HIGHEST_LOG))

    def show(self, score: float) -> str:
        """The number that people read in the place of a score, as text."""
        return f"{self.value(score):.4g}"

    def floor(self, score: float, samples: int) -> float:
        """The lowest standard deviation that is assumed for a score that is judged on this number of samples."""
        return SEED_DEVIATION if self.lower_is_better else max(SEED_DEVIATION * abs(score), 1e-9)

    def score_of(self, report: Mapping[str, float], split: str = "validation") -> float:
        """The score that a run's report gives for a split.

        Args:
            report: what the run reported, by name.
            split: "train", "validation" or "test".
        """
        return self.score(report[f"{split}_loss"], report[f"{split}_{self.reported}"])


@dataclass(frozen=True)
class Quantity(Score):
    """The score of a user's own metric, as a study stored it.

    Attributes:
        label: the metric's name.
        less: whether a lower mean is better.
    """

    label: str
    less: bool = False

    @property
    def name(self) -> str:
        return self.label

    @property
    def lower_is_better(self) -> bool:
        return self.less
