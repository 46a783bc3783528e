"""Study: what varies."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from analysis.frontier import Group
from analysis.question import Question
from search_spaces.frontier import Plan
from trainables import Recipe, Task
from trainables.checks import check_batch_size, check_learning_rate, check_normalization
from trainables.errors import require
from trainables.recipe import scale_at
from trainables.scaling import LinearScaling, Scaling, SquareRootScaling

RULE_NAMES = {"LinearScaling": "linear", "SquareRootScaling": "square_root", "NoScaling": "unscaled"}


@dataclass(frozen=True)
class Study:
    """How far does the learning rate of a task scale with the batch size?

    Attributes:
        name: of the study; its MLflow experiment and results folder carry it.
        question: one sentence, printed before it starts.
        task: what is trained. All runs get the same number of epochs.
        techniques: recipes by name; the first is the baseline, which sets A0.
        batch_sizes: global; the smallest is the baseline's.
        learning_rates: lowest and highest peak learning rate to try.
        first_learning_rate: where tuning the baseline starts.
        rules: whose prescriptions are tried at every batch size.
        seeds: baseline runs behind A0, besides the tuning run.
        seeds_near_margin: most runs at one learning rate elsewhere.
        tolerance: how far below A0 still holds, in accuracy: 0.01 for one percentage point.
        resolution: the widest interval to be content with, as a factor.
        max_runs: all runs together, baseline included.
    """

    name: str
    question: str
    task: Task
    techniques: Mapping[str, Recipe]
    batch_sizes: tuple[int, ...]
    learning_rates: tuple[float, float]
    first_learning_rate: float
    rules: tuple[Scaling, ...] = (LinearScaling(), SquareRootScaling())
    seeds: int = 3
    seeds_near_margin: int = 3
    tolerance: float = 0.01
    resolution: float = 1.25
    max_runs: int = 100

    def check(self, workers: int) -> "Study":
        """The study itself, if every run it can ask for can be trained on so many workers.

        Raises:
            UserError: naming what cannot be, its value, and what is accepted.
        """
        low, high = self.learning_rates
        check_learning_rate(low)
        check_learning_rate(high)
        require(low < high, f"learning rates {low:g} {high:g}: an empty range; the lowest must be below the highest")
        require(len(self.batch_sizes) > 0, "batch sizes: none given; at least one is needed")
        require(
            0 < self.tolerance < 1, f"tolerance {self.tolerance:g}: must be above 0 and below 1 (0.01 is one point)"
        )
        require(self.resolution > 1, f"resolution {self.resolution:g}: must be a factor above 1")
        require(2 <= self.seeds <= 100, f"seeds {self.seeds}: must be 2 to 100; A0 and its spread need 2")
        require(self.seeds_near_margin >= 1, f"seeds near margin {self.seeds_near_margin}: must be at least 1")
        require(self.max_runs >= 1, f"max runs {self.max_runs}: must be at least 1")
        for batch_size in self.batch_sizes:
            check_batch_size(self.task, batch_size, workers)
            for recipe in self.techniques.values():
                check_normalization(self.task, recipe, batch_size, workers)
        return self

    def plan(self) -> Plan:
        """The study as the search sees it."""
        batch_sizes = sorted(set(self.batch_sizes))
        groups = tuple(Group(technique, size) for size in batch_sizes for technique in self.techniques)
        low, high = self.learning_rates
        question = Question(
            groups=groups,
            baseline=groups[0],
            learning_rates=self.learning_rates,
            tolerance=self.tolerance,
            resolution=self.resolution,
            validation_samples=self.task.data.validation_samples,
            rules={rule_name(rule): tuple(self._ratio(rule, group) for group in groups) for rule in self.rules},
        )
        first = min(max(self.first_learning_rate, low), high)
        return Plan(question, first, self.seeds, self.seeds_near_margin, self.max_runs)

    def _ratio(self, rule: Scaling, group: Group) -> float:
        """The multiple of the baseline's learning rate that a rule prescribes."""
        base = self.techniques[group.technique].base_batch_size
        return scale_at(rule, group.batch_size, base) / scale_at(rule, min(self.batch_sizes), base)

    def with_choices(self, **choices: object) -> "Study":
        """The study with the fields that were chosen (not None) replaced."""
        chosen: dict[str, Any] = {name: value for name, value in choices.items() if value is not None}
        return replace(self, **chosen)


def rule_name(rule: Scaling) -> str:
    """A rule's name in tables and pictures."""
    return RULE_NAMES.get(type(rule).__name__, repr(rule))
