"""Study: what is compared for a task, and how it is searched."""

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
from trainables.measure import Measure, Tracked
from trainables.metric import Accuracy
from trainables.recipe import value_in, with_values
from trainables.scaling import LinearScaling, Scaling, SquareRootScaling


@dataclass(frozen=True)
class Study:
    """How to find out how far the learning rate of a task scales with the batch size.

    Attributes:
        name: the name of the study, of its MLflow experiment and of its results folder.
        question: one sentence, which is printed before the study starts.
        task: what is trained, with its loss and its metric. All runs of a search have the same number of epochs.
        techniques: recipes by name. The first, at the baseline's batch size, is the baseline, which sets A0.
        batch_sizes: the global batch sizes to search.
        learning_rates: the lowest and the highest peak learning rate to try.
        first_learning_rate: the learning rate at which tuning the baseline starts.
        baseline_batch_size: the baseline's, one of batch_sizes; None for the smallest. From a larger one, rules scale
            down as well as up, as LEGW does.
        held_equal: what runs at all batch sizes get the same amount of: "epochs", optimizer "steps", or "seconds" of
            training. With the latter two, the baseline's epochs are passes over the training set, and those of another
            batch size are as many passes as take as many steps, or as long; a batch must not grow then.
        rules: the scaling rules whose prescriptions are judged at every batch size, by the curve through its runs.
        seeds: the least number of baseline runs that A0 is read off.
        first_seed: this is added to the seed of every run, so that a study can be repeated with other random draws.
        seeds_near_margin: the most runs at any other learning rate.
        tolerance: how far below A0 a score may lie and still hold; 0.01 is a percentage point of accuracy, or one per
            cent of perplexity.
        resolution: the widest interval of an edge that the search accepts, as a factor.
        max_runs: the most runs in all, the baseline's included.
        dimensions: what to search besides the learning rate, by name: numeric fields of the recipes' slots, such as
            "optimizer.momentum", each with an Optuna distribution that contains every technique's own value.
        sampled_settings: how many settings of these dimensions to try in each group, besides the technique's own.
        left_out: what this budget leaves out of its papers' settings, in words.
        substitute: the task that is trained instead where the task's data cannot be had; None where that is an error.
        tables: the papers' tables that can be run instead of a search.
        table_techniques: recipes that only tables use, by name.
        table_measures: what the runs of tables measure on their final models, besides the task's own measures.
        table_tracked: what the runs of tables measure during training, besides what the task's own runs do.
    """

    name: str
    question: str
    task: Task
    techniques: Mapping[str, Recipe]
    batch_sizes: tuple[int, ...]
    learning_rates: tuple[float, float]
    first_learning_rate: float
    baseline_batch_size: int | None = None
    held_equal: str = "epochs"
    rules: tuple[Scaling, ...] = (LinearScaling(), SquareRootScaling())
    seeds: int = 3
    first_seed: int = 0
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
    table_measures: tuple[Measure, ...] = ()
    table_tracked: tuple[Tracked, ...] = ()

    def check(self, workers: int) -> "Study":
        """The study itself, after a check that this number of workers can train every run its search may ask for.

        Raises:
            UserError: the check fails; the message names what is wrong, its value, and what is accepted.
        """
        study_checks.check_search(self, workers)
        return self

    def check_tables(self, workers: int) -> "Study":
        """The study itself, after a check that this number of workers can train its tables' runs and all columns exist.

        Raises:
            UserError: the check fails; the message names what is wrong, its value, and what is accepted.
        """
        study_checks.check_tables(self, workers)
        return self

    @property
    def reference_batch_size(self) -> int:
        """The baseline's batch size."""
        return min(self.batch_sizes) if self.baseline_batch_size is None else self.baseline_batch_size

    def task_at(self, batch_size: int) -> Task:
        """The task of a run at a batch size. Where seconds are held equal, its passes have yet to be measured."""
        if self.held_equal != "steps":
            return self.task
        samples = self.task.data.train_samples
        return self.with_passes((samples // self.reference_batch_size) / (samples // batch_size))

    def with_passes(self, ratio: float) -> Task:
        """The task with so many times as many passes over the training set; where it has streams, a whole number."""
        passes = self.task.passes_per_epoch * ratio
        if self.task.data.streams and passes >= 1:
            passes = round(passes)
        return replace(self.task, passes_per_epoch=passes)

    @property
    def table_task(self) -> Task:
        """The task of the tables' runs, with what they measure."""
        return replace(
            self.task,
            measures=(*self.task.measures, *self.table_measures),
            tracked=(*self.task.tracked, *self.table_tracked),
        )

    @property
    def all_techniques(self) -> dict[str, Recipe]:
        """The techniques that are searched and those that only tables use."""
        return {**self.techniques, **self.table_techniques}

    def plan(self) -> Plan:
        """The plan: what a policy needs to know of the study."""
        batch_sizes = sorted(set(self.batch_sizes))
        groups = tuple(Group(technique, size) for size in batch_sizes for technique in self.techniques)
        low, high = self.learning_rates
        design = StudyDesign(
            groups=groups,
            baseline=Group(next(iter(self.techniques)), self.reference_batch_size),
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
        """How many settings to try: at most as many as there are besides a technique's own."""
        if not self.dimensions or any(isinstance(each, FloatDistribution) for each in self.dimensions.values()):
            return self.sampled_settings if self.dimensions else 0
        return min(self.sampled_settings, math.prod(each.high - each.low + 1 for each in self.dimensions.values()) - 1)

    def _own(self, recipe: Recipe) -> Setting:
        return tuple((name, value_in(recipe, name)) for name in sorted(self.dimensions))

    def _grace_epochs(self, group: Group) -> int:
        """The first epoch, at least 1, after which the longest warm-up that the dimensions allow is over."""
        epochs, passes = self.task.epochs, self.task_at(group.batch_size).passes_per_epoch
        if self.held_equal == "seconds":  # a smaller batch takes as many steps as the baseline at least
            equal_steps = replace(self, held_equal="steps").task_at(group.batch_size)
            passes = min(passes, equal_steps.passes_per_epoch)
        recipe = self.techniques[group.technique]
        longest = {name: each.high for name, each in self.dimensions.items() if name.startswith("warmup.")}
        warmup = with_values(recipe, longest).warmup
        # AdaScale's schedule is slowest before it has measured the gradient noise.
        slowest = recipe.scaling.advance(recipe.start(group.batch_size))
        for epoch in range(1, epochs):
            if warmup.over(replace(recipe.start(group.batch_size, epochs, passes), epoch=slowest * epoch)):
                return epoch
        return epochs

    def _ratio(self, rule: Scaling, group: Group) -> float:
        """The multiple of the baseline's learning rate that a rule prescribes."""
        recipe = replace(self.techniques[group.technique], scaling=rule)
        return recipe.scale(group.batch_size) / recipe.scale(self.reference_batch_size)

    def on(self, folder: Path) -> "Study":
        """The study on the data in a user's own folder.

        The model gets as many classes as a folder of images has. With at most five classes the metric is the plain
        accuracy, because every model would have a top-5 accuracy of 1.

        Raises:
            UserError: the study's data is neither text nor a folder of images, or the folder holds no such data.
        """
        data = self.task.data
        if not isinstance(data, (TextCorpus, ImageFolder)):
            raise UserError(
                f"--data {folder}: {self.name} trains on {type(data).__name__}; only texts and folders of images can "
                "be replaced"
            )
        found, task = data.at(folder.absolute()), self.task
        if isinstance(found, ImageFolder):
            model: Any = task.model  # the models of studies on image folders have a field `classes`
            task = replace(task, model=replace(model, classes=found.classes))
            if found.classes <= 5:
                task = replace(task, metric=Accuracy())
        return replace(self, task=replace(task, data=found), substitute=None)

    def with_choices(self, **choices: object) -> "Study":
        """The study with every field replaced for which a value other than None is given."""
        chosen: dict[str, Any] = {name: value for name, value in choices.items() if value is not None}
        return replace(self, **chosen)
