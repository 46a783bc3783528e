"""What the report makes of studies that have not ended, lack numbers, or have one batch size only."""

import argparse
from dataclasses import replace
from pathlib import Path

import pytest

from analysis import report
from analysis.outcomes import Group, Outcome
from analysis.runs import load_runs
from search_spaces.service.parent_run import Record, begin, open_store
from search_spaces.service.tracking import Tracker
from tests.analysis.test_answer import DESIGN, OUTCOMES
from trainables.recipe import PASSES, WORKERS


def write(folder: Path, outcomes: list[Outcome], without_score: int = 0, **changes: object) -> Tracker:
    """A study in MLflow whose parent still runs; the last runs have no score."""
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    design, client = replace(DESIGN, **changes).to_json(), open_store(uri)
    parent = begin(client, Record("s", design, {"study": "s"}, folder / "artifacts"))
    tracker = Tracker(client, parent, folder / "outbox.jsonl")
    for at, run in enumerate(outcomes):
        params = {**run.group._asdict(), "learning_rate": run.learning_rate, "seed": run.seed, WORKERS: 1, PASSES: 1.0}
        tracker.start(str(at), "run", params)
        score = {"validation_accuracy": run.score, "train_accuracy": run.train_score}
        numbers = {"validation_loss": 1.0, "train_loss": 1.0, "epoch": 1.0, "samples": 100.0, "steps": 10.0}
        numbers |= {"train_seconds": 1.0} | (score if at < len(outcomes) - without_score else {})
        tracker.log(str(at), numbers, 1, {})
        tracker.end(str(at), run.status)
    tracker.settle()
    return tracker


def shown(folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    uri, results = f"sqlite:///{folder / 'mlflow.db'}", str(folder / "results")
    options = argparse.Namespace(study="s", compare=None, tracking_uri=uri, results_dir=results)
    assert report.main(options) == 0
    return capsys.readouterr().out


def test_a_study_that_still_runs_is_reported_as_far_as_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    some = OUTCOMES[:16]
    tracker = write(tmp_path, some)
    told = shown(tmp_path, capsys)
    assert "The study has not ended; this is what its first 16 runs say. With t, " in told
    page = (tmp_path / "results" / "s" / "report.html").read_text()
    assert "The study has not ended" in page
    assert (tmp_path / "results" / "s" / "frontier.png").exists()
    tracker.close("done")
    assert "has not ended" not in shown(tmp_path, capsys)


def test_runs_without_a_score_are_left_out_and_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    evidence = [run for run in OUTCOMES if run.is_evidence]
    write(tmp_path, evidence, without_score=2).close("done")
    told = shown(tmp_path, capsys)
    assert "Left out, because MLflow holds no score of them, are 2 of its runs." in told
    runs = load_runs("s", f"sqlite:///{tmp_path / 'mlflow.db'}")
    assert (len(runs.frame), runs.incomplete) == (len(evidence) - 2, 2)


def test_one_batch_size_has_no_exponent_and_says_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = Group("t", 32)
    mine = [run for run in OUTCOMES if run.group == small]
    write(tmp_path, mine, groups=(small,), rules={}).close("done")
    told = shown(tmp_path, capsys)
    assert "There is no exponent yet: it takes 3 finite edges, and there is 1." in told


def test_a_study_of_which_nothing_has_ended_has_nothing_to_judge(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, [])
    told = shown(tmp_path, capsys)
    assert "The study has not ended; this is what its first 0 runs say. s: no run of the baseline has learnt" in told
