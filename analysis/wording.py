"""Text on a console: wrapped between words on a terminal, and as it is where output goes to a file or a pipe."""

import textwrap

from rich.console import Console

UNWRAPPED = 10_000
"""The width, in characters, of output that does not go to a terminal, so that nothing in it is wrapped."""


def new_console() -> Console:
    """A console on standard output, which wraps lines only on a terminal."""
    console = Console()
    return console if console.is_terminal or console.is_jupyter else Console(width=UNWRAPPED)


def say(console: Console, text: str, indent: int = 0) -> None:
    """Print text, without markup.

    Args:
        console: where to.
        text: one or more lines.
        indent: by how many characters the continuation of a wrapped line is indented.
    """
    for line in text.splitlines() or [""]:
        console.print("\n".join(_wrapped(console, line, indent)), highlight=False, markup=False, soft_wrap=True)


def _wrapped(console: Console, line: str, indent: int) -> list[str]:
    if not console.is_terminal or len(line) <= console.width:
        return [line]
    return textwrap.wrap(
        line,
        width=console.width,
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
        drop_whitespace=True,
    )
