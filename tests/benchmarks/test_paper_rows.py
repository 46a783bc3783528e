"""Rows of tables with PyTorch alone: which are chosen, that a row goes on where it stopped, and what is reported."""

import itertools
import json
import math
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from benchmarks import paper_rows
from search_spaces.digits_cnn import QUICK
from trainables import UserError
from trainables.engine.run import Run

STUDY = QUICK.check_tables(workers=1)
SECONDS = ("train_seconds", "evaluation_seconds")


def a_run() -> tuple[Run, paper_rows.Proposal]:
    (proposal, _) = paper_rows.chosen(STUDY, ["warmup:128"])
    task = replace(STUDY.table_task, epochs=10)
    data = task.data.load(Path())
    return Run(task, STUDY.all_techniques["warmup"], data, 128, proposal.learning_rate, proposal.seed), proposal


def test_rows_are_chosen_in_the_order_that_is_asked_for() -> None:
    rows = paper_rows.chosen(STUDY, ["whole_batch_norm:512,16", "warmup:128"])
    assert [(row.group.technique, row.group.batch_size, row.seed) for row in rows] == [
        *(("whole_batch_norm", size, seed) for size in (512, 16) for seed in (1, 2)),
        *(("warmup", 128, seed) for seed in (1, 2)),
    ]
    assert len(paper_rows.chosen(STUDY, [])) == len(paper_rows.chosen(STUDY, ["warmup", "whole_batch_norm"])) == 12
    with pytest.raises(UserError, match="rows warmup:64: no table has them; there are warmup:128, "):
        paper_rows.chosen(STUDY, ["warmup:64"])


def test_studies_and_budgets_that_there_are_not_are_refused() -> None:
    with pytest.raises(UserError, match="study nope: is not one of cifar_adabatch, "):
        paper_rows._study("nope", "quick")
    with pytest.raises(UserError, match="budget adaptive: must be one with tables: quick"):
        paper_rows._study("digits_cnn", "adaptive")


def test_a_row_goes_on_where_it_stopped_and_ends_as_if_it_had_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, _ = a_run()
    expected = [whole.train_epoch().numbers() for _ in range(10)]
    clock = itertools.chain([0.0] * 3, itertools.repeat(10.0))
    monkeypatch.setattr(paper_rows.time, "time", lambda: next(clock))
    first, proposal = a_run()
    paper_rows._train(first, proposal, tmp_path, deadline=5.0)
    kept = paper_rows._read(tmp_path, proposal)
    assert (kept["status"], len(kept["epochs"])) == ("running", 3)
    # as after a call that was killed between its two files
    doubled = {**kept, "epochs": kept["epochs"] * 2}
    paper_rows._path(tmp_path, proposal).write_text(json.dumps(doubled))
    second, _ = a_run()
    paper_rows._train(second, proposal, tmp_path, deadline=math.inf)
    ended = paper_rows._read(tmp_path, proposal)
    assert ended["status"] == "done"
    numbers = [each["numbers"] for each in ended["epochs"]]
    assert [{name: each[name] for name in each if name not in SECONDS} for each in numbers] == [
        {name: each[name] for name in each if name not in SECONDS} for each in expected
    ]
    assert [path.suffix for path in tmp_path.iterdir()] == [".json"], "the state of a row that has ended is not kept"
    paper_rows.report(STUDY, "quick", tmp_path)
    table = pd.read_csv(tmp_path / "tables.csv")
    (row,) = table[table["runs"] > 0].to_dict("records")
    assert (row["technique"], row["batch_size"], row["runs"]) == ("warmup", 128, 1)
    assert row["test_accuracy"] == pytest.approx(expected[-1]["test_accuracy"])
    assert (tmp_path / "figures" / "toy_table.png").exists()


def test_nothing_to_report_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no row of digits_cnn that has ended"):
        paper_rows.report(STUDY, "quick", tmp_path)
