"""Study: what varies."""

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from optuna.distributions import FloatDistribution, IntDistribution

from analysis.frontier import Group, Setting
from analysis.paper_table import PaperTable
from analysis.question import Question
from analysis.tables import COLUMNS
from search_spaces.plan import Plan
from trainables import Recipe, Task
from trainables.checks import check_fit, check_learning_rate, check_model, check_run
from trainables.data import ImageFolder, TextCorpus
from trainables.errors import UserError, require
from trainables.metric import Accuracy, named
from trainables.metrics import chance_loss
from trainables.recipe import value_in, with_values
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
        tolerance: how far below A0 still holds; 0.01 is a percentage point of accuracy, or one per cent of perplexity.
        resolution: the widest interval to be content with, as a factor.
        max_runs: all runs together, baseline included.
        dimensions: what to search besides the learning rate, by name: numeric fields of the recipes' slots, such as
            "optimizer.momentum", each with an Optuna distribution. Every technique's own value must lie inside.
        draws: settings of them to try at each technique and batch size, besides the technique's own.
        left_out: what of its papers' setting this budget leaves out, in words.
        substitute: what is trained instead where the task's data cannot be had; None to refuse.
        tables: the papers' tables that can be run instead of a search.
        table_techniques: recipes that only tables use, by name.
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
    dimensions: Mapping[str, FloatDistribution | IntDistribution] = field(default_factory=dict)
    draws: int = 6
    left_out: str = ""
    substitute: Task | None = None
    tables: tuple[PaperTable, ...] = ()
    table_techniques: Mapping[str, Recipe] = field(default_factory=dict)

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
        require(self.resolution >= 1.05, f"resolution {self.resolution:g}: must be a factor of at least 1.05")
        require(2 <= self.seeds <= 100, f"seeds {self.seeds}: must be 2 to 100; A0 and its spread need 2")
        require(self.seeds_near_margin >= 1, f"seeds near margin {self.seeds_near_margin}: must be at least 1")
        require(self.max_runs >= 1, f"max runs {self.max_runs}: must be at least 1")
        named(self.task.metric.name)  # or the report could not read it back
        check_model(self.task)
        for recipe in self.techniques.values():
            for batch_size in self.batch_sizes:
                self._check_runs(recipe, batch_size, workers)
            for rule in self.rules:
                require(
                    rule.adapt(recipe.optimizer, 2.0) == recipe.optimizer,
                    f"rule {rule!r}: moves the optimizer too, and prescriptions are of learning rates; make it a "
                    "technique's scaling",
                )
        self._check_dimensions(workers)
        self._check_prescriptions()
        return self

    def check_tables(self, workers: int) -> "Study":
        """The study itself, if every run of its tables can be trained on so many workers, and every column shown.

        Raises:
            UserError: naming what cannot be, its value, and what is accepted.
        """
        named(self.task.metric.name)
        check_model(self.task)
        for table in self.tables:
            require(len(table.runs) > 0, f"{table.name}: has no runs")
            for column in table.columns:
                known = ", ".join(COLUMNS)
                require(column in COLUMNS, f"{table.name}: column {column!r} is not one of {known}")
            for run in table.runs:
                known = ", ".join(self.all_techniques)
                require(
                    run.technique in self.all_techniques,
                    f"{table.name}: technique {run.technique!r} is not one of {known}",
                )
                task = replace(self.task, epochs=run.epochs)
                check_run(task, self.all_techniques[run.technique], run.batch_size, run.learning_rate, workers)
        return self

    @property
    def all_techniques(self) -> dict[str, Recipe]:
        """Those that are searched and those that only tables use."""
        return {**self.techniques, **self.table_techniques}

    def plan(self) -> Plan:
        """The study as the search sees it."""
        batch_sizes = sorted(set(self.batch_sizes))
        groups = tuple(Group(technique, size) for size in batch_sizes for technique in self.techniques)
        low, high = self.learning_rates
        classes = self.task.data.classes
        question = Question(
            groups=groups,
            baseline=groups[0],
            learning_rates=self.learning_rates,
            tolerance=self.tolerance,
            resolution=self.resolution,
            validation_samples=self.task.data.validation_samples,
            dimensions=tuple(sorted(self.dimensions)),
            rules={rule_name(rule): tuple(self._ratio(rule, group) for group in groups) for rule in self.rules},
            metric=self.task.metric,
            chance=self.task.metric.score(chance_loss(classes), self.task.metric.chance(classes)),
            train_samples=self.task.data.train_samples,
        )
        return Plan(
            question,
            first=min(max(self.first_learning_rate, low), high),
            seeds=self.seeds,
            seeds_near_margin=self.seeds_near_margin,
            max_runs=self.max_runs,
            epochs=self.task.epochs,
            grace_epochs={group: self._grace_epochs(group) for group in groups},
            dimensions=self.dimensions,
            own={name: self._own(recipe) for name, recipe in self.techniques.items()} if self.dimensions else {},
            draws=self._distinct_draws(),
        )

    def _distinct_draws(self) -> int:
        """Draws, no more than there are settings besides a technique's own."""
        if not self.dimensions or any(isinstance(each, FloatDistribution) for each in self.dimensions.values()):
            return self.draws if self.dimensions else 0
        return min(self.draws, math.prod(each.high - each.low + 1 for each in self.dimensions.values()) - 1)

    def _own(self, recipe: Recipe) -> Setting:
        return tuple((name, value_in(recipe, name)) for name in sorted(self.dimensions))

    def _grace_epochs(self, group: Group) -> int:
        """The first epoch after which a group's warm-up is over, at least 1; the longest the dimensions allow."""
        epochs = self.task.epochs
        recipe = self.techniques[group.technique]
        longest = {name: each.high for name, each in self.dimensions.items() if name.startswith("warmup.")}
        warmup = with_values(recipe, longest).warmup
        slowest = recipe.scaling.counts(recipe.start(group.batch_size))  # AdaScale's schedule before it has measured
        for epoch in range(1, epochs):
            if warmup.over(replace(recipe.start(group.batch_size, epochs), epoch=slowest * epoch)):
                return epoch
        return epochs

    def _check_prescriptions(self) -> None:
        """A range that no prescription can lie in, wherever the baseline's best turns out to be, is refused."""
        question = self.plan().question
        others = [at for at, group in enumerate(question.groups) if group.batch_size != min(self.batch_sizes)]
        ratios = [question.rules[name][position] for name in question.rules for position in others]
        low, high = self.learning_rates
        least = min((max(ratio, 1 / ratio) for ratio in ratios), default=1.0)
        require(
            least <= high / low * (1 + 1e-6),
            f"learning rates {low:g} {high:g}: exclude every prescription of the rules, which are at least a factor "
            f"{least:g} from the baseline's rate; the range must span that factor",
        )

    def _check_dimensions(self, workers: int) -> None:
        require(not self.dimensions or self.draws >= 1, f"draws {self.draws}: must be at least 1 to search dimensions")
        for name, recipe in self.techniques.items():
            for dimension, each in self.dimensions.items():
                own = value_in(recipe, dimension)
                require(each.low < each.high, f"dimension {dimension} {each.low:g} to {each.high:g}: an empty range")
                require(
                    each.low <= own <= each.high,
                    f"dimension {dimension} {each.low:g} to {each.high:g}: must hold technique {name}'s own {own:g}",
                )
            for ends in itertools.product(*((each.low, each.high) for each in self.dimensions.values())):
                changed = with_values(recipe, dict(zip(self.dimensions, ends, strict=True)))
                for batch_size in self.batch_sizes:
                    self._check_runs(changed, batch_size, workers)

    def _check_runs(self, recipe: Recipe, batch_size: int, workers: int) -> None:
        check_fit(self.task, recipe, batch_size, workers)
        stretch = recipe.scaling.stretch(recipe.start(batch_size))
        require(
            stretch == 1,
            f"scaling {recipe.scaling!r}: may last {stretch:g} times the epochs, but studies hold epochs equal",
        )

    def _ratio(self, rule: Scaling, group: Group) -> float:
        """The multiple of the baseline's learning rate that a rule prescribes."""
        recipe = replace(self.techniques[group.technique], scaling=rule)
        return recipe.scale(group.batch_size) / recipe.scale(min(self.batch_sizes))

    def on(self, folder: Path) -> "Study":
        """The study on the data in a user's own folder, with a model of as many classes, and accuracy where top 5 says
        nothing.

        Raises:
            UserError: the study's data is no text and no folder of images, or nothing of that kind lies there.
        """
        data = self.task.data
        if not isinstance(data, (TextCorpus, ImageFolder)):
            raise UserError(
                f"--data {folder}: {self.name} trains on {type(data).__name__}; only texts and folders of images can "
                "be replaced"
            )
        found, task = data.at(folder.absolute()), self.task
        if isinstance(found, ImageFolder):
            model: Any = task.model  # every model of a study that trains on folders has its classes as a field
            task = replace(task, model=replace(model, classes=found.classes))
            if found.classes <= 5:
                task = replace(task, metric=Accuracy())
        return replace(self, task=replace(task, data=found), substitute=None)

    def with_choices(self, **choices: object) -> "Study":
        """The study with the fields that were chosen (not None) replaced."""
        chosen: dict[str, Any] = {name: value for name, value in choices.items() if value is not None}
        return replace(self, **chosen)


def rule_name(rule: Scaling) -> str:
    """A rule's name in tables and pictures."""
    return RULE_NAMES.get(type(rule).__name__, repr(rule))
