"""What is held equal, in studies as a user starts them: equal steps, and equal seconds that are measured first."""

import pytest

from analysis.runs import load_runs
from tests.search_spaces.place import Place, one_line
from trainables.recipe import WORKERS

FEW = ("--batch-sizes", "16,64", "--max-runs", "7", "--seeds", "2", "--learning-rates", "0.05,25")


@pytest.mark.slow
def test_equal_steps_are_taken_and_compared_with_equal_epochs(place: Place) -> None:
    for name, equal in (("epochs", ()), ("steps", ("--held-equal", "steps"))):
        done = place.run(*FEW, "--name", name, *equal)
        assert done.returncode == 0, done.stdout + done.stderr
    assert "Held equal:     steps; an epoch is 1 pass over the training set at batch size 16, 4" in done.stdout
    uri = f"sqlite:///{place.folder / 'mlflow.db'}"
    runs = load_runs("steps", uri)
    assert runs.held_equal == "steps"
    ended = runs.frame[runs.frame.status == "done"]
    steps = ended.groupby("batch_size").steps.max()
    assert abs(steps[16] - steps[64]) <= 1
    assert ended.groupby("batch_size").samples.max()[64] == pytest.approx(4 * runs.design.train_samples * 10, rel=0.05)
    assert set(runs.frame[WORKERS]) == {1}
    assert "At equal steps: with warmup, " in done.stdout
    passes = runs.frame.groupby("batch_size").passes
    assert (passes.min()[16], passes.max()[16]) == (1.0, 1.0)
    assert passes.min()[64] == passes.max()[64] == pytest.approx(4.0, rel=0.05)
    compared = place.run("epochs", "steps", module="analysis.report")
    assert "epochs gave every batch size equal epochs, steps equal steps." in compared.stdout
    refused = one_line(place.run("--tables", "--held-equal", "steps"))
    assert "--tables with --held-equal" in refused


@pytest.mark.slow
def test_equal_seconds_are_measured_first(place: Place) -> None:
    done = place.run(*FEW, "--held-equal", "seconds")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Passes over the training set that take as long as one of the baseline's: 1 at warmup 16, " in done.stdout
    runs = load_runs("digits_cnn", f"sqlite:///{place.folder / 'mlflow.db'}")
    assert runs.held_equal == "seconds"
    ended = runs.frame[runs.frame.status == "done"]
    passes = (ended.samples / ended.epoch / runs.design.train_samples).groupby(ended.batch_size).mean()
    assert passes[16] == pytest.approx(1.0, abs=0.05)
    assert passes[64] > 1, "a larger batch trains more samples in the same seconds"
    assert place.wait_until_empty(20) == []
