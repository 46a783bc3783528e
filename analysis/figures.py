"""A paper's figure drawn from our own runs: the panels that its table names, in one picture."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator

from analysis.landscape import places
from analysis.looks import BLUE, GREEN, VERMILLION
from analysis.paper_table import PaperTable, Plot, TableRun
from analysis.runs import StudyRuns
from analysis.tables import COLUMNS, run_ids
from trainables.history import SPLITS

STYLES = ("-", "--", ":", "-.", (0, (5, 1, 1, 1, 1, 1)))
MARKS = ("o", "s", "^", "D", "v", "P", "X", "*")
TECHNIQUES = (BLUE, VERMILLION, GREEN, "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999900")
"""Colours of techniques where batch sizes have none; the first ones are those of the report."""
COLUMNS_OF_PANELS = 3
LABELS = {
    "epoch": "epoch",
    "samples": "samples seen with the step",
    "line": "multiple of a direction scaled filter by filter",
}
FINAL = {
    "validation_accuracy": "test_accuracy",
    "train_accuracy": "train_accuracy",
    "validation_perplexity": "test_perplexity",
}
"""By what is drawn over the epochs, the paper's final result that belongs to it. Papers judge on the test images, as
our runs do with their settings; smaller budgets judge on held-out ones."""
LOWEST, CONTOURS = 1e-4, 15
"""The lowest loss of a plane that is told from others, and the number of contours."""
HIGHEST_OVER_FIRST = 2.0
"""A loss is drawn up to this many times the largest first one, so that one run that jumps does not hide the others."""


class Panel(NamedTuple):
    """One panel of a figure: its plot, its title, and the rows of the table that it shows."""

    plot: Plot
    title: str
    runs: tuple[TableRun, ...]


def slug(name: str) -> str:
    """A file name for a table: "Figures 2 to 7" becomes figures_2_to_7."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def rows_of(table: PaperTable, runs: StudyRuns) -> list[list[Panel]]:
    """The panels of a table's figure, row by row; plots of one panel each share a row.

    A plane has a panel only where it was measured.
    """
    metric = runs.design.metric
    plots = table.plots or (
        Plot("validation_loss" if metric.name == "perplexity" else f"validation_{metric.reported}"),
    )
    singles: list[Panel] = []
    rows = []
    for plot in plots:
        panels = [
            panel for panel in _panels(plot, table.runs) if plot.x != "plane" or _plane_of(panel, runs) is not None
        ]
        if len(panels) == 1:
            singles += panels
        else:
            rows += _broken(panels)
    return [*_broken(singles), *rows]


def _broken(panels: list[Panel]) -> list[list[Panel]]:
    return [panels[first : first + COLUMNS_OF_PANELS] for first in range(0, len(panels), COLUMNS_OF_PANELS)]


def _panels(plot: Plot, runs: tuple[TableRun, ...]) -> Iterable[Panel]:
    if plot.x == "plane":
        for run in runs:
            yield Panel(plot, f"{run.technique}, {run.batch_size:,}, rate {run.learning_rate:.3g}", (run,))
        return
    if not plot.panels:
        yield Panel(plot, "", runs)
        return
    for key in dict.fromkeys(getattr(run, plot.panels) for run in runs):
        title = f"batch size {key:,}" if plot.panels == "batch_size" else str(key)
        yield Panel(plot, title, tuple(run for run in runs if getattr(run, plot.panels) == key))


