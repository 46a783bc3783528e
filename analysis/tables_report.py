"""The report on papers' tables: each table with our own numbers beside the paper's, and the curves of its runs."""

from pathlib import Path

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from analysis.paper_table import PaperTable
from analysis.runs import StudyRuns
from analysis.tables import COLUMNS, cell, compare, run_ids, scores

STYLES = ("-", "--", ":", "-.")
WIDEST = 300
"""The largest width of a table, in characters. A narrower terminal wraps whole lines, which reads better than folded
cells."""


def report_tables(runs: StudyRuns, folder: Path, console: Console) -> tuple[pd.DataFrame, Path, Path]:
    """Print every table, and write tables.csv and tables.png into the folder.

    Returns:
        the rows of all tables, and the paths of the two files.
    """
    frames = []
    for table in runs.tables:
        found = compare(table, runs.design, runs.frame, runs.curves)
        drawn = _table(table, found)
        drawn.width = console.measure(drawn, options=console.options.update(width=WIDEST)).maximum
        console.print(drawn, crop=False)
        frames.append(found.assign(table=table.name))
    csv, picture = folder / "tables.csv", folder / "tables.png"
    rows = pd.concat(frames)
    whole = rows[["table", *(name for name in rows if name != "table")]]
    whole.to_csv(csv, index=False)
    draw_curves(runs, picture)
    return whole, csv, picture


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


def draw_curves(runs: StudyRuns, path: Path) -> None:
    """Write a PNG, a panel per table: the metric of each run over the epochs, and the paper's final values as rings."""
    many = len(runs.tables)
    columns = min(many, 3)
    lines = -(-many // columns)
    figure, panels = plt.subplots(
        lines, columns, figsize=(5.4 * columns, 4.2 * lines), squeeze=False, layout="constrained"
    )
    for table, panel in zip(runs.tables, panels.flat, strict=False):
        _panel(panel, runs, table)
    for panel in panels.flat[many:]:
        panel.set_axis_off()
    figure.suptitle(f"{runs.name} ({runs.circumstances}): papers' tables")
    figure.savefig(path, dpi=130)
    plt.close(figure)


def _panel(axes: Axes, runs: StudyRuns, table: PaperTable) -> None:
    metric = runs.design.metric
    techniques = list(dict.fromkeys(run.technique for run in table.runs))
    sizes = sorted({run.batch_size for run in table.runs})
    colours = dict(zip(sizes, plt.colormaps["viridis"].resampled(len(sizes) + 1).colors, strict=False))
    for run in table.runs:
        ids = [each for each in run_ids(runs.frame, run) if len(runs.curves[each])]
        for number, run_id in enumerate(ids):
            curve = runs.curves[run_id]
            values = list(map(metric.value, scores(curve, metric)))
            label = f"{run.technique} {run.batch_size}, {run.learning_rate:.3g}" if number == 0 else None
            style = STYLES[techniques.index(run.technique) % len(STYLES)]
            axes.plot(curve.index, values, style, color=colours[run.batch_size], lw=1.3, label=label)
        for name in ("test_accuracy", "test_perplexity"):
            if name in run.paper:
                axes.plot(run.epochs, run.paper[name], "o", mfc="none", color=colours[run.batch_size], clip_on=False)
    axes.set_title(f"{table.name}: {table.caption}", fontsize=9, wrap=True)
    axes.set_xlabel("epoch")
    axes.set_ylabel(metric.name.replace("_", " "))
    axes.grid(alpha=0.25, lw=0.6)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=7, frameon=False)
