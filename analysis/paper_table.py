"""A paper's table: the runs that the paper describes, which we repeat exactly, and the results that it reports."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from analysis.outcomes import Group


class TableRun(NamedTuple):
    """One row of a paper's table.

    Attributes:
        technique: the name of a recipe of the study.
        batch_size: the global batch size.
        learning_rate: the peak learning rate, after scaling.
        epochs: the number of epochs of this run.
        paper: the results that the paper reports, by column; a column that the paper leaves empty is missing.
    """

    technique: str
    batch_size: int
    learning_rate: float
    epochs: int
    paper: Mapping[str, float] = {}

    @property
    def group(self) -> Group:
        return Group(self.technique, self.batch_size)


class Plot(NamedTuple):
    """One quantity of a table's runs, as the paper's figure draws it.

    Attributes:
        y: what is drawn. Over "epoch", a number that runs report after each epoch; over "samples", "line" and "plane",
            a series that they report; otherwise a name in analysis.tables.COLUMNS.
        x: "epoch", "samples" (seen so far, for what is measured at steps of a fixed batch size), "batch_size",
            "learning_rate", or "line" and "plane" for the slices of analysis.landscape.
        panels: "technique" or "batch_size" where each of them has a panel of its own; otherwise all runs share one. A
            plane always has a panel for each run.
    """

    y: str
    x: str = "epoch"
    panels: str = ""


SERIES_AXES = ("samples", "line", "plane")
"""The axes over which a series is drawn."""
PANELS = ("", "technique", "batch_size")


@dataclass(frozen=True)
class PaperTable:
    """A table of a paper, or the runs behind one of its figures.

    Attributes:
        name: the name in the paper, such as "Table II".
        caption: one line that says what the table shows.
        runs: the rows, in the paper's order. Speed-ups are relative to the first row.
        columns: the columns that are shown, each a name in analysis.tables.COLUMNS.
        seeds: the number of runs of each row, each with its own seed.
        plots: what is drawn; nothing stands for the metric over the epochs.
    """

    name: str
    caption: str
    runs: tuple[TableRun, ...]
    columns: tuple[str, ...] = ("test_accuracy", "train_accuracy")
    seeds: int = 1
    plots: tuple[Plot, ...] = ()

    @property
    def all_columns(self) -> tuple[str, ...]:
        """The columns that are shown or drawn."""
        drawn = [plot.y for plot in self.plots if plot.x in ("batch_size", "learning_rate")]
        return tuple(dict.fromkeys([*self.columns, *drawn]))

    def drawn_over(self, *axes: str) -> list[str]:
        """What is drawn over one of these axes."""
        return list(dict.fromkeys(plot.y for plot in self.plots if plot.x in axes))

    def to_json(self) -> str:
        return json.dumps(self.__dict__)

    @staticmethod
    def from_json(text: str) -> "PaperTable":
        value: dict[str, Any] = json.loads(text)
        runs = tuple(TableRun(*row) for row in value["runs"])
        plots = tuple(Plot(*plot) for plot in value.get("plots", ()))  # older stores have none
        return PaperTable(value["name"], value["caption"], runs, tuple(value["columns"]), value["seeds"], plots)


def rows(
    technique: str,
    epochs: int,
    columns: tuple[str, ...],
    *lines: tuple[float, ...],
) -> tuple[TableRun, ...]:
    """Rows of one technique. Each line is a batch size, a learning rate and the paper's results in `columns`."""
    return tuple(
        TableRun(technique, int(line[0]), line[1], epochs, dict(zip(columns[: len(line) - 2], line[2:], strict=True)))
        for line in lines
    )
