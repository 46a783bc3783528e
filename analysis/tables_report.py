"""The report on papers' tables: each table with our own numbers beside the paper's, and its figure."""

from pathlib import Path

import pandas as pd
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from analysis.figures import draw_figures
from analysis.paper_table import PaperTable
from analysis.runs import StudyRuns
from analysis.tables import COLUMNS, cell, compare

FIGURES = "figures"
"""The folder of the figures, inside that of the report."""
WIDEST = 300
"""The largest width of a table, in characters. A narrower terminal wraps whole lines, which reads better than folded
cells."""


def report_tables(runs: StudyRuns, folder: Path, console: Console) -> tuple[pd.DataFrame, Path, Path]:
    """Print every table, and write tables.csv and the figures, a PNG for each table, into the folder.

    Returns:
        the rows of all tables, the path of tables.csv, and the folder of the figures.
    """
    found = {table.name: compare(table, runs.design, runs.frame, runs.curves) for table in runs.tables}
    for table in runs.tables:
        drawn = _table(table, found[table.name])
        drawn.width = console.measure(drawn, options=console.options.update(width=WIDEST)).maximum
        console.print(drawn, crop=False)
    csv = folder / "tables.csv"
    rows = pd.concat([rows.assign(table=name) for name, rows in found.items()])
    whole = rows[["table", *(name for name in rows if name != "table")]]
    whole.to_csv(csv, index=False)
    draw_figures(runs, found, folder / FIGURES)
    return whole, csv, folder / FIGURES


def _table(table: PaperTable, found: pd.DataFrame) -> Table:
    both = "\n(paper | ours)" if any(run.paper for run in table.runs) else ""
    drawn = Table(title=f"\n{table.name}: {table.caption}{both}", title_justify="left", box=box.SIMPLE_HEAD)
    for heading in ("technique", "batch\nsize", "learning\nrate", "epochs", "runs"):
        drawn.add_column(heading, justify="left" if heading == "technique" else "right")
    for column in table.columns:
        drawn.add_column(COLUMNS[column].heading.replace(" ", "\n", 1), justify="right")
    for line in found.to_dict("records"):
        bad = str(line["status"]).replace("done", "").strip()
        cells = [
            str(line["technique"]),
            str(line["batch_size"]),
            f"{line['learning_rate']:.4g}",
            str(line["epochs"]),
            f"{line['runs']}" + (f" {bad}" if bad else ""),
            *(cell(line, column) for column in table.columns),
        ]
        drawn.add_row(*map(Text, cells))
    return drawn
