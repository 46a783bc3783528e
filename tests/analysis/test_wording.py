"""Text on a terminal is wrapped between words, and elsewhere not at all."""

import io

from rich.console import Console

from analysis.wording import say

TEXT = "Learning rates: 0.00625 to 6.4; rules tried: linear, square_root, and a-name-that-is-longer-than-the-line"


def said(terminal: bool) -> list[str]:
    out = io.StringIO()
    say(Console(file=out, width=40, force_terminal=terminal, color_system=None), TEXT, indent=4)
    return out.getvalue().splitlines()


def test_a_pipe_gets_each_line_whole() -> None:
    assert said(terminal=False) == [TEXT]


def test_a_terminal_gets_lines_that_break_between_words() -> None:
    lines = said(terminal=True)
    assert [word for line in lines for word in line.split()] == TEXT.split()
    assert all(len(line) <= 40 for line in lines[:-1])
    assert all(line.startswith("    ") for line in lines[1:])


def test_markup_is_text() -> None:
    out = io.StringIO()
    say(Console(file=out, width=80), "[0.1, 0.2] and [bold]")
    assert out.getvalue() == "[0.1, 0.2] and [bold]\n"
