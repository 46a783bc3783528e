"""Comparison of papers' tables with our own runs of them."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import pandas as pd

from analysis.curves import loss_jumps, plateau
from analysis.fluctuations import fluctuation_scale
from analysis.outcomes import Group
from analysis.paper_table import PaperTable, TableRun
from analysis.study_design import StudyDesign
from trainables.history import DONE
from trainables.recipe import EPOCHS, WORKERS
from trainables.score import Score


class Column(NamedTuple):
    """How a column is shown: its heading, and the format of its numbers."""

    heading: str
    form: str


COLUMNS = {
    "test_accuracy": Column("test accuracy", ".2%"),
    "train_accuracy": Column("train accuracy", ".2%"),
    "test_loss": Column("test loss", ".3f"),
    "train_loss": Column("train loss", ".3f"),
    "test_perplexity": Column("test perplexity", ".2f"),
    "plateau_epoch": Column("epoch at plateau", ".0f"),
    "epoch_seconds": Column("seconds per epoch", ".2f"),
    "plateau_seconds": Column("seconds to plateau", ".1f"),
    "loss_jumps": Column("jumps of the loss", ".0f"),
    "fluctuation_scale": Column("g = eta (N/B - 1)", ".1f"),
    "train_seconds": Column("seconds", ".1f"),
    "speed_up": Column("speed-up", ".2f"),
    "sharpness": Column("sharpness", ".3g"),
    "ascent_sharpness": Column("ascent sharpness", ".3g"),
    "top_eigenvalue": Column("top eigenvalue", ".3g"),
}


def compare(
    table: PaperTable, design: StudyDesign, frame: pd.DataFrame, curves: Mapping[str, pd.DataFrame]
) -> pd.DataFrame:
    """The paper's results beside our own: a frame with one row for each row of the paper's table.

    A row holds its technique, batch size, learning rate and epochs, and how many of its runs have ended. For each
    column, shown or drawn, it holds the paper's number, and the mean and standard deviation of our runs over seeds. A
    missing number is NaN; so is a speed-up where the row is known to have run on another number of workers than the
    table's first row.

    Args:
        frame: the runs, as analysis.runs gives them.
        curves: for each run_id, what the run reported after each epoch, in order.
    """
    mine = [_runs(frame, run) for run in table.runs]
    measured = [
        pd.DataFrame([_values(row, design, curves[row["run_id"]]) for row in each.to_dict("records")]) for each in mine
    ]
    base = measured[0]["train_seconds"].mean() if len(measured[0]) else float("nan")
    workers = [set(each[WORKERS].dropna()) for each in mine]
    lines = []
    for run, found, values, used in zip(table.runs, mine, measured, workers, strict=True):
        line: dict[str, object] = {
            "technique": run.technique,
            "batch_size": run.batch_size,
            "learning_rate": run.learning_rate,
            "epochs": run.epochs,
            "runs": len(found),
            "status": " ".join(sorted(set(found["status"]))),
        }
        if len(values):
            like = base if used == workers[0] else float("nan")
            values["speed_up"] = like / values["train_seconds"]
        for column in table.all_columns:
            ours = values[column] if column in values else pd.Series(dtype=float)
            line[f"{column}_paper"] = run.paper.get(column, float("nan"))
            line[column] = (
                like / values["train_seconds"].mean() if column == "speed_up" and len(values) else ours.mean()
            )
            line[f"{column}_deviation"] = ours.std()
        lines.append(line)
    return pd.DataFrame(lines)


def cell(line: Mapping[str, float], column: str) -> str:
    """The text of a cell: the paper's number and ours."""
    form = COLUMNS[column].form
    paper, ours, deviation = (line[f"{column}{suffix}"] for suffix in ("_paper", "", "_deviation"))
    mine = "-" if pd.isna(ours) else format(ours, form) + ("" if pd.isna(deviation) else f" ± {deviation:{form}}")
    return mine if pd.isna(paper) else f"{paper:{form}} | {mine}"


def scores(curve: pd.DataFrame, metric: Score) -> list[float]:
    """A run's score after each epoch."""
    return [metric.score_of(row) for row in curve.to_dict("records")]


def run_ids(frame: pd.DataFrame, run: TableRun) -> list[str]:
    """The ids of the runs of a row."""
    return list(_runs(frame, run)["run_id"])


def _runs(frame: pd.DataFrame, run: TableRun) -> pd.DataFrame:
    setting = ((EPOCHS, float(run.epochs)),)
    same = (
        Group(row.technique, row.batch_size) == run.group
        and row.learning_rate == run.learning_rate
        and row.setting == setting
        for row in frame.itertuples()
    )
    return frame[pd.Series(same, index=frame.index, dtype=bool)]


def _values(row: Mapping[str, Any], design: StudyDesign, curve: pd.DataFrame) -> dict[str, float]:
    """Every number that a column can show of one run. Only a run that ran to its end has times and a plateau."""
    values = {name: value for name, value in row.items() if isinstance(value, (int, float))}
    values["fluctuation_scale"] = fluctuation_scale(row["learning_rate"], design.train_samples, row["batch_size"])
    values["loss_jumps"] = len(loss_jumps(list(curve["train_loss"])))
    if row["status"] != DONE:
        return {**values, "train_seconds": float("nan")}
    epoch = plateau(scores(curve, design.metric))
    return {
        **values,
        "epoch_seconds": curve["train_seconds"].iloc[-1] / len(curve),
        "plateau_epoch": epoch,
        "plateau_seconds": curve["train_seconds"].iloc[epoch - 1],
    }
