import io

import pytest
from rich.console import Console

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
