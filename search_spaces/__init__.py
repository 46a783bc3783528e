"""What to search: one runnable study per file, and what runs it."""

import os
import signal
import sys
from types import FrameType


def _stop(_number: int, _frame: FrameType | None) -> None:
    print("stopped: nothing had started, and nothing was kept", file=sys.stderr, flush=True)
    os._exit(130)


if sys.argv[:1] == ["-m"]:
    # `python -m search_spaces.X` is importing. Native code that is being imported aborts when Ctrl-C raises an
    # exception in it, so until the command line takes over the process ends instead.
    signal.signal(signal.SIGINT, _stop)
