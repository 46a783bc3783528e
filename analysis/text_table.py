"""Tables of texts on a terminal, and intervals in words."""

from collections.abc import Mapping, Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from analysis.belief import Interval

NUMBERS = ("batch\nsize", "runs")
"""The headings of columns whose numbers are aligned to the right."""


def text_table(title: str | None, columns: Mapping[str, Sequence[str]]) -> Table:
    """A table of texts, the number of the batch size first. No cell is broken inside a word."""
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 2, 0, 0), pad_edge=False)
    for heading in columns:
        table.add_column(heading, justify="right" if heading in NUMBERS else "left", no_wrap=True)
    for cells in zip(*columns.values(), strict=True):
        table.add_row(*map(Text, cells))
    return table


def ends(interval: Interval) -> str:
    """An interval in words; its upper end may be open."""
    lower, upper = interval
    return f"[{lower:.3g}, {upper:.3g}]" if upper else f"at least {lower:.3g}"
