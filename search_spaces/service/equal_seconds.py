"""How many passes over the training set give runs at every batch size the same seconds of training."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from analysis.outcomes import Group
from search_spaces.study import Study
from trainables.engine.checks import check_fit
from trainables.errors import UserError
from trainables.on_ray.orders import RunFailed, Start, TrainEpoch, WorkersLost
from trainables.on_ray.worker_group import GroupSize, WorkerGroup

DIGITS = 3
"""Ratios are rounded to so many significant digits, which is finer than seconds repeat."""
TIMED = 2
"""So many epochs are timed, after a first one that also starts the device up; the fastest counts."""


def passes_for_equal_seconds(study: Study, size: GroupSize, data_dir: Path) -> dict[Group, float]:
    """For every technique and batch size, the passes over the training set that take as long as an epoch of the
    baseline.

    Each trains a few epochs in a worker group on the cluster. A run at the batch size then makes so many passes in
    every epoch of its schedule, so it can be repeated exactly.

    Raises:
        UserError: a technique fails at a batch size, or cannot be trained with these passes.
    """
    design = study.plan().design
    workers = WorkerGroup(size)
    try:
        seconds = {each: _seconds(workers, study, each, data_dir) for each in design.groups}
    finally:
        workers.stop()
    ratios = {each: float(f"{seconds[design.baseline] / took:.{DIGITS}g}") for each, took in seconds.items()}
    tasks = {each: study.with_passes(ratio) for each, ratio in ratios.items()}
    for each, task in tasks.items():
        try:
            check_fit(task, study.techniques[each.technique], each.batch_size, size.workers)
        except UserError as error:
            raise UserError(f"--held-equal seconds: {_name(each)}: {error}") from error
    return {each: task.passes_per_epoch for each, task in tasks.items()}


def _name(group: Group) -> str:
    return f"{group.technique} at batch size {group.batch_size}"


def _seconds(workers: WorkerGroup, study: Study, which: Group, data_dir: Path) -> float:
    """Seconds of training that an epoch takes."""
    low, _ = study.learning_rates
    task = replace(study.task, epochs=max(1 + TIMED, study.task.epochs), measures=(), tracked=())
    start = Start(task, study.techniques[which.technique], which.batch_size, low, study.first_seed, str(data_dir))
    try:
        workers.execute(start)
        so_far = [float(workers.execute(TrainEpoch()).train_seconds) for _ in range(1 + TIMED)]
    except (RunFailed, WorkersLost) as error:
        raise UserError(f"--held-equal seconds: {_name(which)} cannot be timed ({error}); leave it out") from error
    return min(after - before for before, after in pairwise(so_far))
