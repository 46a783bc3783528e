"""The writer: a store that fails for a moment loses nothing, and what a killed process left is written by the next."""

import argparse
import json
import random
import sqlite3
import time
from pathlib import Path

import mlflow
import pytest
from mlflow.exceptions import MlflowException

from analysis import report
from analysis.answer import answer
from analysis.conclusions import conclusions
from analysis.runs import stored_studies
from search_spaces.service.parent_run import Parent, Record, begin, earlier_start, open_store
from search_spaces.service.tracking import Tracker
from tests.analysis.test_answer import DESIGN, OUTCOMES

PARAMS = {"technique": "t", "batch_size": 32, "learning_rate": 0.1, "seed": 1}


class Unsteady:
    """A client half of whose writes fail; where it is told to, after the store has taken the write."""

    def __init__(self, client: mlflow.MlflowClient) -> None:
        self._client, self._draws, self.steady, self.late = client, random.Random(0), True, False

    def __getattr__(self, name: str) -> object:
        method = getattr(self._client, name)

        def call(*args: object, **kwargs: object) -> object:
            fails = not self.steady and not name.startswith("search") and self._draws.random() < 0.5
            result = None if fails and not self.late else method(*args, **kwargs)
            if fails:
                raise MlflowException("the store is away")
            return result

        return call


@pytest.fixture
def store(tmp_path: Path) -> mlflow.MlflowClient:
    return open_store(f"sqlite:///{tmp_path / 'mlflow.db'}")


def track(store: mlflow.MlflowClient, folder: Path, name: str = "s", **about: object) -> Tracker:
    parent = begin(store, Record(name, "{}", {"study": name}, folder, **about))
    return Tracker(store, parent, folder / "outbox.jsonl")


@pytest.mark.parametrize("late", [False, True])
def test_writes_that_fail_for_a_moment_arrive_in_order_and_once(
    late: bool, store: mlflow.MlflowClient, tmp_path: Path
) -> None:
    client = Unsteady(store)
    tracker = track(client, tmp_path)
    client.steady, client.late = False, late
    tracker.start("a", "run", PARAMS)
    for epoch in (1, 2):
        tracker.log("a", {"train_loss": 1.0 / epoch}, epoch, {"slope": [(10 * epoch, 0.5), (10 * epoch + 5, 0.25)]})
    tracker.end("a", "diverged")
    assert tracker.close("done") == 0
    assert tracker.finished == 1
    (run,) = store.search_runs([tracker.experiment_id], "tags.status = 'diverged'")
    assert len(store.search_runs([tracker.experiment_id])) == 2, "the study and the trial"
    assert run.info.status == "FINISHED"
    assert run.data.params["learning_rate"] == "0.1"
    assert [point.value for point in store.get_metric_history(run.info.run_id, "train_loss")] == [1.0, 0.5]
    slopes = [(point.step, point.value) for point in store.get_metric_history(run.info.run_id, "slope")]
    assert slopes == [(10, 0.5), (15, 0.25), (20, 0.5), (25, 0.25)], "a series has its own positions"
    assert store.get_run(tracker.parent_id).data.tags["status"] == "done"


def test_a_file_that_cannot_be_stored_is_counted_and_holds_up_nothing(
    store: mlflow.MlflowClient, tmp_path: Path
) -> None:
    tracker = track(store, tmp_path)
    tracker.upload(tmp_path / "missing.png")
    tracker.start("a", "run", PARAMS)
    tracker.end("a", "done")
    assert tracker.close("done") == 1
    assert "missing.png" in tracker.problem
    assert len(store.search_runs([tracker.experiment_id], "tags.status = 'done'")) == 2, "the study and the run"


def test_a_run_that_was_created_twice_keeps_the_one_with_its_numbers(
    store: mlflow.MlflowClient, tmp_path: Path
) -> None:
    """A try that seemed to fail had created one too."""
    first = track(store, tmp_path)
    first.start("a", "run", PARAMS)
    first.log("a", {"epoch": 1.0, "train_loss": 0.5}, 1, {})
    first.settle()
    (run,) = store.search_runs([first.experiment_id], "tags.run = 'a'")
    for _ in range(4):
        store.create_run(first.experiment_id, start_time=run.info.start_time, tags=run.data.tags)
    first.leave()
    again = Tracker(store, Parent(first.experiment_id, first.parent_id, {}), tmp_path / "outbox.jsonl")
    again.go_on({"a": "done"})
    assert again.close("done") == 0
    (kept,) = store.search_runs([first.experiment_id], "tags.run = 'a'")
    assert kept.info.run_id == run.info.run_id


