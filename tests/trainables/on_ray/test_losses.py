"""Runs that lose their workers, on a real Ray: they go on from the last state that was kept, or fail in the end."""

import io
import os
import shutil
import time
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import ray
import torch
from ray import tune
from torch import Tensor, nn

from tests.trainables.on_ray.example import RECIPE, TASK
from trainables import Recipe, train
from trainables.on_ray import trial as trial_module
from trainables.on_ray.keeper import Keeper, kept_file, start_keeper
from trainables.on_ray.trial import Trial
from trainables.on_ray.worker import readable
from trainables.on_ray.worker_group import GroupSize
from trainables.optimizers import Optimizer

CONFIG = {"technique": "good", "batch_size": 32, "learning_rate": 0.1, "seed": 0, "run": "7"}
LONGER = replace(TASK, epochs=4)


@dataclass(frozen=True)
class Exits(Optimizer):
    """An optimizer slot that ends its process."""

    def __call__(self, parameters: object) -> torch.optim.Optimizer:
        os._exit(1)


class Waits(nn.Module):
    """A model that does not come back, where a file says so."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path, self.layer = Path(path), nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        while self.path.exists():
            time.sleep(0.1)
        return self.layer(x.flatten(1))


@dataclass(frozen=True)
class Waiting:
    path: str

    def __call__(self) -> nn.Module:
        return Waits(self.path)


@dataclass
class Evil:
    """What runs code when it is unpickled."""

    path: str

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (self.path,)


def test_a_state_is_kept_wholly_or_not_at_all(tmp_path: Path) -> None:
    keeper = Keeper(str(tmp_path / "running"))
    assert keeper.kept("7") is None
    keeper.keep("7", b"one")
    keeper.keep("7", b"two")
    assert keeper.kept("7") == b"two"
    keeper.keep("8", b"one")
    keeper.forget("8")
    keeper.keep("8", b"late")
    assert keeper.kept("8") is None
    assert [path.name for path in (tmp_path / "running").iterdir()] == ["7.pt"]


def test_a_state_that_cannot_be_kept_is_said_and_leaves_the_last_one(tmp_path: Path) -> None:
    folder = tmp_path / "running"
    keeper = Keeper(str(folder))
    keeper.keep("7", b"one")
    (folder / "7.new").mkdir()  # where the next one would be written
    assert keeper.keep("7", b"two") == "its state could not be kept (Is a directory)"
    assert keeper.kept("7") == b"one"
    shutil.rmtree(folder)
    assert keeper.kept("7") is None
    assert keeper.keep("7", b"three") == ""
    assert keeper.kept("7") == b"three"


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_a_state_that_is_not_whole_is_none(share: float) -> None:
    written = io.BytesIO()
    torch.save({"run": {"weights": torch.zeros(100)}, "reports": []}, written)
    state, here = written.getvalue(), torch.device("cpu")
    assert readable(state, here) is not None
    assert readable(state[: int(share * len(state))], here) is None
    assert readable(b"x" * 100, here) is None


def test_a_state_that_would_run_code_is_none(tmp_path: Path) -> None:
    written = io.BytesIO()
    torch.save(Evil(str(tmp_path / "ran")), written)
    assert readable(written.getvalue(), torch.device("cpu")) is None
    assert not (tmp_path / "ran").exists()


@pytest.mark.usefixtures("cluster")
@pytest.mark.faults
@pytest.mark.parametrize("workers", [1, 2])
def test_a_run_whose_worker_is_killed_goes_on_from_its_last_epoch(workers: int, tmp_path: Path) -> None:
    """So does a trial that is started again, which first reports what was."""
    shared = {"task": LONGER, "techniques": {"good": RECIPE}, "first_seed": 5, "data_dir": ""}
    shared |= {"size": GroupSize(workers), "keeper": start_keeper(tmp_path)}
    undisturbed = train(LONGER, RECIPE, batch_size=32, learning_rate=0.1, seed=5)["train_loss"]
    first = tune.with_parameters(Trial, shared=shared)(CONFIG)
    try:
        losses = [first.step()["train_loss"] for _ in range(2)]
        victim = ray.get(first._group._mailbox.enlisted.remote())[-1]
        ray.kill(victim)
        result = first.step()
        assert result["note"] in (
            "the workers have ended; went on with new ones",
            "a worker has ended; went on with new ones",
        )
        losses.append(result["train_loss"])
        assert losses == pytest.approx(undisturbed[:3], rel=1e-5)
        assert "note" not in first.step()
        first.reset_config({**CONFIG, "run": "8"})
        first.step()
    finally:
        first.cleanup()
    again = tune.with_parameters(Trial, shared=shared)(CONFIG)
    try:
        results = [again.step() for _ in range(4)]
        assert [result["epoch"] for result in results] == [1, 2, 3, 4]
        assert [result["train_loss"] for result in results] == pytest.approx(undisturbed, rel=1e-5)
        assert results[0]["train_loss"] == losses[0]
        assert results[-1]["status"] == "done"
    finally:
        again.cleanup()
    assert kept_file(tmp_path, "7").stat().st_size > 0


@pytest.mark.faults
@pytest.mark.usefixtures("cluster")
def test_a_run_that_ends_its_process_fails_after_some_tries_and_the_next_one_runs() -> None:
    techniques = {"exits": Recipe(optimizer=Exits(), norm_batch_size=8), "good": RECIPE}
    shared = {"task": TASK, "techniques": techniques, "first_seed": 5, "data_dir": "", "size": GroupSize()}
    trial = tune.with_parameters(Trial, shared=shared)({**CONFIG, "technique": "exits"})
    try:
        result = trial.step()
        assert (result["status"], result["done"]) == ("failed", True)
        assert result["error"] == "WorkersLost: the workers have ended, 3 times in a row"
        trial.reset_config(CONFIG)
        assert trial.step()["status"] == "running"
    finally:
        trial.cleanup()


@pytest.mark.faults
@pytest.mark.usefixtures("cluster")
def test_a_run_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial_module, "LEAST_PATIENCE_SECONDS", 5.0)
    monkeypatch.setattr(trial_module, "PATIENCE_FACTOR", 1.0)
    monkeypatch.setattr(trial_module, "MOST_LOSSES", 1)
    path = tmp_path / "wait"
    task = replace(LONGER, model=Waiting(str(path)))
    shared = {"task": task, "techniques": {"good": Recipe()}, "first_seed": 5, "data_dir": "", "size": GroupSize()}
    trial = tune.with_parameters(Trial, shared=shared)(CONFIG)
    try:
        assert trial.step()["status"] == "running"
        path.touch()
        result = trial.step()
        assert result["status"] == "failed"
        assert result["error"] == "WorkersLost: the workers do not answer, 1 times in a row"
        path.unlink()
        trial.reset_config(CONFIG)
        assert trial.step()["status"] == "running"
    finally:
        trial.cleanup()
