"""Warm worker groups on a real Ray: two workers equal one process, failures, early stops, and nothing left behind."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import ray
import torch
from ray import tune
from ray.util import placement_group_table
from torch import nn

from trainables import Recipe, Task
from trainables.data import Digits
from trainables.decay import CosineDecay
from trainables.engine.run import Run
from trainables.gradient import SAM
from trainables.growth import StepGrowth
from trainables.models import SmallCNN
from trainables.on_ray.mailbox import Mailbox
from trainables.on_ray.orders import RunFailed, Save, Start, TrainEpoch
from trainables.on_ray.trial import Trial
from trainables.on_ray.worker_group import GroupSize, WorkerGroup
from trainables.optimizers import SGD

TASK = Task(SmallCNN(width=4), Digits(train_samples=320, validation_samples=100), epochs=2)
RECIPE = Recipe(
    optimizer=SGD(momentum=0.9, weight_decay=1e-4),
    decay=CosineDecay(),
    growth=StepGrowth(every_epochs=1),
    gradient=SAM(),
)


@dataclass(frozen=True)
class Broken:
    """A model that cannot be built."""

    def __call__(self) -> nn.Module:
        raise RuntimeError("no such layer")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    ray.init(
        address="local",
        num_cpus=6,
        include_dashboard=False,
        log_to_driver=False,
        _temp_dir=str(Path("/tmp", f"r{id(tmp_path_factory) % 99999}")),
    )
    yield
    ray.shutdown()


def start(recipe: Recipe = RECIPE, task: Task = TASK, learning_rate: float = 0.05) -> Start:
    return Start(task, recipe, 32, learning_rate, seed=5, data_dir="", dtype=torch.float64)


def open_placement_groups() -> list[str]:
    return [group["state"] for group in placement_group_table().values() if group["state"] != "REMOVED"]


def workers_alive() -> int:
    return sum(
        actor["State"] == "ALIVE" and actor["ActorClassName"] == "RayTrainWorker"
        for actor in ray._private.state.actors().values()
    )


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


@dataclass(frozen=True)
class Exhausting:
    """An optimizer slot that needs more memory than there is."""

    def __call__(self, parameters: object) -> torch.optim.Optimizer:
        raise torch.OutOfMemoryError("CUDA out of memory")


@pytest.mark.usefixtures("cluster")
def test_a_run_out_of_memory_ends_as_such_and_the_next_one_runs(tmp_path: Path) -> None:
    techniques = {"exhausting": Recipe(optimizer=Exhausting(), norm_batch_size=8), "good": RECIPE}
    shared = {"task": TASK, "techniques": techniques, "data_dir": "", "size": GroupSize()}
    config = {"technique": "exhausting", "batch_size": 32, "learning_rate": 0.1, "seed": 0}
    trial = tune.with_parameters(Trial, shared=shared)(config)
    try:
        result = trial.step()
        assert (result["status"], result["done"]) == ("out_of_memory", True)
        assert "CUDA out of memory" in result["error"]
        trial.save_checkpoint(str(tmp_path))
        assert list(tmp_path.iterdir()) == []
        assert trial.reset_config({**config, "technique": "good"})
        assert trial.step()["status"] == "running"
        trial.save_checkpoint(str(tmp_path))
        assert (tmp_path / "run.pt").stat().st_size > 0
    finally:
        trial.cleanup()


def test_a_worker_that_lags_still_finds_its_order() -> None:
    """The first worker's result lets the next order be posted before the other has taken this one."""

    async def scenario() -> list[object]:
        mailbox = Mailbox(workers=2)
        await mailbox.post(1, Save())
        first = await mailbox.order(1)
        await mailbox.post(2, TrainEpoch())
        lagging = await asyncio.wait_for(mailbox.order(1), timeout=5)
        return [first, lagging, await mailbox.order(2), await mailbox.order(2)]

    assert asyncio.run(scenario()) == [Save(), Save(), TrainEpoch(), TrainEpoch()]
