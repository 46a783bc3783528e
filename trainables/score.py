"""Score: the one number a run is judged by, of which more is better, and how people read it. Plain numbers, no torch.

A metric measures a mean over a split, such as the share of right answers. The score is made of it so that a tolerance
means the same everywhere: where more is better it is the mean itself, and where less is better it is minus the mean's
logarithm, so that a tolerance of 0.01 is one per cent of it.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

HIGHEST_LOG = 700.0
"""The logarithm above which the exponential is no longer a finite number."""

SEED_DEVIATION = 0.001
"""What two runs of different seeds are taken to differ by at least, where a metric says nothing of it: a thousandth."""


class Score:
    """What the search and the report need to know of a metric."""

    @property
    def name(self) -> str:
        """In tables and files: the class's name in lower case, AbsoluteError as absolute_error."""
        return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type(self).__name__).lower()

    @property
    def lower_is_better(self) -> bool:
        """Whether less of the mean is better; the mean must then be positive."""
        return False

    @property
    def reported(self) -> str:
        """The name under which runs report the mean, after the name of the split."""
        return self.name

    @property
    def unit(self) -> str:
        """The unit of `100 * tolerance`, as people read it."""
        return "%" if self.lower_is_better else "points"

    def score(self, loss: float, mean: float) -> float:
        """The score of a run, from its mean loss and the mean that its metric measured."""
        return -math.log(max(mean, math.exp(-HIGHEST_LOG))) if self.lower_is_better else mean

    def value(self, score: float) -> float:
        """A score as people read it."""
        return math.exp(min(-score, HIGHEST_LOG)) if self.lower_is_better else score

    def show(self, score: float) -> str:
        """The same, as text."""
        return f"{self.value(score):.4g}"

    def floor(self, score: float, samples: int) -> float:
        """The standard deviation of a score that judging on so few samples causes alone."""
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
    """The score of a metric of one's own, as a study wrote it down.

    Attributes:
        label: the metric's name.
        less: whether less of it is better.
    """

    label: str
    less: bool = False

    @property
    def name(self) -> str:
        return self.label

    @property
    def lower_is_better(self) -> bool:
        return self.less
