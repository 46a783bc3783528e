"""Running a study, from its check to its report, for the command line, scripts and notebooks."""

import logging
import os
import shutil
import time
import warnings
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import optuna
import pandas as pd
from rich.console import Console

from analysis.answer import Answer
from analysis.report import Files, print_files, report
from analysis.runs import ENDED, NO_ANSWER, StoreError, StudyRuns, load_runs, shown
from analysis.scaling_law import PowerLaw
from analysis.wording import new_console, say
from search_spaces.service import cluster as ray_cluster
from search_spaces.service.arguments import DATA_DIR, RESULTS_DIR
from search_spaces.service.display import Display, clock
from search_spaces.service.equal_seconds import passes_for_equal_seconds
from search_spaces.service.parent_run import VIEW, begin, open_store
from search_spaces.service.preparation import Prepared, prepare, record_of
from search_spaces.service.proposers import Proposer
from search_spaces.service.ray_tune import Search, run_trials
from search_spaces.service.resumption import (
    claimed,
    claimed_storage,
    going_on,
    moment,
    outbox_file,
    passes_from_json,
    passes_to_json,
    running_folder,
)
from search_spaces.service.tracking import Tracker
from search_spaces.study import Study
from trainables.errors import UserError, first_line
from trainables.history import DONE

READING_PAUSES = (2, 5, 15, 30, 60)
"""The pauses in seconds after which a store that does not answer is asked again for a study's runs."""
RUNS_PAGE = f"runs?workflowType=machine_learning&viewStateShareKey={VIEW}"
"""The page of an experiment in the MLflow UI that lists its runs. By default the UI opens an overview of traces."""


@dataclass(frozen=True)
class StudyResult:
    """What a study found, and where it is kept.

    Attributes:
        name: the name of the study and of its MLflow experiment.
        answer: the edges, the law, and the verdicts on the rules; None where papers' tables were run.
        frontier: one row per technique and batch size, or per row of a paper's table.
        runs: one row per run that has ended.
        files: the paths of the table and the picture.
        tracking: the address of the MLflow store.
        run_id: the id of the study's parent run in that store.
    """

    name: str
    answer: Answer | None
    frontier: pd.DataFrame
    runs: pd.DataFrame
    files: Files
    tracking: str
    run_id: str


def run_study(
    study: Study,
    *,
    search: str = "frontier",
    tables: bool = False,
    budget: str = "own",
    workers: int = 1,
    concurrent_trials: int | None = None,
    gpus_per_worker: float | None = None,
    cluster: str | None = None,
    tracking: str | Path | None = None,
    storage: str | None = None,
    results: str | Path = RESULTS_DIR,
    data_dir: str | Path = DATA_DIR,
    resume: bool = False,
    keep_ray: bool = False,
    console: Console | None = None,
) -> StudyResult:
    """Run a study in this process and return what it found.

    Example, in a notebook:
        >>> from search_spaces import run_study
        >>> from search_spaces.digits_cnn import QUICK
        >>> result = run_study(QUICK.with_choices(max_runs=20))  # doctest: +SKIP
        >>> result.frontier[["batch_size", "scalable_lower", "scalable_upper"]]  # doctest: +SKIP

    Args:
        study: the study to run.
        search: how to search: "frontier", "optuna" (TPE with ASHA) or "grid".
        tables: whether to run the papers' tables as they are written, instead of a search.
        budget: a name for the size of the study, which is recorded in MLflow.
        workers: the number of data-parallel workers of each trial.
        concurrent_trials: how many trials run at a time; by default as many as fit (without GPUs at most 4), and 1 for
            tables.
        gpus_per_worker: the number of GPUs of each worker; a fraction shares a GPU. By default 1 where there are GPUs.
        cluster: the address of a running Ray cluster, such as "auto", or "local" to embed one; by default the address
            in RAY_ADDRESS. A process that is already connected to Ray stays with its cluster.
        tracking: the MLflow store; by default the one in MLFLOW_TRACKING_URI, else sqlite:///mlflow.db.
        storage: the PostgreSQL database that keeps the search, such as "postgresql://user@host/database", for a study
            that goes on on another machine. By default the search is kept in a file in the folder of results.
        results: the folder of results. Tables and pictures go into a folder of the study's name inside it.
        data_dir: the folder where data sets are kept.
        resume: whether to go on with the study of that name, where it was stopped or killed. One that has ended goes on
            where `max_runs` is higher now.
        keep_ray: whether to leave the embedded cluster running for the next study.
        console: where progress and the answer are printed; Console(quiet=True) prints nothing.

    Raises:
        UserError: the study cannot be run, or nothing can be judged; the message is one line.
        KeyboardInterrupt: the user pressed Ctrl-C; the message says where the finished runs are kept.
    """
    console = console or new_console()
    quiet_libraries()
    try:
        prepared = prepare(
            study,
            search=search,
            tables=tables,
            budget=budget,
            workers=workers,
            concurrent_trials=concurrent_trials,
            gpus_per_worker=gpus_per_worker,
            cluster=cluster,
            tracking=tracking,
            storage=storage,
            results=results,
            data_dir=data_dir,
            resume=resume,
            substitutes=True,
            console=console,
        )
        return execute(prepared, console)
    finally:
        if not keep_ray:
            ray_cluster.stop()


