"""The studies, one per file, and the code that runs them.

For a study of your own, use `Study` and `main` to make a command, or `run_study` in a script or a notebook.
"""

import os
import signal
import sys
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from search_spaces.service.arguments import check_before_import

if TYPE_CHECKING:
    from search_spaces.service.session import StudyResult, run_study
    from search_spaces.study import Study

__all__ = ["Study", "StudyResult", "main", "run_study"]

_HOMES = {
    "Study": "search_spaces.study",
    "StudyResult": "search_spaces.service.session",
    "run_study": "search_spaces.service.session",
}
"""The module that defines each name. It is imported when the name is first used, because it brings Ray and MLflow."""


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def main(budgets: "Mapping[str, Study]", called_as: str | None = None) -> None:
    """Run a study from the command line; see search_spaces.service.command_line.main.

    It brings Ray and MLflow only when it is called, so that a study can be imported without them.
    """
    import_module("search_spaces.service.command_line").main(budgets, called_as)


def _stop(_number: int, _frame: FrameType | None) -> None:
    print("stopped: nothing had started, and nothing was kept", file=sys.stderr, flush=True)
    os._exit(130)


def end_at_signals() -> None:
    """Let Ctrl-C end the process without an exception, until the command line takes over.

    Native code aborts when Ctrl-C raises an exception while it is being imported.
    """
    signal.signal(signal.SIGINT, _stop)
    signal.signal(signal.SIGTERM, _stop)


if sys.argv[:1] == ["-m"]:  # `python -m search_spaces.X` is importing modules
    end_at_signals()
    check_before_import(sys.orig_argv, Path(__file__).parent)
