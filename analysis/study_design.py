"""StudyDesign: what a study compares and how finely, in plain values that can be written as JSON and read back.

The search and the report both use it. Besides the runs, it is all that the report knows of a study.
"""

import json
from dataclasses import asdict, dataclass

from analysis.outcomes import Group
from trainables.metric import Accuracy, read, written
from trainables.score import Score

GUESS_DEVIATIONS = 3.0
"""A run has learnt something when its score is above chance by more than this many standard deviations."""


@dataclass(frozen=True)
class StudyDesign:
    """Which groups are compared with which baseline.

    Attributes:
        groups: every technique and batch size, in the order they are searched.
        baseline: the group that sets A0.
        learning_rates: the lowest and the highest learning rate to try.
        tolerance: how far below A0 a score may lie and still hold, in the score's unit.
        resolution: the widest interval of an edge that the search accepts, as a factor.
        validation_samples: the number of samples that runs are judged on.
        dimensions: the names of what is searched besides the learning rate.
        rules: by name, for each group the multiple of the baseline's best learning rate that the rule prescribes.
        metric: the metric that runs are judged by.
        chance: the score of a guess; None where the task has no classes to guess among.
        train_samples: the number of training samples.
    """

    groups: tuple[Group, ...]
    baseline: Group
    learning_rates: tuple[float, float]
    tolerance: float
    resolution: float
    validation_samples: int
    dimensions: tuple[str, ...]
    rules: dict[str, tuple[float, ...]]
    metric: Score = Accuracy()
    chance: float | None = 0.0
    train_samples: int = 0

    def floor(self, score: float) -> float:
        """The part of a score's standard deviation that comes from the limited number of validation samples."""
        return self.metric.floor(score, self.validation_samples)

    @property
    def guess(self) -> float:
        """The highest score that a guess may reach by luck."""
        return float("-inf") if self.chance is None else self.chance + GUESS_DEVIATIONS * self.floor(self.chance)

    def inside(self, learning_rate: float) -> float:
        """The learning rate, moved into the searched range and rounded to 6 digits, so that equal rates are equal."""
        low, high = self.learning_rates
        return min(max(float(f"{learning_rate:.6g}"), low), high)

    def prescription(self, rule: str, group: Group, base: float) -> float | None:
        """The learning rate that a rule prescribes for a group, given the baseline's best; None outside the range."""
        wanted = base * self.rules[rule][self.groups.index(group)]
        low, high = self.learning_rates
        inside = low <= wanted * (1 + 1e-6) and wanted <= high * (1 + 1e-6)
        return self.inside(wanted) if inside else None

    def to_json(self) -> str:
        return json.dumps({**asdict(self), "metric": written(self.metric)})

    @staticmethod
    def from_json(text: str) -> "StudyDesign":
        value = json.loads(text)
        return StudyDesign(
            groups=tuple(Group(*group) for group in value["groups"]),
            baseline=Group(*value["baseline"]),
            learning_rates=(value["learning_rates"][0], value["learning_rates"][1]),
            tolerance=value["tolerance"],
            resolution=value["resolution"],
            validation_samples=value["validation_samples"],
            dimensions=tuple(value["dimensions"]),
            rules={name: tuple(ratios) for name, ratios in value["rules"].items()},
            metric=read(value["metric"]),
            chance=value["chance"],
            train_samples=value["train_samples"],
        )
