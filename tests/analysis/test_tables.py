"""Papers' tables beside our runs, on constructed runs."""

import io
import math
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from analysis.curves import loss_jumps, plateau
from analysis.fluctuations import fluctuation_scale
from analysis.outcomes import Group
from analysis.paper_table import PaperTable, TableRun, rows
from analysis.runs import StudyRuns
from analysis.study_design import StudyDesign
from analysis.tables import cell, compare
from analysis.tables_report import report_tables
from trainables.metric import Perplexity
from trainables.recipe import EPOCHS, WORKERS

GROUPS = (Group("plain", 32), Group("plain", 64))
DESIGN = StudyDesign(GROUPS, GROUPS[0], (0.1, 0.2), 0.01, 1.5, 1000, (EPOCHS,), {}, train_samples=1000)
TABLE = PaperTable(
    "Table I",
    "two rows",
    rows("plain", 3, ("test_accuracy",), (32, 0.1, 0.88), (64, 0.2)),
    columns=("test_accuracy", "plateau_epoch", "epoch_seconds", "plateau_seconds", "speed_up", "loss_jumps"),
    seeds=2,
)


def row(run_id: str, batch_size: int, rate: float, seed: int, test: float, seconds: float, epochs: int = 3) -> dict:
    return {
        "run_id": run_id,
        "technique": "plain",
        "batch_size": batch_size,
        "learning_rate": rate,
        "seed": seed,
        "status": "done",
        "setting": ((EPOCHS, float(epochs)),),
        "samples": 3000.0,
        "test_accuracy": test,
        "train_seconds": seconds,
        WORKERS: 4.0,
    }


def curve(accuracies: list[float], losses: list[float], seconds: float) -> pd.DataFrame:
    steps = range(1, 1 + len(accuracies))
    return pd.DataFrame(
        {
            "validation_accuracy": accuracies,
            "validation_loss": losses,
            "train_loss": losses,
            "train_seconds": [seconds * step for step in steps],
        },
        index=steps,
    )


FRAME = pd.DataFrame(
    [
        row("a", 32, 0.1, 1, 0.80, 30.0),
        row("b", 32, 0.1, 2, 0.90, 30.0),
        row("c", 64, 0.2, 1, 0.70, 15.0),
        row("longer", 64, 0.2, 1, 0.99, 15.0, epochs=4),
        row("other", 32, 0.2, 1, 0.99, 15.0),
    ]
)
CURVES = {
    "a": curve([0.5, 0.795, 0.80], [2.0, 1.0, 0.9], 10),
    "b": curve([0.5, 0.7, 0.9], [2.0, 1.0, 0.9], 10),
    "c": curve([0.5, 0.6, 0.595], [2.0, 1.0, 1.4], 5),
    "longer": curve([0.1], [1.0], 1),
    "other": curve([0.1], [1.0], 1),
}


def test_a_table_is_compared_run_by_run() -> None:
    first, second = compare(TABLE, DESIGN, FRAME, CURVES).to_dict("records")
    assert (first["runs"], second["runs"]) == (2, 1), "runs of other rates and lengths are not its rows"
    assert first["test_accuracy_paper"] == 0.88
    assert first["test_accuracy"] == pytest.approx(0.85)
    assert first["test_accuracy_deviation"] == pytest.approx(math.sqrt(0.005))
    assert math.isnan(second["test_accuracy_paper"])
    assert first["plateau_epoch"] == 2.5
    assert first["plateau_seconds"] == 25.0
    assert first["epoch_seconds"] == 10.0
    assert (first["speed_up"], second["speed_up"]) == (1.0, 2.0)
    assert (first["loss_jumps"], second["loss_jumps"]) == (0, 1)
    assert cell(first, "test_accuracy") == "88.00% | 85.00% ± 7.07%"
    assert cell(second, "test_accuracy") == "70.00%"


@pytest.mark.parametrize("status", ["diverged", "out_of_memory", "failed"])
def test_a_run_that_did_not_end_well_has_no_times(status: str) -> None:
    """A run that fails before its first epoch has neither samples nor seconds."""
    nothing = {"samples": math.nan, "train_seconds": math.nan} if status != "diverged" else {"train_seconds": 1.0}
    bad = {**row("d", 64, 0.2, 1, 0.1, 1.0), **nothing, "status": status}
    frame = pd.DataFrame([*FRAME.iloc[:2].to_dict("records"), bad])
    first, second = compare(TABLE, DESIGN, frame, {**CURVES, "d": CURVES["c"].iloc[:0]}).to_dict("records")
    assert first["speed_up"] == 1.0
    assert second["status"] == status
    assert all(math.isnan(second[name]) for name in ("speed_up", "plateau_seconds", "epoch_seconds"))
    assert second["test_accuracy"] == 0.1
    _, first_bad = compare(
        TABLE, DESIGN, FRAME.assign(status=[status, "done", "done", "done", "done"]), CURVES
    ).to_dict("records")
    assert first_bad["speed_up"] == 2.0, "the other seed of the first row is what it is against"


