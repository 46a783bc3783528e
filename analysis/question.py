"""What a study asks, as the search and the report both need it; plain numbers that survive a trip through JSON."""

import json
from dataclasses import asdict, dataclass

from analysis.frontier import Group
from trainables.metric import Accuracy, Metric, named

GUESS_DEVIATIONS = 3.0
"""How far above chance, in standard deviations, a run has learnt something."""


@dataclass(frozen=True)
class Question:
    """How far does the learning rate scale, in these groups?

    Attributes:
        groups: every technique and batch size, in the order they are searched.
        baseline: the group that sets A0.
        learning_rates: lowest and highest to try.
        tolerance: how far below A0 still holds, in the score's unit.
        resolution: the widest interval to be content with, as a factor.
        validation_samples: that runs are judged on.
        dimensions: names of what is searched besides the learning rate.
        rules: by name, for each group the multiple of the baseline's best learning rate that the rule prescribes.
        metric: what runs are judged by.
        chance: the score of a guess.
        train_samples: trained on in an epoch.
    """

    groups: tuple[Group, ...]
    baseline: Group
    learning_rates: tuple[float, float]
    tolerance: float
    resolution: float
    validation_samples: int
    dimensions: tuple[str, ...]
    rules: dict[str, tuple[float, ...]]
    metric: Metric = Accuracy()
    chance: float = 0.0
    train_samples: int = 0

    def floor(self, score: float) -> float:
        """Standard deviation of a score that judging on so few samples causes alone."""
        return self.metric.floor(score, self.validation_samples)

    @property
    def guess(self) -> float:
        """The highest score that a guess may reach by luck."""
        return self.chance + GUESS_DEVIATIONS * self.floor(self.chance)

    def inside(self, learning_rate: float) -> float:
        """The learning rate to 6 digits, since rates that agree in them are one, moved into the searched range."""
        low, high = self.learning_rates
        return min(max(float(f"{learning_rate:.6g}"), low), high)

    def prescription(self, rule: str, group: Group, base: float) -> float | None:
        """What a rule prescribes for a group, given the baseline's best learning rate; None outside the range."""
        wanted = base * self.rules[rule][self.groups.index(group)]
        low, high = self.learning_rates
        inside = low <= wanted * (1 + 1e-6) and wanted <= high * (1 + 1e-6)
        return self.inside(wanted) if inside else None

    def to_json(self) -> str:
        return json.dumps({**asdict(self), "metric": self.metric.name})

    @staticmethod
    def from_json(text: str) -> "Question":
        value = json.loads(text)
        return Question(
            groups=tuple(Group(*group) for group in value["groups"]),
            baseline=Group(*value["baseline"]),
            learning_rates=(value["learning_rates"][0], value["learning_rates"][1]),
            tolerance=value["tolerance"],
            resolution=value["resolution"],
            validation_samples=value["validation_samples"],
            dimensions=tuple(value["dimensions"]),
            rules={name: tuple(ratios) for name, ratios in value["rules"].items()},
            metric=named(value.get("metric", "accuracy")),  # studies of before there was another have no more
            chance=value.get("chance", 0.0),
            train_samples=value.get("train_samples", 0),
        )
