"""Study: what varies."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from optuna.distributions import FloatDistribution, IntDistribution

from analysis.outcomes import Group, Setting
from analysis.paper_table import PaperTable
from analysis.study_design import StudyDesign
from search_spaces import study_checks
from search_spaces.policy.plan import Plan
from trainables import Recipe, Task
from trainables.data import ImageFolder, TextCorpus
from trainables.errors import UserError
from trainables.metric import Accuracy
from trainables.recipe import value_in, with_values
from trainables.scaling import LinearScaling, Scaling, SquareRootScaling


@dataclass(frozen=True)
class Study:
    """How far does the learning rate of a task scale with the batch size?

    Attributes:
        name: of the study; its MLflow experiment and results folder carry it.
        question: one sentence, printed before it starts.
        task: what is trained, and the loss and the metric. All runs get the same number of epochs.
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
        sampled_settings: how many settings of them to try in each group, besides the technique's own.
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
    sampled_settings: int = 6
    left_out: str = ""
    substitute: Task | None = None
    tables: tuple[PaperTable, ...] = ()
    table_techniques: Mapping[str, Recipe] = field(default_factory=dict)

    def check(self, workers: int) -> "Study":
        """The study itself, if every run that its search can ask for can be trained on so many workers.

        Raises:
            UserError: naming what cannot be, its value, and what is accepted.
        """
        study_checks.check_search(self, workers)
        return self

    def check_tables(self, workers: int) -> "Study":
        """The study itself, if every run of its tables can be trained on so many workers, and every column shown.

        Raises:
            UserError: naming what cannot be, its value, and what is accepted.
        """
        study_checks.check_tables(self, workers)
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
        design = StudyDesign(
            groups=groups,
            baseline=groups[0],
            learning_rates=self.learning_rates,
            tolerance=self.tolerance,
            resolution=self.resolution,
            validation_samples=self.task.data.validation_samples,
            dimensions=tuple(sorted(self.dimensions)),
            rules={rule.name: tuple(self._ratio(rule, group) for group in groups) for rule in self.rules},
            metric=self.task.metric,
            chance=self.task.guess_score,
            train_samples=self.task.data.train_samples,
        )
        return Plan(
            design,
            first=min(max(self.first_learning_rate, low), high),
            seeds=self.seeds,
            seeds_near_margin=self.seeds_near_margin,
            max_runs=self.max_runs,
            epochs=self.task.epochs,
            grace_epochs={group: self._grace_epochs(group) for group in groups},
            dimensions=self.dimensions,
            own={name: self._own(recipe) for name, recipe in self.techniques.items()} if self.dimensions else {},
            sampled_settings=self._distinct_settings(),
        )

    def _distinct_settings(self) -> int:
        """How many settings to try, no more than there are besides a technique's own."""
        if not self.dimensions or any(isinstance(each, FloatDistribution) for each in self.dimensions.values()):
            return self.sampled_settings if self.dimensions else 0
        return min(self.sampled_settings, math.prod(each.high - each.low + 1 for each in self.dimensions.values()) - 1)

    def _own(self, recipe: Recipe) -> Setting:
        return tuple((name, value_in(recipe, name)) for name in sorted(self.dimensions))

    def _grace_epochs(self, group: Group) -> int:
        """The first epoch after which a group's warm-up is over, at least 1; the longest the dimensions allow."""
        epochs = self.task.epochs
        recipe = self.techniques[group.technique]
        longest = {name: each.high for name, each in self.dimensions.items() if name.startswith("warmup.")}
        warmup = with_values(recipe, longest).warmup
        slowest = recipe.scaling.advance(recipe.start(group.batch_size))  # AdaScale's schedule before it has measured
        for epoch in range(1, epochs):
            if warmup.over(replace(recipe.start(group.batch_size, epochs), epoch=slowest * epoch)):
                return epoch
        return epochs

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