@pytest.mark.slow
def test_a_database_that_somebody_else_has_locked_holds_up_nothing(store: mlflow.MlflowClient, tmp_path: Path) -> None:
    """MLflow itself waits for some seconds, and then gives up."""
    tracker = track(store, tmp_path)
    database = sqlite3.connect(store.tracking_uri.removeprefix("sqlite:///"), isolation_level=None)
    database.execute("BEGIN EXCLUSIVE")
    begun = time.monotonic()
    tracker.start("a", "run", PARAMS)
    tracker.log("a", {"train_loss": 1.0}, 1, {})
    tracker.end("a", "done")
    assert time.monotonic() - begun < 1, "training goes on"
    while not tracker.problem:
        time.sleep(0.1)
    assert "locked" in tracker.problem
    database.execute("COMMIT")
    assert tracker.close("done") == 0
    (run,) = store.search_runs([tracker.experiment_id], "tags.run = 'a'")
    assert [point.value for point in store.get_metric_history(run.info.run_id, "train_loss")] == [1.0]


def test_a_study_that_goes_on_has_each_run_and_each_number_once(store: mlflow.MlflowClient, tmp_path: Path) -> None:
    """The first process is killed with one run ended, one not yet marked as ended, and one in its second epoch."""
    first = track(store, tmp_path)
    for key in ("over", "marked", "going"):
        first.start(key, key, PARAMS)
        first.log(key, {"epoch": 1.0, "train_loss": 0.5}, 1, {})
    first.end("over", "done")
    first.settle()
    earlier = earlier_start(store, "s")
    assert earlier is not None
    assert not earlier.ended
    second = Tracker(store, Parent(earlier.experiment_id, earlier.run_id, {}), tmp_path / "outbox.jsonl")
    second.go_on({"over": "done", "marked": "diverged"})
    assert second.finished == 2
    second.start("going", "going", PARAMS)
    for epoch in (1, 2):  # the first is reported once more
        second.log("going", {"epoch": float(epoch), "train_loss": 0.5 / epoch}, epoch, {})
    second.end("going", "done")
    assert second.close("done") == 0
    runs = {run.info.run_name: run for run in store.search_runs([second.experiment_id])}
    statuses = {name: run.data.tags["status"] for name, run in runs.items()}
    assert statuses == {"s": "done", "over": "done", "marked": "diverged", "going": "done"}
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    losses = store.get_metric_history(runs["going"].info.run_id, "train_loss")
    assert [(point.step, point.value) for point in losses] == [(1, 0.5), (2, 0.25)]
    later = earlier_start(store, "s")
    assert later is not None
    assert later.ended


def test_what_a_stopped_study_could_not_write_is_written_when_it_goes_on(
    store: mlflow.MlflowClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search_spaces.service.tracking.LAST_SECONDS", 0.1)
    client = Unsteady(store)
    tracker = track(client, tmp_path)
    monkeypatch.setattr(Unsteady, "__getattr__", lambda self, name: _away)
    tracker.start("a", "run", PARAMS)
    tracker.log("a", {"epoch": 1.0}, 1, {})
    assert tracker.close("stopped") == 3
    assert tracker.problem == "the store is away"
    earlier = earlier_start(store, "s")
    assert earlier is not None
    again = Tracker(store, Parent(earlier.experiment_id, earlier.run_id, {}), tmp_path / "outbox.jsonl")
    again.go_on({})
    assert again.close("done") == 0
    (run,) = store.search_runs([again.experiment_id], "tags.run = 'a'")
    assert run.data.metrics["epoch"] == 1.0


def _away(*_args: object, **_options: object) -> object:
    raise MlflowException("the store is away")


def test_a_trial_that_starts_twice_has_one_run(store: mlflow.MlflowClient, tmp_path: Path) -> None:
    tracker = track(store, tmp_path)
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
    tracker = track(store, tmp_path)
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
    track(store, tmp_path, "first").close("done")
    track(store, tmp_path, "second")
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
    tracker = track(store, tmp_path, data="Digits(train_samples=5)", lower_is_better=True)
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