def draw_figure(runs: StudyRuns, table: PaperTable, rows: list[list[Panel]], found: pd.DataFrame, path: Path) -> None:
    """Write the figure of a table as PNG.

    Args:
        runs: the study's runs.
        table: the table.
        rows: its panels, at least one, as rows_of gives them.
        found: its rows, as analysis.tables.compare gives them.
        path: of the picture.
    """
    wide = max(len(row) for row in rows)
    size = (5.4 * wide, 3.7 * len(rows) + 0.5)
    figure, axes = plt.subplots(len(rows), wide, figsize=size, squeeze=False, layout="constrained")
    planes = [plane for row in rows for panel in row if (plane := _plane_of(panel, runs)) is not None]
    levels = _levels(planes) if planes else np.zeros(0)
    alike: dict[str, list[Axes]] = {}
    for line, row in zip(axes, rows, strict=True):
        for place in line[len(row) :]:
            place.set_axis_off()
        for place, panel in zip(line, row, strict=False):
            _draw(figure, place, panel, runs, found, levels)
            if panel.plot.x == "epoch" and panel.plot.y.startswith(SPLITS):
                alike.setdefault(panel.plot.y, []).append(place)
    for places_of_one in alike.values():  # so that panels can be compared
        ends = np.array([place.get_ylim() for place in places_of_one])
        for place in places_of_one:
            place.set_ylim(ends[:, 0].min(), ends[:, 1].max())
    figure.suptitle(f"{runs.name} ({runs.circumstances})\n{table.name}: {table.caption}", fontsize=11, wrap=True)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def _draw(figure: Figure, axes: Axes, panel: Panel, runs: StudyRuns, found: pd.DataFrame, levels: np.ndarray) -> None:
    plot = panel.plot
    if plot.x == "plane":
        _plane(figure, axes, panel, runs, levels)
    elif plot.x in ("batch_size", "learning_rate"):
        _against(axes, panel, found)
    else:
        _lines(axes, panel, runs)
    axes.set_title(panel.title, fontsize=10)
    axes.set_ylabel("" if plot.x == "plane" else _words(plot.y))
    if plot.x != "plane":
        axes.grid(alpha=0.25, lw=0.6)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=7, frameon=False, ncols=2, loc="upper center", bbox_to_anchor=(0.5, 0), borderaxespad=5)


def _words(name: str) -> str:
    return COLUMNS[name].heading if name in COLUMNS else name.replace("_", " ")


def _labels(runs: tuple[TableRun, ...]) -> dict[Any, str]:
    """For each row, what tells it from the others of its panel."""
    parts = {
        "technique": lambda run: run.technique,
        "batch_size": lambda run: f"{run.batch_size:,}",
        "learning_rate": lambda run: f"rate {run.learning_rate:.3g}",
        "epochs": lambda run: f"{run.epochs} epochs",
    }
    differing = [name for name in parts if len({getattr(run, name) for run in runs}) > 1] or ["technique"]
    return {_key(run): ", ".join(parts[name](run) for name in differing) for run in runs}


def _key(run: TableRun) -> Any:
    """A row without the paper's results, which cannot be hashed."""
    return run[:4]


def _looks(runs: tuple[TableRun, ...]) -> dict[Any, tuple[Any, Any]]:
    """The colour and the line style of each row: colours are of batch sizes and rates, or of techniques if these alone
    differ; styles are of techniques."""
    techniques = list(dict.fromkeys(run.technique for run in runs))
    sizes = sorted({run.batch_size for run in runs})
    rates = sorted({run.learning_rate for run in runs})
    if len(sizes) == 1 and len(runs) == len(techniques):
        return {_key(run): (TECHNIQUES[techniques.index(run.technique) % len(TECHNIQUES)], "-") for run in runs}
    values = sizes if len(sizes) > 1 else rates
    shades = dict(zip(values, plt.colormaps["viridis"](np.linspace(0, 0.9, len(values))), strict=True))
    return {
        _key(run): (
            shades[run.batch_size if len(sizes) > 1 else run.learning_rate],
            STYLES[techniques.index(run.technique) % len(STYLES)],
        )
        for run in runs
    }


def _lines(axes: Axes, panel: Panel, runs: StudyRuns) -> None:
    """A line for each run: what it reported over its epochs or steps, or a slice of its loss."""
    plot, looks, labels = panel.plot, _looks(panel.runs), _labels(panel.runs)
    firsts = []
    for run in panel.runs:
        colour, style = looks[_key(run)]
        label: str | None = labels[_key(run)]
        for run_id in run_ids(runs.frame, run):
            values = _values(runs, run_id, plot)
            if values.empty:
                continue
            axes.plot(_places(plot, run, values), values, linestyle=style, color=colour, lw=1.3, label=label)
            firsts.append(values.iloc[0])
            label = None
        if plot.x == "epoch" and FINAL.get(plot.y) in run.paper:
            axes.plot(run.epochs, run.paper[FINAL[plot.y]], "o", mfc="none", color=colour, clip_on=False)
    if firsts and plot.y.endswith("_loss") and plot.x == "epoch":
        axes.set_ylim(0, min(axes.get_ylim()[1], HIGHEST_OVER_FIRST * max(firsts)))
    if plot.x == "line":
        axes.set_yscale("log")
    if plot.x == "samples":
        axes.set_xscale("log")
        axes.set_yscale("symlog", linthresh=1)
    if plot.x == "epoch":
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel(LABELS[plot.x])


