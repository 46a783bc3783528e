"""The writer: a store that fails for a moment loses nothing."""

from pathlib import Path

import mlflow
import pytest
from mlflow.exceptions import MlflowException

from search_spaces.service.tracking import Tracker, open_store

PARAMS = {"technique": "t", "batch_size": 32, "learning_rate": 0.1, "seed": 1}


class Unsteady:
    """A client whose every other write fails."""

    def __init__(self, client: mlflow.MlflowClient) -> None:
        self._client, self._calls, self.steady = client, 0, True

    def __getattr__(self, name: str) -> object:
        method = getattr(self._client, name)

        def call(*args: object, **kwargs: object) -> object:
            self._calls += 1
            if not self.steady and self._calls % 2:
                raise MlflowException("the store is away")
            return method(*args, **kwargs)

        return call


@pytest.fixture
def store(tmp_path: Path) -> mlflow.MlflowClient:
    return open_store(f"sqlite:///{tmp_path / 'mlflow.db'}")


def test_writes_that_fail_for_a_moment_arrive_in_order(store: mlflow.MlflowClient, tmp_path: Path) -> None:
    client = Unsteady(store)
    tracker = Tracker(client, "s", "{}", {"study": "s"}, tmp_path)
    client.steady = False
    tracker.start("a", "run", PARAMS)
    for epoch in (1, 2):
        tracker.log("a", {"train_loss": 1.0 / epoch}, epoch)
    tracker.end("a", "diverged")
    client.steady = True
    assert tracker.close("done") == 0
    assert tracker.finished == 1
    (run,) = store.search_runs([tracker.experiment_id], "tags.status = 'diverged'")
    assert run.info.status == "FINISHED"
    assert run.data.params["learning_rate"] == "0.1"
    assert [point.value for point in store.get_metric_history(run.info.run_id, "train_loss")] == [1.0, 0.5]
    assert store.get_run(tracker.parent_id).data.tags["status"] == "done"


def test_a_trial_that_starts_twice_has_one_run(store: mlflow.MlflowClient, tmp_path: Path) -> None:
    tracker = Tracker(store, "s", "{}", {"study": "s"}, tmp_path)
    for _ in range(2):
        tracker.start("a", "run", PARAMS)
    assert tracker.close("stopped") == 0
    runs = store.search_runs([tracker.experiment_id])
    assert sorted(run.info.status for run in runs) == ["KILLED", "KILLED"]
    assert len(runs) == 2, "the study and the trial"