def execute(prepared: Prepared, console: Console) -> StudyResult:
    """Run a prepared study, record its runs, and report its answer."""
    begun = time.monotonic()
    study, uri, results = prepared.work.study, prepared.tracking, prepared.results
    with claimed(results), claimed_storage(results, prepared.storage, study.name) as storage:
        client, record = open_store(uri), record_of(prepared)
        earlier = going_on(record, client, storage, results, prepared.resume)
        study.task.data.load(prepared.data_dir)
        parent = earlier.parent if earlier else begin(client, record)
        tracker = Tracker(client, parent, outbox_file(results, parent.run_id), partial(say, console))
        try:
            if earlier:
                tracker.go_on(earlier.ended, partial(say, console))
                when, ended = moment(earlier.started), len(earlier.ended)
                say(console, f"Going on with {study.name}, which was started on {when}: {ended} runs have ended.")
            result = _search_and_report(prepared, storage, tracker, console)
            say(console, f"Took {clock(time.monotonic() - begun)}. Compare the runs in the MLflow UI:")
            _print_address(uri, tracker.experiment_id, console)
        except KeyboardInterrupt:
            kept = (
                f"{tracker.finished} finished runs are kept in {shown(uri)}; `python -m analysis.report {study.name}` "
                "reads them, and --resume goes on"
            )
            raise KeyboardInterrupt(kept) from None
        finally:
            tracker.leave()
    return result


def _search_and_report(
    prepared: Prepared,
    storage: optuna.storages.BaseStorage,
    tracker: Tracker,
    console: Console,
) -> StudyResult:
    work, name, uri, results = prepared.work, prepared.work.study.name, prepared.tracking, prepared.results
    status = "stopped"
    try:
        proposer = work.proposer(storage, tracker.parent_id)
        _run(prepared, proposer, tracker, console)
        objection = None if work.tables else proposer.objection()  # rows of a table are not judged against another
        if objection:
            status = NO_ANSWER
            raise UserError(objection)
        tracker.settle(partial(say, console))
        runs = _read(name, uri, console)._replace(ended=True)  # MLflow is told at the very end
        found = report(runs, results, console)
        status = DONE
        spent = work.search == "frontier" and tracker.finished >= work.most_runs
        if spent and found.answer and found.answer.undecided:
            say(
                console,
                f"All {work.most_runs} runs are spent; --resume with a higher --max-runs allows more for what is "
                "undecided.",
            )
        print_files(found.files, console)
        if found.answer and found.sentences:
            laws = {name: law for name, law in found.answer.laws.items() if isinstance(law, PowerLaw)}
            exponents = {name: (law.exponent, law.lower, law.upper) for name, law in laws.items()}
            tracker.answer(found.sentences, found.frame, exponents)
        for path in filter(None, found.files):
            tracker.upload(path)
    finally:
        left = tracker.close(status, partial(say, console))
        if left:
            later = "" if status in ENDED else "; --resume makes those that are left"
            say(console, f"warning: {left} writes to {shown(uri)} did not succeed ({tracker.problem}){later}")
    shutil.rmtree(running_folder(results, tracker.parent_id), ignore_errors=True)
    if not left:
        outbox_file(results, tracker.parent_id).unlink(missing_ok=True)
    return StudyResult(name, found.answer, found.frame, runs.frame, found.files, uri, tracker.parent_id)


def quiet_libraries() -> None:
    """Silence the messages of Ray, MLflow and Optuna about their own work."""
    for library, level in (("ray", logging.ERROR), ("mlflow", logging.WARNING), ("alembic", logging.WARNING)):
        logging.getLogger(library).setLevel(level)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    warnings.filterwarnings("ignore", module="optuna")


def _read(name: str, uri: str, console: Console) -> StudyRuns:
    """The runs of the study, read back. A store that does not answer is asked again."""
    for pause in READING_PAUSES:
        try:
            return load_runs(name, uri)
        except (StoreError, OSError, UserError) as error:
            say(console, f"{first_line(error)}; asked again in {pause} s")
            time.sleep(pause)
    return load_runs(name, uri)


def _run(prepared: Prepared, proposer: Proposer, tracker: Tracker, console: Console) -> None:
    work, allotment, data_dir = prepared.work, prepared.allotment, prepared.data_dir
    metric, ended = work.study.task.metric, tracker.finished
    with Display(console, work.most_runs, allotment.concurrent_trials, prepared.seconds, metric, ended) as display:
        ray_cluster.start(prepared.capacity, allotment)
        passes = work.passes
        if work.study.held_equal == "seconds" and not work.tables:
            measured = prepared.results / f"passes-{tracker.parent_id}.json"
            if measured.exists():
                passes = passes_from_json(measured.read_text())
            else:
                passes = passes_for_equal_seconds(work.study, allotment.size, data_dir)
                measured.write_text(passes_to_json(passes))
            listed = ", ".join(
                f"{number:g} at {group.technique} {group.batch_size}" for group, number in passes.items()
            )
            say(console, f"Passes over the training set that take as long as one of the baseline's: {listed}")
        running, joined = running_folder(prepared.results, tracker.parent_id), prepared.capacity.address is not None
        run_trials(Search(work.study, proposer, tracker, display, passes, running), allotment, str(data_dir), joined)


def _print_address(uri: str, experiment_id: str, console: Console) -> None:
    served, uri = uri.startswith("http"), shown(uri)
    where = f"open {uri}" if served else f"mlflow ui --backend-store-uri {uri}"
    page = f"{uri if served else 'http://127.0.0.1:5000'}/#/experiments/{experiment_id}/{RUNS_PAGE}"
    say(console, f"  {where}\n  {page}")
