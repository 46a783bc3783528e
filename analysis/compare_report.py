"""The report on two studies side by side."""

from pathlib import Path

import pandas as pd
from rich.console import Console

from analysis.answer import answer
from analysis.compare import Side, compared, difference_sentences
from analysis.results_folder import check_writable
from analysis.runs import load_runs
from analysis.text_table import ends, text_table
from analysis.wording import say
from trainables.errors import require


def report_comparison(one: str, other: str, uri: str, folder: Path, console: Console) -> None:
    """Print two studies side by side, and write FIRST_and_SECOND.csv into the folder.

    Raises:
        UserError: a study cannot be read, or the two cannot be compared.
    """
    require(one != other, f"study {one!r}: is the same twice; give another to compare")
    check_writable(folder)
    first, second = (_side(name, uri) for name in (one, other))
    rows = compared(first, second)
    metric = first.runs.design.metric
    columns: dict[str, list[str]] = {
        "technique": list(rows["technique"]),
        "batch\nsize": [f"{size}" for size in rows["batch_size"]],
    }
    for name, side in (("first", first), ("second", second)):
        edges = rows[[f"{name}_lower", f"{name}_upper", f"{name}_flags"]].itertuples(index=False)
        columns[f"{side.runs.name}\nmaximum scalable"] = [_edge_cell(*edge) for edge in edges]
        best = rows[f"{name}_best_score"]
        columns[f"{side.runs.name}\nbest"] = [metric.show(score) if pd.notna(score) else "-" for score in best]
    columns["second / first"] = [
        f"{row.factor:.2g} [{row.factor_lower:.2g}, {row.factor_upper:.2g}]" if pd.notna(row.factor) else "-"
        for row in rows.itertuples()
    ]
    for line in difference_sentences(first, second, rows):
        say(console, line, indent=2)
    console.print(text_table(None, columns))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{first.runs.name}_and_{second.runs.name}.csv"
    rows.to_csv(path, index=False)
    say(console, f"Table: {path}")


def _edge_cell(lower: float | None, upper: float | None, flags: str) -> str:
    """An edge in words, from a row of the comparison, where a missing number may be None or NaN."""
    interval = ends((lower, upper if pd.notna(upper) else None)) if lower is not None and pd.notna(lower) else ""
    return "\n".join(filter(None, [interval, flags]))


def _side(name: str, uri: str) -> Side:
    runs = load_runs(name, uri, curves=False)
    require(not runs.tables, f"study {name!r}: ran papers' tables the last time, which have no edges to compare")
    found = answer(runs.design, runs.outcomes())
    require(
        found.baseline is not None, f"study {name!r}: no run of its baseline has learnt anything; nothing to compare"
    )
    return Side(runs, found)
