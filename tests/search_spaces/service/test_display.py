import io

import pytest
from rich.console import Console
from rich.text import Text

from search_spaces.service.display import Display, clock
from trainables.metric import Accuracy


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0:00"), (59.6, "1:00"), (3599, "59:59"), (3600, "1:00:00"), (72 * 3600 - 1, "71:59:59"), (1e8, "1,157 days")],
)
def test_a_time_is_told_in_the_units_that_fit_it(seconds: float, words: str) -> None:
    assert clock(seconds) == words


@pytest.mark.parametrize("terminal", [True, False])
def test_a_line_about_a_run_fits_a_terminal(terminal: bool) -> None:
    out = io.StringIO()
    display = Display(Console(file=out, width=80, force_terminal=terminal), 300, 1, 100.0, Accuracy())
    name = "exponential_warmup B=1024 lr=0.0125893 seed=1"
    display.start("one", name, 5)
    display.end("one", "stopped_early")
    (line,) = out.getvalue().splitlines()
    assert line.split()[:5] == ["[1/300]", *name.split()]
    assert ("left" in line) is not terminal
    assert not terminal or len(line.rstrip()) <= 80


@pytest.mark.parametrize("width", [80, 120])
def test_of_the_live_lines_only_names_are_cut_where_the_terminal_is_too_narrow(width: int) -> None:
    out = io.StringIO()
    console = Console(file=out, width=width, force_terminal=True)
    display = Display(console, 300, 1, 100.0, Accuracy())
    name = "exponential_warmup B=1024 lr=0.0125893 seed=1"
    epoch = {"epoch": 5.0, "train_loss": 1.538, "validation_accuracy": 0.5354, "validation_loss": 1.5}
    display.start("short", "warmup B=16 lr=0.1 seed=1", 5)
    display.progress("short", {**epoch, "samples": 16000.0, "train_seconds": 8.0, "evaluation_seconds": 1.0})
    display.start("long", name, 90)
    display.progress("long", {**epoch, "epoch": 90.0, "samples": 16000.0, "train_seconds": 1.0})
    display._running["long"].started -= 3723
    console.print(display._draw())
    short, long, footer = Text.from_ansi(out.getvalue()).plain.splitlines()
    rate = "samples/s" if width > 80 else "/s"
    assert all(len(line.rstrip()) <= width for line in (short, long, footer))
    assert short.split()[-1] == "0:00"
    assert f"2,000{' ' * (width > 80)}{rate}" in short
    assert long.startswith(name[:30])
    assert name in long or "\N{HORIZONTAL ELLIPSIS}" in long
    for part in ("epoch 90/90", "53.54%", f"16,000{' ' * (width > 80)}{rate}", "1:02:03"):
        assert part in long
    assert footer.startswith("0 of at most 300 runs")
