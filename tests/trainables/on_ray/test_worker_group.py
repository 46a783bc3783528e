"""Warm worker groups on a real Ray: two workers equal one process, failures, early stops, and nothing left behind."""

from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import ray
import torch
from ray.util import placement_group_table
from torch import nn

from tests.trainables.on_ray.example import RECIPE, TASK
from trainables import Recipe, Task
from trainables.engine.run import Run
from trainables.on_ray.orders import RunFailed, Save, Start, TrainEpoch
from trainables.on_ray.worker_group import GroupSize, WorkerGroup


@dataclass(frozen=True)
class Broken:
    """A model that cannot be built."""

    def __call__(self) -> nn.Module:
        raise RuntimeError("no such layer")


def start(recipe: Recipe = RECIPE, task: Task = TASK, learning_rate: float = 0.05) -> Start:
    return Start(task, recipe, 32, learning_rate, seed=5, data_dir="", dtype=torch.float64)


def open_placement_groups() -> list[str]:
    return [group["state"] for group in placement_group_table().values() if group["state"] != "REMOVED"]


def workers_alive() -> int:
    return sum(
        actor["State"] == "ALIVE" and actor["ActorClassName"] == "RayTrainWorker"
        for actor in ray._private.state.actors().values()
    )


@pytest.mark.slow
@pytest.mark.usefixtures("cluster")
def test_a_run_of_one_worker_leaves_the_other_waiting() -> None:
    """Its batches of 8 cannot be cut for two; the next run has both again."""
    recipe = replace(RECIPE, norm_batch_size=8)
    alone = Run(TASK, recipe, TASK.data.load(Path()), 8, 0.05, seed=5, dtype=torch.float64)
    group = WorkerGroup(GroupSize(workers=2))
    try:
        group.execute(replace(start(recipe), batch_size=8, workers=1))
        together, expected = group.execute(TrainEpoch()), alone.train_epoch()
        assert together.train_loss == expected.train_loss
        group.execute(start())
        assert group.execute(TrainEpoch()).samples > 0
    finally:
        group.stop()


@pytest.mark.slow
@pytest.mark.usefixtures("cluster")
def test_two_workers_equal_one_process_and_leave_nothing() -> None:
    """With BatchNorm over the whole batch, and with a run stopped early before it; nothing is left at the end."""
    alone = Run(TASK, RECIPE, TASK.data.load(Path()), 32, 0.05, seed=5, dtype=torch.float64)
    group = WorkerGroup(GroupSize(workers=2))
    try:
        group.execute(start(learning_rate=0.2))
        assert group.execute(TrainEpoch()).status == "running"
        group.execute(start())  # the run before is stopped early by not ordering another epoch
        for _ in range(2):
            expected, together = alone.train_epoch(), group.execute(TrainEpoch())
            assert together.train_loss == pytest.approx(expected.train_loss, abs=1e-6)
            assert together.validation_loss == pytest.approx(expected.validation_loss, abs=1e-6)
            assert together["validation_accuracy"] == expected["validation_accuracy"]
            assert together.samples == expected.samples
        assert together.status == "done"
        assert together["test_accuracy"] == expected["test_accuracy"]
        there = Run(TASK, RECIPE, TASK.data.load(Path()), 32, 0.05, seed=5, dtype=torch.float64)
        there.load_state_bytes(group.execute(Save()))
        for name, value in alone.state_dict()["model"].items():
            if value.is_floating_point():  # the count of batches seen is each worker's own, and nothing uses it
                assert torch.allclose(value, there.state_dict()["model"][name], rtol=0, atol=1e-6), name
        assert workers_alive() == 2
    finally:
        group.stop()
    assert not group.alive
    assert workers_alive() == 0
    assert open_placement_groups() == []


@pytest.mark.slow
@pytest.mark.usefixtures("cluster")
def test_a_group_of_one_survives_a_run_that_raises() -> None:
    group = WorkerGroup(GroupSize())
    try:
        with pytest.raises(RunFailed, match="RuntimeError: no such layer"):
            group.execute(start(task=Task(Broken(), TASK.data, epochs=1), recipe=Recipe(norm_batch_size=8)))
        with pytest.raises(RunFailed, match="TrainEpoch was ordered before Start"):
            group.execute(TrainEpoch())
        group.execute(start(learning_rate=1e9))
        assert group.execute(TrainEpoch()).status == "diverged"
        assert group.alive
    finally:
        group.stop()
    assert open_placement_groups() == []
