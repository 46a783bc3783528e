"""Tables run as they are written, by the command itself."""

from collections.abc import Callable

import pandas as pd
import pytest

from analysis.paper_table import PaperTable, Plot, TableRun
from search_spaces.digits_cnn import BUDGETS
from search_spaces.service.preview import on_one_worker
from search_spaces.service.tables import table_plan, table_runs
from search_spaces.service.work import running_tables
from tests.search_spaces.place import Place
from trainables import UserError


def test_a_run_that_two_tables_have_is_made_once() -> None:
    """The first row of a table, to whose time the others are compared, comes last."""
    runs = (TableRun("warmup", 16, 0.1, 5), TableRun("warmup", 32, 0.2, 5))
    tables = (PaperTable("I", "", runs, seeds=2), PaperTable("II", "", runs[:1]))
    study = BUDGETS["quick"].with_choices(tables=tables)
    made = table_runs(study)
    assert [(run.group.batch_size, run.seed) for run in made] == [(32, 1), (16, 1), (32, 2), (16, 2)]
    assert table_plan(study).max_runs == 4
    assert table_plan(study).design.baseline.batch_size == 16


def test_a_table_of_what_cannot_be_trained_is_refused() -> None:
    large = PaperTable("I", "", (TableRun("warmup", 4096, 0.1, 5),))
    with pytest.raises(UserError, match="batch size 4096: must be 1 to 1,024"):
        BUDGETS["quick"].with_choices(tables=(large,)).check_tables(workers=1)


def drawing(plot: Plot) -> PaperTable:
    return PaperTable("I", "", (TableRun("warmup", 16, 0.1, 5),), plots=(plot,))


def test_two_tables_of_one_name_are_refused() -> None:
    table = PaperTable("I", "", (TableRun("warmup", 16, 0.1, 5),))
    with pytest.raises(UserError, match="tables I, I: each must have a name of its own"):
        BUDGETS["quick"].with_choices(tables=(table, table)).check_tables(workers=1)


def test_rows_that_cannot_be_cut_for_all_workers_are_run_on_one_and_named() -> None:
    runs = (TableRun("warmup", 8, 0.1, 5), TableRun("warmup", 32, 0.1, 5))
    study = BUDGETS["quick"].with_choices(tables=(PaperTable("I", "", runs),))
    assert on_one_worker(running_tables(study.check_tables(workers=2)), 2) == (
        "warmup 8: batches that cannot be cut for 2 workers"
    )
    assert on_one_worker(running_tables(study), 1) == ""


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (PaperTable("I", "", ()), "I: has no runs"),
        (PaperTable("I", "", (TableRun("nope", 16, 0.1, 5),)), "technique 'nope' is not one of warmup, "),
        (PaperTable("I", "", (TableRun("warmup", 16, 0.1, 5),), ("top5",)), "column 'top5' is not one of test_acc"),
        (drawing(Plot("train_loss", "time")), "axis 'time' of a plot is not one of epoch, samples, "),
        (drawing(Plot("train_loss", "epoch", "seed")), "panels 'seed' of a plot are not one of "),
        (drawing(Plot("sharpnes", "batch_size")), "'sharpnes' cannot be drawn over batch_size; there is test_accuracy"),
        (
            drawing(Plot("loss_line", "line")),
            "'loss_line' cannot be drawn over line; there is none: the study's table_",
        ),
    ],
)
def test_what_a_table_could_not_show_is_refused_before_it_runs(table: PaperTable, words: str) -> None:
    with pytest.raises(UserError, match=words):
        BUDGETS["quick"].with_choices(tables=(table,)).check_tables(workers=1)


@pytest.mark.slow
def test_tables_end_to_end(place: Place) -> None:
    """Twelve runs, printed beside the paper's numbers; the report is reproduced from MLflow alone."""
    done = place.run("--tables")
    assert done.returncode == 0, done.stdout + done.stderr
    for words in ("the 12 of Toy table", "speed-up", "±"):
        assert words in done.stdout
    results = place.folder / "results" / "digits_cnn_quick_tables"
    table = pd.read_csv(results / "tables.csv")
    assert table.runs.tolist() == [2] * 6
    assert (table.status == "done").all()
    assert table.test_accuracy.between(0.5, 1).all()
    assert table.speed_up[0] == pytest.approx(1.0, abs=0.5)
    assert (results / "figures" / "toy_table.png").read_bytes().startswith(b"\x89PNG")
    again = place.run("digits_cnn_quick_tables", "--results-dir", "again", module="analysis.report")
    assert again.returncode == 0, again.stderr
    assert (place.folder / "again/digits_cnn_quick_tables/tables.csv").read_text() == (
        results / "tables.csv"
    ).read_text()


def test_budgets_without_tables_say_so(refused: Callable[..., str]) -> None:
    told = refused("--tables", "--budget", "adaptive")
    assert "--tables: budget adaptive of digits_cnn lists none; quick does" in told


def test_no_trials_at_a_time_are_refused(refused: Callable[..., str]) -> None:
    for options in ([], ["--tables"]):
        assert "must be at least 1" in refused("--concurrent-trials", "0", "--dry-run", *options)


def test_tables_take_no_options_of_a_search(refused: Callable[..., str]) -> None:
    told = refused("--tables", "--seeds", "7", "--search", "grid")
    assert "--tables with --seeds, --search: tables are run as they are written" in told
