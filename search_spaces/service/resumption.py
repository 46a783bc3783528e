"""Going on with a study that was stopped or killed: what is found of it, and what must be as it was."""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from analysis.outcomes import Group
from trainables.errors import UserError, require

LOCK = "lock"
"""In a study's folder of results, the lock of the process that runs the study."""

ADDRESS = re.compile(r" at 0x[0-9a-f]+")
MAY_CHANGE = ("max_runs", "concurrent_trials", "workers", "versions")
"""The parameters of a study that may be others when it goes on, because they change no run."""


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Inside, this process alone runs a study in a folder of results.

    Raises:
        UserError: another process does.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / LOCK, timeout=0):
            yield
    except Timeout as error:
        raise UserError(f"{folder}: another process runs a study there; --name gives this one its own") from error


def outbox_file(results: Path, run_id: str) -> Path:
    """Where what MLflow is still to be told waits, for the study with this parent run."""
    return results / f"outbox-{run_id}.jsonl"


def running_folder(results: Path, run_id: str) -> Path:
    """Where the states of the runs in progress lie, for the study with this parent run."""
    return results.absolute() / f"running-{run_id}"


def check_same(study: str, stored: Mapping[str, str], now: Mapping[str, object]) -> None:
    """Refuse to go on with a study that has become another.

    Args:
        study: the name of the study.
        stored, now: its parameters when it was started, and now.
    """
    same_workers = ("workers",) if now.get("held_equal") == "seconds" else ()  # seconds were measured with so many
    for name in sorted({*stored, *now}):
        if name in MAY_CHANGE and name not in same_workers:
            continue
        before, after = (_words(each.get(name, "not there")) for each in (stored, now))
        require(
            before == after,
            f"--resume: {name} of {study} was {before}, and is now {after}; --name begins another study",
        )


def _words(value: object) -> str:
    """A value as text, without the addresses of functions, which are others in every process."""
    return ADDRESS.sub("", str(value))


def refusal(study: str, started: datetime, here: bool) -> UserError:
    """The answer to a study that is started again, before its earlier start has ended.

    Args:
        here: whether the folder of results holds its search.
    """
    when = f"{started:%Y-%m-%d %H:%M}"
    goes_on = "--resume goes on with it (in Python, resume=True)"
    if not here:
        goes_on = "it runs, or can go on, with another --results-dir or on another machine"
    return UserError(f"study {study!r}: was started on {when} and has not ended; {goes_on}, --name begins another")


def passes_to_json(passes: Mapping[Group, float]) -> str:
    """Passes over the training set by technique and batch size, as JSON."""
    return json.dumps([[*group, number] for group, number in passes.items()])


def passes_from_json(text: str) -> dict[Group, float]:
    """What passes_to_json was given."""
    return {Group(technique, size): number for technique, size, number in json.loads(text)}
