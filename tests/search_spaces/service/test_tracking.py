"""The writer: a store that fails for a moment loses nothing."""

import argparse
import json
from pathlib import Path

import mlflow
import pytest
from mlflow.exceptions import MlflowException

from analysis import report
from analysis.answer import answer
from analysis.conclusions import conclusions
from analysis.runs import stored_studies
from search_spaces.service.tracking import Tracker, open_store
from tests.analysis.test_answer import DESIGN, OUTCOMES

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
        tracker.log("a", {"train_loss": 1.0 / epoch}, epoch, {"slope": [(10 * epoch, 0.5), (10 * epoch + 5, 0.25)]})
    tracker.end("a", "diverged")
    client.steady = True
    assert tracker.close("done") == 0
    assert tracker.finished == 1
    (run,) = store.search_runs([tracker.experiment_id], "tags.status = 'diverged'")
    assert run.info.status == "FINISHED"
    assert run.data.params["learning_rate"] == "0.1"
    assert [point.value for point in store.get_metric_history(run.info.run_id, "train_loss")] == [1.0, 0.5]
    slopes = [(point.step, point.value) for point in store.get_metric_history(run.info.run_id, "slope")]
    assert slopes == [(10, 0.5), (15, 0.25), (20, 0.5), (25, 0.25)], "a series has its own positions"
    assert store.get_run(tracker.parent_id).data.tags["status"] == "done"


def test_a_trial_that_starts_twice_has_one_run(store: mlflow.MlflowClient, tmp_path: Path) -> None:
    tracker = Tracker(store, "s", "{}", {"study": "s"}, tmp_path)
    for _ in range(2):
        tracker.start("a", "run", PARAMS)
    assert tracker.close("stopped") == 0
    runs = store.search_runs([tracker.experiment_id])
    assert sorted(run.info.status for run in runs) == ["KILLED", "KILLED"]
    assert len(runs) == 2, "the study and the trial"


def test_the_answer_is_in_the_parents_description_and_its_edges_are_metrics(
    store: mlflow.MlflowClient, tmp_path: Path
) -> None:
    found = answer(DESIGN, OUTCOMES)
    tracker = Tracker(store, "s", "{}", {"study": "s"}, tmp_path)
    tracker.answer(conclusions(DESIGN, found), found.frame(), {"t": (0.5, 0.4, 0.6)})
    assert tracker.close("done") == 0
    parent = store.get_run(tracker.parent_id)
    assert parent.data.tags["mlflow.note.content"].startswith("- t: scales up to batch size 256")
    lower = {point.step: point.value for point in store.get_metric_history(tracker.parent_id, "t/scalable_lower")}
    frame = found.frame().query("technique == 't'")
    assert lower == dict(zip(frame.batch_size, frame.scalable_lower, strict=True))
    assert "starved/scalable_lower" not in parent.data.metrics, "it has no edge"
    exponent = [parent.data.metrics[f"t/{name}"] for name in ("exponent", "exponent_lower", "exponent_upper")]
    assert exponent == [0.5, 0.4, 0.6]


def test_the_report_lists_the_studies_of_a_store_the_latest_first(
    store: mlflow.MlflowClient, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = argparse.Namespace(study=None, tracking_uri=f"sqlite:///{tmp_path / 'mlflow.db'}", results_dir="results")
    assert report.main(options) == 0
    assert "holds no study; `python -m search_spaces` lists those that can be run." in capsys.readouterr().out
    store.create_run(store.create_experiment("somebody's own"))
    Tracker(store, "first", "{}", {}, tmp_path).close("done")
    Tracker(store, "second", "{}", {}, tmp_path)
    assert [(each.name, each.status) for each in stored_studies(options.tracking_uri)] == [
        ("second", "running"),
        ("first", "done"),
    ]
    assert report.main(options) == 0
    told = capsys.readouterr().out
    assert told.index("second") < told.index("first")
    assert "own" not in told


def test_runs_can_be_sorted_by_number_and_the_address_opens_on_the_columns_that_matter(
    store: mlflow.MlflowClient, tmp_path: Path
) -> None:
    tracker = Tracker(store, "s", "{}", {"study": "s"}, tmp_path, data="Digits(train_samples=5)", lower_is_better=True)
    tracker.start("a", "run", PARAMS)
    tracker.close("done")
    (run,) = store.search_runs([tracker.experiment_id], "metrics.start_batch_size = 32")
    assert run.data.metrics["peak_learning_rate"] == 0.1
    view = json.loads(store.get_experiment(tracker.experiment_id).tags["mlflow.sharedViewState.answer"])
    assert view["orderByAsc"] is True
    assert "metrics.`peak_learning_rate`" in view["selectedColumns"]
    (used,) = store.get_run(tracker.parent_id).inputs.dataset_inputs
    assert used.dataset.name == "Digits"
    assert "train_samples=5" in used.dataset.source
