"""Checks that refuse an impossible study before anything starts."""

import itertools
import math
from dataclasses import replace
from typing import TYPE_CHECKING

from analysis.landscape import LossLine, LossPlane
from analysis.paper_table import PANELS, PaperTable
from analysis.tables import COLUMNS
from search_spaces.service.arguments import FEWEST_OTHER_RUNS, FINEST, HELD_EQUAL, HIGHEST_FIRST_SEED, SEEDS
from trainables import Recipe
from trainables.engine.checks import (
    check_batch_size,
    check_fit,
    check_learning_rate,
    check_model,
    check_run,
    workers_for,
)
from trainables.errors import require
from trainables.growth import FixedBatch
from trainables.recipe import value_in, with_values

if TYPE_CHECKING:
    from search_spaces.study import Study


SLICES = (LossLine().name, LossPlane().name)


def check_search(study: "Study", workers: int) -> None:
    """Refuse a study if this number of workers cannot train one of its possible runs, or no search can answer it.

    Raises:
        UserError: the study is refused; the message names what is wrong, its value, and what is accepted.
    """
    low, high = study.learning_rates
    check_learning_rate(low)
    check_learning_rate(high)
    require(low < high, f"learning rates {low:g} {high:g}: an empty range; the lowest must be below the highest")
    sizes = ",".join(map(str, study.batch_sizes))
    require(
        len(set(study.batch_sizes)) >= 2,
        f"batch sizes {sizes or 'none'}: must be two or more, one of them the baseline's",
    )
    require(len(set(study.batch_sizes)) == len(study.batch_sizes), f"batch sizes {sizes}: each must be given once")
    require(
        study.reference_batch_size in study.batch_sizes,
        f"baseline batch size {study.reference_batch_size}: must be one of {sizes}",
    )
    highest = 1.0 if study.task.metric.unit else math.inf
    require(
        0 < study.tolerance < highest,
        f"tolerance {study.tolerance:g}: must be above 0 and below {highest:g} "
        f"(0.01 is {study.task.metric.show_difference(0.01)})",
    )
    require(len(study.techniques) > 0, "techniques: none given; at least one is needed")
    finite = FINEST <= study.resolution < math.inf
    require(finite, f"resolution {study.resolution:g}: must be a factor of at least {FINEST:g}, and finite")
    least, most = SEEDS
    require(
        least <= study.seeds <= most, f"seeds {study.seeds}: must be {least} to {most}; A0 and its error need {least}"
    )
    _check_first_seed(study)
    require(study.seeds_near_margin >= 1, f"seeds near margin {study.seeds_near_margin}: must be at least 1")
    fewest = FEWEST_OTHER_RUNS + study.seeds
    require(
        study.max_runs >= fewest,
        f"max runs {study.max_runs}: must be at least {fewest}, {study.seeds} of the baseline and "
        f"{FEWEST_OTHER_RUNS} of the other batch sizes; with fewer nothing could be judged",
    )
    require(study.held_equal in HELD_EQUAL, f"held equal {study.held_equal!r}: must be one of {', '.join(HELD_EQUAL)}")
    check_model(study.task)
    for batch_size in study.batch_sizes:
        check_batch_size(study.task, batch_size)
    for name, recipe in study.techniques.items():
        _check_held_equal(study, name, recipe)
        for batch_size in study.batch_sizes:
            check_fit(study.task_at(batch_size), recipe, batch_size, workers)
        for rule in study.rules:
            require(
                rule.adapt(recipe.optimizer, 2.0) == recipe.optimizer,
                f"rule {rule!r}: moves the optimizer too, and prescriptions are of learning rates; make it a "
                "technique's scaling",
            )
    _check_dimensions(study, workers)
    _check_prescriptions(study)


def _check_held_equal(study: "Study", name: str, recipe: Recipe) -> None:
    """Refuse a technique whose steps or schedule depend on more than its batch size where not epochs are held equal."""
    if study.held_equal == "epochs":
        return
    given = f"held equal {study.held_equal}: technique {name}"
    require(
        recipe.growth == FixedBatch(),
        f"{given} has {recipe.growth!r}, with which steps and seconds depend on how the batch grows; it needs "
        "FixedBatch(), or --held-equal epochs",
    )
    slowed = any(recipe.scaling.advance(recipe.start(size)) != 1 for size in study.batch_sizes)
    require(
        not slowed,
        f"{given} has {recipe.scaling!r}, whose schedule counts steps of the reference batch size already; it needs "
        "--held-equal epochs",
    )


