"""Writes to a store, made one after the other in the background, of which none is lost.

A write is kept in a file until the store has taken it. So training does not wait for a store that is away, and what a
process did not get to write before it was killed is written by the next one that opens the file.
"""

import json
import os
import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

MOST_WAITING = 10_000
"""So many writes may wait; then who gives another one waits too."""
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.2, 5.0
"""The pause before a write is tried again, which doubles each time."""
SILENT_SECONDS = 5.0
"""So long the store may be away before anything is said about it."""


class Away(Exception):
    """The store did not take a write, and may take it later. The text says why, in one line."""


class Write(NamedTuple):
    """What is to be written.

    Attributes:
        kind: what is done with it.
        key: of the run that it is about; "" for the study itself.
        content: as JSON can hold it.
    """

    kind: str
    key: str
    content: Any


class Outbox:
    """The writes that are still to be made.

    What the file holds from an earlier process is written first. A write may be made twice, if this process is killed
    in between, and must then have the effect of one.

    Args:
        path: the file.
        make: makes a write. It raises Away to be asked again; with any other exception the write counts as lost.
        tell: is told, in a line, that the store is away and that it is back.
    """

    def __init__(self, path: Path, make: Callable[[Write], None], tell: Callable[[str], None]) -> None:
        self._path, self._make, self._tell = path, make, tell
        self._lock = threading.Condition()
        self._waiting: queue.Queue[Write] = queue.Queue()
        self._left = 0
        self._given_up = threading.Event()
        self._unkept = False
        self.lost = 0
        self.problem = ""
        self._file = path.open("ab", buffering=0)
        for write in _kept(path):
            self._left += 1
            self._waiting.put(write)
        self._thread = threading.Thread(target=self._work, daemon=True, name="outbox")
        self._thread.start()

    def put(self, write: Write, patient: bool = True) -> None:
        """Keep a write, to be made after those before it. It is made even if it cannot be kept.

        Args:
            patient: whether to wait where MOST_WAITING writes wait.
        """
        with self._lock:
            self._lock.wait_for(lambda: not patient or self._left < MOST_WAITING)
            self._left += 1
            try:
                self._file.write(json.dumps(write).encode() + b"\n")
            except OSError as error:
                if not self._unkept:
                    reason = f"{self._path}: cannot be written ({error.strerror})"
                    self._tell(f"{reason}; what MLflow has not taken is lost where this process ends")
                self._unkept = True
        self._waiting.put(write)

    @property
    def left(self) -> int:
        """How many writes are still to be made."""
        return self._left

    def wait(self, seconds: float) -> bool:
        """Wait until every write is made, or so long; whether every write is made."""
        with self._lock:
            return self._lock.wait_for(lambda: not self._left, timeout=seconds)

    def close(self) -> None:
        """Make no more writes. Those that are left stay in the file."""
        self._given_up.set()
        self._thread.join()
        self._file.close()

    def _work(self) -> None:
        while not self._given_up.is_set():
            try:
                self._persist(self._waiting.get(timeout=0.5))
            except queue.Empty:
                continue

    def _persist(self, write: Write) -> None:
        """Make a write, however often it takes."""
        pause, since, said = FIRST_PAUSE_SECONDS, time.monotonic(), False
        while not self._given_up.is_set():
            try:
                self._make(write)
                break
            except Away as error:
                self.problem = str(error)
                if not said and time.monotonic() - since > SILENT_SECONDS:
                    said = True
                    self._tell(f"{error}; training goes on, and what is to be written waits")
                self._given_up.wait(pause)
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
            except Exception as error:  # a write that can never succeed must not hold up the others
                self.lost += 1
                self.problem = f"{type(error).__name__}: {error}"
                break
        else:
            return
        if said:
            self._tell("the tracking store answers again")
        with self._lock:
            self._left -= 1
            if not self._left:
                with suppress(OSError):  # then it is written once more, which changes nothing
                    self._file.truncate(0)
            self._lock.notify_all()


def _kept(path: Path) -> list[Write]:
    """The writes that a file holds. A last line that a killed process did not finish is cut off."""
    whole, _, unfinished = (path.read_bytes() if path.is_file() else b"").rpartition(b"\n")
    if unfinished:
        os.truncate(path, len(whole) + 1 if whole else 0)
    return [Write(*json.loads(line)) for line in whole.splitlines()]
