"""Trials on a real Ray: a run that fails ends as such, and the next one runs."""

from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from ray import tune

from tests.trainables.on_ray.example import RECIPE, TASK
from trainables import Recipe, train
from trainables.on_ray.trial import Trial
from trainables.on_ray.worker_group import GroupSize
from trainables.optimizers import Optimizer


@dataclass(frozen=True)
class Exhausting(Optimizer):
    """An optimizer slot that needs more memory than there is."""

    def __call__(self, parameters: object) -> torch.optim.Optimizer:
        raise torch.OutOfMemoryError("CUDA out of memory")


@pytest.mark.slow
@pytest.mark.usefixtures("cluster")
def test_a_trial_makes_as_many_passes_as_its_study_gives_its_batch_size() -> None:
    shared = {"task": TASK, "techniques": {"good": RECIPE}, "first_seed": 0, "data_dir": "", "size": GroupSize()}
    config = {"technique": "good", "batch_size": 32, "learning_rate": 0.1, "seed": 0}
    trial = tune.with_parameters(Trial, shared={**shared, "passes": {("good", 32): 2.0}})(config)
    try:
        assert trial.step()["samples"] == 2 * (TASK.data.train_samples // 32) * 32
    finally:
        trial.cleanup()


@pytest.mark.slow
@pytest.mark.usefixtures("cluster")
def test_a_run_out_of_memory_ends_as_such_and_the_next_one_runs(tmp_path: Path) -> None:
    techniques = {"exhausting": Recipe(optimizer=Exhausting(), norm_batch_size=8), "good": RECIPE}
    shared = {"task": TASK, "techniques": techniques, "first_seed": 5, "data_dir": "", "size": GroupSize()}
    config = {"technique": "exhausting", "batch_size": 32, "learning_rate": 0.1, "seed": 0}
    trial = tune.with_parameters(Trial, shared=shared)(config)
    try:
        result = trial.step()
        assert (result["status"], result["done"]) == ("out_of_memory", True)
        assert "CUDA out of memory" in result["error"]
        trial.save_checkpoint(str(tmp_path))
        assert list(tmp_path.iterdir()) == []
        assert trial.reset_config({**config, "technique": "good"})
        result = trial.step()
        assert result["status"] == "running"
        same = train(TASK, RECIPE, batch_size=32, learning_rate=0.1, seed=5)
        assert result["train_loss"] == pytest.approx(same["train_loss"][0], rel=1e-5), "the first seed is added"
        trial.save_checkpoint(str(tmp_path))
        assert (tmp_path / "run.pt").stat().st_size > 0
    finally:
        trial.cleanup()