def _places(plot: Plot, run: TableRun, values: pd.Series) -> Any:
    if plot.x == "line":
        return places(len(values))
    return (values.index + 1) * run.batch_size if plot.x == "samples" else values.index


def _values(runs: StudyRuns, run_id: str, plot: Plot) -> pd.Series:
    if plot.x == "epoch":
        curve = runs.curves.get(run_id, pd.DataFrame())
        return curve[plot.y].dropna() if plot.y in curve else pd.Series(dtype=float)
    return runs.series.get(run_id, {}).get(plot.y, pd.Series(dtype=float)).dropna()


def _against(axes: Axes, panel: Panel, found: pd.DataFrame) -> None:
    """A line for each technique: a column against the batch size or the learning rate, ours and the paper's."""
    plot, keys = panel.plot, {_key(run) for run in panel.runs}
    lines = found[[tuple(row) in keys for row in found[list(TableRun._fields[:4])].itertuples(index=False)]]
    for number, (technique, rows) in enumerate(lines.groupby("technique", sort=False)):
        rows = rows.sort_values(plot.x)
        colour = TECHNIQUES[number % len(TECHNIQUES)]
        deviation = rows[f"{plot.y}_deviation"].fillna(0)
        axes.errorbar(
            rows[plot.x], rows[plot.y], deviation, marker=MARKS[number % len(MARKS)], color=colour, lw=1.3, capsize=3,
            label=technique,
        )  # fmt: skip
        paper = rows[rows[f"{plot.y}_paper"].notna()]
        if len(paper):
            axes.plot(
                paper[plot.x], paper[f"{plot.y}_paper"], "--", marker=MARKS[number % len(MARKS)], mfc="none",
                color=colour, lw=0.8, label=f"{technique}, paper",
            )  # fmt: skip
    axes.set_xscale("log", base=2)
    values = sorted(lines[plot.x].unique())
    if len(values) <= 10:
        axes.set_xticks(values, [f"{value:,.4g}" if plot.x == "learning_rate" else f"{value:,}" for value in values])
        axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel(plot.x.replace("_", " "))


def _plane_of(panel: Panel, runs: StudyRuns) -> np.ndarray | None:
    """(points, points) the losses around the minimum of a row's first run; None where they were not measured."""
    if panel.plot.x != "plane":
        return None
    for run_id in run_ids(runs.frame, panel.runs[0]):
        values = _values(runs, run_id, panel.plot).to_numpy()
        if len(values):
            side = round(len(values) ** 0.5)
            return values.reshape(side, side)
    return None


def _levels(planes: list[np.ndarray]) -> np.ndarray:
    """The contours of all planes of a figure, so that they can be compared: equal steps of the loss's logarithm."""
    low = max(min(float(plane.min()) for plane in planes), LOWEST)
    return np.geomspace(low, max(max(float(plane.max()) for plane in planes), 1.01 * low), CONTOURS)


def _plane(figure: Figure, axes: Axes, panel: Panel, runs: StudyRuns, levels: np.ndarray) -> None:
    """Contours of the loss around a minimum."""
    losses = _plane_of(panel, runs)
    assert losses is not None
    at = places(len(losses))
    losses = np.clip(losses, levels[0], levels[-1])
    drawn = axes.contourf(at, at, losses, levels=levels, norm=LogNorm(levels[0], levels[-1]), cmap="viridis")
    axes.contour(at, at, losses, levels=levels, colors="white", linewidths=0.4)
    axes.plot(0, 0, "+", color="white")
    axes.set_aspect("equal")
    bar = figure.colorbar(drawn, ax=axes, shrink=0.8, label="loss")
    bar.ax.set_yticks(levels[::2], [f"{level:.2g}" for level in levels[::2]])
    bar.ax.minorticks_off()


def draw_figures(runs: StudyRuns, found: Mapping[str, pd.DataFrame], folder: Path) -> list[Path]:
    """Write a picture for each table of the study that has something to draw into the folder; return their paths.

    Args:
        found: the rows of each table, by its name.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for table in runs.tables:
        rows, path = rows_of(table, runs), folder / f"{slug(table.name)}.png"
        if not rows:  # a plane that was measured nowhere
            continue
        draw_figure(runs, table, rows, found[table.name], path)
        paths.append(path)
    return paths
