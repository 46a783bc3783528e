"""A paper's table: exact runs, made as they are written, with what the paper says came out."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from analysis.outcomes import Group


class TableRun(NamedTuple):
    """One row.

    Attributes:
        technique: name of a recipe of the study.
        batch_size: global.
        learning_rate: the peak, after scaling.
        epochs: of this run.
        paper: what the paper reports, by column; columns it leaves empty are missing.
    """

    technique: str
    batch_size: int
    learning_rate: float
    epochs: int
    paper: Mapping[str, float] = {}

    @property
    def group(self) -> Group:
        return Group(self.technique, self.batch_size)


@dataclass(frozen=True)
class PaperTable:
    """Runs that belong together.

    Attributes:
        name: as the paper has it, such as "Table II".
        caption: one line.
        runs: its rows, in the paper's order; the first is what speed-ups are against.
        columns: what is shown, by the names of analysis.tables.
        seeds: runs of each row.
    """

    name: str
    caption: str
    runs: tuple[TableRun, ...]
    columns: tuple[str, ...] = ("test_accuracy", "train_accuracy")
    seeds: int = 1

    def to_json(self) -> str:
        return json.dumps(self.__dict__)

    @staticmethod
    def from_json(text: str) -> "PaperTable":
        value: dict[str, Any] = json.loads(text)
        runs = tuple(TableRun(*row) for row in value["runs"])
        return PaperTable(value["name"], value["caption"], runs, tuple(value["columns"]), value["seeds"])


def rows(
    technique: str,
    epochs: int,
    columns: tuple[str, ...],
    *lines: tuple[float, ...],
) -> tuple[TableRun, ...]:
    """Rows of one technique, each line its batch size, learning rate and what the paper reports in those columns."""
    return tuple(
        TableRun(technique, int(line[0]), line[1], epochs, dict(zip(columns[: len(line) - 2], line[2:], strict=True)))
        for line in lines
    )
