"""Going on with a study that was stopped or killed: what is found of it, and what must be as it was."""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock, Timeout
from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, RDBStorage
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from analysis.outcomes import Group
from analysis.runs import shown
from search_spaces.service.optuna_store import ended_runs, open_storage, runs_asked
from search_spaces.service.parent_run import Earlier, Parent, Record, Store, began_runs, earlier_start, mark_killed
from trainables.errors import UserError, first_line, require

LOCK = "lock"
"""In a study's folder of results, the lock of the process that runs the study."""

ADDRESS = re.compile(r" at 0x[0-9a-f]+")
STARTING = timedelta(hours=1)
"""So long a study may take until its first run begins."""
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


@contextmanager
def claimed_storage(folder: Path, database: str | None, study: str) -> Iterator[BaseStorage]:
    """The storage of a study. Where it is a database, this process alone runs the study, of all that share it.

    Raises:
        UserError: it cannot be written, or another process runs the study.
    """
    storage = open_storage(folder, database)
    if not isinstance(storage, RDBStorage):  # a file, whose folder is claimed
        yield storage
        return
    with _one_line(database), storage.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.detach()  # so that it is closed at the end, with which the database gives the lock back
        mine = connection.execute(text("SELECT pg_try_advisory_lock(hashtext(:name))"), {"name": f"batchscale {study}"})
        require(bool(mine.scalar()), f"study {study!r}: another process runs it, with the same --storage")
        yield storage


@contextmanager
def _one_line(database: str | None) -> Iterator[None]:
    """Inside, an error of a database is one that the user can read.

    Raises:
        UserError: the database has failed.
    """
    try:
        yield
    except (StorageInternalError, SQLAlchemyError) as error:
        why = shown(first_line(error))
        raise UserError(
            f"storage {shown(database or '')}: has failed ({why}); --resume goes on with what is"
        ) from error


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


class GoingOn(NamedTuple):
    """A study that goes on.

    Attributes:
        parent: its parent run.
        started: when it was started.
        ended: by the key of a run that has ended, its status.
    """

    parent: Parent
    started: datetime
    ended: Mapping[str, str]


def going_on(record: Record, client: Store, storage: BaseStorage, results: Path, resume: bool) -> GoingOn | None:
    """What a study goes on from; None where it begins.

    Args:
        record: what MLflow would be told of the study if it began now.
        client, storage, results: its MLflow store, its Optuna storage and its folder of results.
        resume: whether it is asked to go on.

    Raises:
        UserError: it is asked to go on and cannot, or not asked although an earlier start has not ended.
    """
    earlier = earlier_start(client, record.study)
    asked = runs_asked(storage, earlier.run_id) if earlier else []
    if resume:
        if earlier is None:
            raise UserError(f"--resume: {shown(client.tracking_uri)} holds no study {record.study!r}")
        _check(earlier, record, bool(asked), results)
        return GoingOn(Parent(earlier.experiment_id, earlier.run_id, record.tags), earlier.started, ended_runs(asked))
    if earlier and not earlier.ended:
        _give_way(earlier, client, bool(asked), results)
    return None


def _check(earlier: Earlier, record: Record, here: bool, results: Path) -> None:
    name = record.study
    require(
        here,
        f"--resume: {results} does not hold the search of {name}; give its first start's --results-dir, or --storage",
    )
    check_same(name, earlier.params, record.params)
    require(
        (earlier.design, earlier.tables) == (record.design, tuple(record.tables)),
        f"--resume: what {name} compares has changed since it was started; --name begins another study",
    )


def _give_way(earlier: Earlier, client: Store, here: bool, results: Path) -> None:
    """Let a study begin anew only where its earlier start, which has not ended, never began a run.

    Args:
        here: whether the folder of results holds its search.
    """
    waiting = outbox_file(results, earlier.run_id)
    begun = here or began_runs(client, earlier) or (waiting.exists() and waiting.stat().st_size > 0)
    if not waiting.exists():  # it was started with another folder, and may be about to begin its first run
        begun = begun or (earlier.running and datetime.now() - earlier.started < STARTING)
    if here or not begun:
        mark_killed(client, earlier)
    goes_on = "--resume goes on with it (in Python, resume=True)"
    if not here:
        goes_on = "it runs, or can go on, with another --results-dir or on another machine"
    require(
        not begun,
        f"study {earlier.study!r}: was started on {moment(earlier.started)} and has not ended; {goes_on}, --name "
        "begins another",
    )


def moment(when: datetime) -> str:
    """A moment, to the minute, in words for the user."""
    return f"{when:%Y-%m-%d %H:%M}"


def passes_to_json(passes: Mapping[Group, float]) -> str:
    """Passes over the training set by technique and batch size, as JSON."""
    return json.dumps([[*group, number] for group, number in passes.items()])


def passes_from_json(text: str) -> dict[Group, float]:
    """What passes_to_json was given."""
    return {Group(technique, size): number for technique, size, number in json.loads(text)}
