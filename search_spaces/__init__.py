"""What to search: one runnable study per file, and what runs it."""

import sys
from types import TracebackType


def _one_line(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        print("stopped: nothing had started, and nothing was kept", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


if sys.argv[:1] == ["-m"]:  # `python -m search_spaces.X` is importing: Ctrl-C now shall not print a traceback
    sys.excepthook = _one_line