def test_there_is_no_speed_up_against_a_row_on_another_number_of_workers() -> None:
    on_one = FRAME.assign(**{WORKERS: [4.0, 4.0, 1.0, 4.0, 4.0]})
    first, second = compare(TABLE, DESIGN, on_one, CURVES).to_dict("records")
    assert first["speed_up"] == 1.0
    assert math.isnan(second["speed_up"])
    assert second["epoch_seconds"] == 5.0, "its own time is known"


def test_fluctuations_are_of_the_whole_training_set() -> None:
    """Whatever an epoch that broke off, or a last partial batch that was dropped, saw of it."""
    table = PaperTable("g", "", TABLE.runs, ("fluctuation_scale",))
    first, _ = compare(table, DESIGN, FRAME, CURVES).to_dict("records")
    assert first["fluctuation_scale"] == pytest.approx(0.1 * (1000 / 32 - 1))


def test_a_row_that_did_not_run_is_empty() -> None:
    _, second = compare(TABLE, DESIGN, FRAME.iloc[:2], CURVES).to_dict("records")
    assert second["runs"] == 0
    assert cell(second, "test_accuracy") == "-"


def test_a_plateau_is_of_the_score_so_perplexities_count_downwards() -> None:
    losses = [6.0, 5.1, 5.005, 5.0]
    scores = [Perplexity().score(loss, 0.0) for loss in losses]
    assert plateau(scores) == 3


def test_a_jump_is_a_rise_not_a_level() -> None:
    assert loss_jumps([1.0, 0.5, 0.54, 0.6, 0.3]) == [4]
    assert loss_jumps([1.0]) == []
    assert loss_jumps([1.5, 0.04, 0.05, 0.04, 0.06, 0.1]) == [6], "a small loss that varies has not jumped"


def test_the_linear_rule_keeps_the_scale_of_fluctuations_while_batches_are_small() -> None:
    base = fluctuation_scale(0.025, 50_000, 32)
    assert fluctuation_scale(0.025 * 32, 50_000, 1024) == pytest.approx(base, rel=0.03)
    assert fluctuation_scale(0.025 * 1024, 50_000, 32 * 1024) < base / 2


def test_tables_survive_json() -> None:
    assert PaperTable.from_json(TABLE.to_json()) == TABLE
    assert TABLE.runs[1] == TableRun("plain", 64, 0.2, 3, {})


def test_a_narrow_terminal_folds_no_cell(tmp_path: Path) -> None:
    """Nor does a paper without numbers get a column for them."""
    unknown = PaperTable("Figure 1", "no numbers", (TableRun("plain", 32, 0.1, 3),))
    printed = io.StringIO()
    runs = StudyRuns("study", "parent", DESIGN, {}, FRAME, (TABLE, unknown), CURVES)
    report_tables(runs, tmp_path, Console(file=printed, width=40))
    lines = printed.getvalue().splitlines()
    row_of_32 = next(line for line in lines if line.split()[:2] == ["plain", "32"])
    assert row_of_32.split()[5:9] == ["88.00%", "|", "85.00%", "±"]
    assert printed.getvalue().count("(paper | ours)") == 1


def test_tables_of_which_nothing_ran_are_printed_empty(tmp_path: Path) -> None:
    """As after Ctrl-C in the first run."""
    runs = StudyRuns("study", "parent", DESIGN, {"budget": "quick"}, FRAME.iloc[:0], (TABLE,), {})
    report_tables(runs, tmp_path, Console(file=io.StringIO()))
    assert pd.read_csv(tmp_path / "tables.csv").runs.tolist() == [0, 0]


def test_jumps_are_told_of_a_run_that_diverged() -> None:
    broken = FRAME.assign(status="diverged")
    curves = {**CURVES, **{name: CURVES[name].assign(train_loss=[2.0, 1.0, 9.0]) for name in ("a", "b")}}
    first, _ = compare(TABLE, DESIGN, broken, curves).to_dict("records")
    assert first["loss_jumps"] == 1
    assert math.isnan(first["plateau_epoch"])


def test_titles_name_the_substitute() -> None:
    tag = "FashionMNIST(train_samples=10000, judge_on='held_out') for MNIST(train_samples=10000)"
    runs = StudyRuns("mnist_lstm", "parent", DESIGN, {"budget": "quick"}, FRAME, substitute=tag)
    assert runs.circumstances == "quick, FashionMNIST for MNIST"
    assert runs._replace(substitute="").circumstances == "quick"