def _check_first_seed(study: "Study") -> None:
    accepted = 0 <= study.first_seed <= HIGHEST_FIRST_SEED
    require(accepted, f"first seed {study.first_seed}: must be 0 to {HIGHEST_FIRST_SEED}")


def check_tables(study: "Study", workers: int) -> None:
    """Refuse a study if a run of its tables cannot be trained, by this number of workers or by one of them, or a column
    does not exist.

    Raises:
        UserError: the study is refused; the message names what is wrong, its value, and what is accepted.
    """
    _check_first_seed(study)
    check_model(study.task)
    techniques, names = study.all_techniques, [table.name for table in study.tables]
    require(len(set(names)) == len(names), f"tables {', '.join(names)}: each must have a name of its own")
    for table in study.tables:
        require(len(table.runs) > 0, f"{table.name}: has no runs")
        _check_plots(study, table)
        for column in table.columns:
            require(column in COLUMNS, f"{table.name}: column {column!r} is not one of {', '.join(COLUMNS)}")
        for run in table.runs:
            require(
                run.technique in techniques,
                f"{table.name}: technique {run.technique!r} is not one of {', '.join(techniques)}",
            )
            task = replace(study.table_task, epochs=run.epochs)
            recipe = techniques[run.technique]
            used = workers_for(task, recipe, run.batch_size, workers)
            check_run(task, recipe, run.batch_size, run.learning_rate, used)


def _check_plots(study: "Study", table: PaperTable) -> None:
    """Refuse a plot of what no run reports."""
    task = study.table_task
    measured = [each.name for each in task.measures]
    known = {
        "epoch": tuple(name for name in task.reported_names if name not in SLICES),
        "samples": tuple(each.name for each in task.tracked),
        "line": tuple(name for name in measured if name == SLICES[0]),
        "plane": tuple(name for name in measured if name == SLICES[1]),
        "batch_size": tuple(COLUMNS),
        "learning_rate": tuple(COLUMNS),
    }
    for plot in table.plots:
        require(plot.x in known, f"{table.name}: axis {plot.x!r} of a plot is not one of {', '.join(known)}")
        require(
            plot.panels in PANELS,
            f"{table.name}: panels {plot.panels!r} of a plot are not one of {', '.join(map(repr, PANELS))}",
        )
        there = ", ".join(known[plot.x]) or "none: the study's table_measures and table_tracked name them"
        require(plot.y in known[plot.x], f"{table.name}: {plot.y!r} cannot be drawn over {plot.x}; there is {there}")


def _check_prescriptions(study: "Study") -> None:
    """Refuse a range in which no prescription can lie, whatever the baseline's best learning rate is."""
    design = study.plan().design
    others = [at for at, group in enumerate(design.groups) if group.batch_size != study.reference_batch_size]
    ratios = [design.rules[name][position] for name in design.rules for position in others]
    low, high = study.learning_rates
    least = min((max(ratio, 1 / ratio) for ratio in ratios), default=1.0)
    require(
        least <= high / low * (1 + 1e-6),
        f"learning rates {low:g} {high:g}: exclude every prescription of the rules, which are at least a factor "
        f"{least:g} from the baseline's rate; the range must span that factor",
    )


def _check_dimensions(study: "Study", workers: int) -> None:
    dimensions, settings = study.dimensions, study.sampled_settings
    require(not dimensions or settings >= 1, f"sampled settings {settings}: must be at least 1 to search dimensions")
    for name, recipe in study.techniques.items():
        for dimension, each in dimensions.items():
            own = value_in(recipe, dimension)
            require(each.low < each.high, f"dimension {dimension} {each.low:g} to {each.high:g}: an empty range")
            require(
                each.low <= own <= each.high,
                f"dimension {dimension} {each.low:g} to {each.high:g}: must hold technique {name}'s own {own:g}",
            )
            steps = (own - each.low) / each.step if each.step else 0
            require(
                math.isclose(steps, round(steps), abs_tol=1e-6),
                f"dimension {dimension} from {each.low:g} in steps of {each.step}: must hold technique {name}'s own "
                f"{own:g}",
            )
        _check_corners(study, recipe, workers)


def _check_corners(study: "Study", recipe: Recipe, workers: int) -> None:
    """Refuse ranges of further dimensions if their ends, in any combination, cannot be trained."""
    for ends in itertools.product(*((each.low, each.high) for each in study.dimensions.values())):
        changed = with_values(recipe, dict(zip(study.dimensions, ends, strict=True)))
        for batch_size in study.batch_sizes:
            check_fit(study.task_at(batch_size), changed, batch_size, workers)
