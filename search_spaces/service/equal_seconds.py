"""How many passes over the training set give runs at every batch size the same seconds of training."""

from dataclasses import replace
from pathlib import Path

from analysis.outcomes import Group
from search_spaces.study import Study
from trainables.errors import UserError
from trainables.on_ray.orders import RunFailed, Start, TrainEpoch
from trainables.on_ray.worker_group import GroupSize, WorkerGroup

DIGITS = 3
"""Passes are rounded to so many significant digits, which is finer than seconds repeat."""


def passes_for_equal_seconds(study: Study, size: GroupSize, data_dir: Path) -> dict[Group, float]:
    """For every technique and batch size, the passes that take as long as one of the baseline's.

    Each trains two epochs in a worker group on the cluster, and the second is timed; the first also starts the device
    up. A run at the batch size then makes so many passes in every epoch of its schedule, so it can be repeated exactly.

    Raises:
        UserError: a technique cannot be trained at a batch size.
    """
    design = study.plan().design
    group = WorkerGroup(size)
    try:
        seconds = {each: _seconds(group, study, each, data_dir) for each in design.groups}
    finally:
        group.stop()
    return {each: _rounded(seconds[design.baseline] / seconds[each]) for each in design.groups}


def _seconds(group: WorkerGroup, study: Study, which: Group, data_dir: Path) -> float:
    """Seconds of training that the second pass over the training set takes."""
    low, _ = study.learning_rates
    task = replace(study.task, epochs=max(2, study.task.epochs), measures=(), tracked=())
    recipe = study.techniques[which.technique]
    try:
        group.execute(Start(task, recipe, which.batch_size, low, study.first_seed, str(data_dir)))
        first, second = (group.execute(TrainEpoch()).train_seconds for _ in range(2))
    except RunFailed as error:
        raise UserError(f"--held-equal seconds: {which.technique} at batch size {which.batch_size}: {error}") from error
    return float(second - first)


def _rounded(passes: float) -> float:
    return float(f"{passes:.{DIGITS}g}")
