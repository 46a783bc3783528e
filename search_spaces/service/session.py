"""Running a study, from its check to its report, for the command line, scripts and notebooks."""

import logging
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path

import optuna
import pandas as pd
from rich.console import Console

from analysis.answer import Answer
from analysis.report import Files, print_files, report
from analysis.results_folder import check_writable
from analysis.runs import SUBSTITUTE_TAG, client_of, load_runs, tracking_uri
from analysis.scaling_law import PowerLaw
from analysis.wording import new_console, say
from search_spaces.service import cluster as ray_cluster
from search_spaces.service.arguments import DATA_DIR, RESULTS_DIR, SEARCHES, is_name
from search_spaces.service.cluster import Allotment, Capacity, allot, find_capacity
from search_spaces.service.display import Display, clock
from search_spaces.service.equal_seconds import passes_for_equal_seconds
from search_spaces.service.estimate import seconds_per_run
from search_spaces.service.optuna_store import open_storage
from search_spaces.service.preview import print_plan, range_words
from search_spaces.service.proposers import Proposer
from search_spaces.service.ray_tune import Search, run_trials
from search_spaces.service.tracking import VIEW, Tracker, open_store
from search_spaces.service.work import Work, running_tables, searching
from search_spaces.study import Study
from trainables.errors import MissingData, UserError, require
from trainables.history import DONE
from trainables.metric import Perplexity

VERSIONED = ("torch", "ray", "optuna", "mlflow")
"""The libraries whose versions are recorded."""
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


@dataclass(frozen=True)
class Prepared:
    """A study that has been checked and can start.

    Attributes:
        work: the study and the runs that will be made of it.
        budget: the name of this size among the study's budgets.
        capacity: the capacity of the cluster.
        allotment: how the study uses the cluster.
        seconds: about how long a run takes on one worker; None where that cannot be estimated.
        data_dir: the folder where data sets are kept.
        tracking: the address of the MLflow store.
        results: the folder of the study's tables and pictures.
        tags: the tags of every MLflow run.
    """

    work: Work
    budget: str
    capacity: Capacity
    allotment: Allotment
    seconds: float | None
    data_dir: Path
    tracking: str
    results: Path
    tags: Mapping[str, str] = field(default_factory=dict)


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
    results: str | Path = RESULTS_DIR,
    data_dir: str | Path = DATA_DIR,
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
        results: the folder of results. Tables and pictures go into a folder of the study's name inside it.
        data_dir: the folder where data sets are kept.
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
            results=results,
            data_dir=data_dir,
            substitutes=True,
            console=console,
        )
        return execute(prepared, console)
    finally:
        if not keep_ray:
            ray_cluster.stop()


def prepare(
    study: Study,
    *,
    search: str,
    tables: bool,
    budget: str,
    workers: int,
    concurrent_trials: int | None,
    gpus_per_worker: float | None,
    cluster: str | None,
    tracking: str | Path | None,
    results: str | Path,
    data_dir: str | Path,
    substitutes: bool,
    console: Console,
) -> Prepared:
    """Check a study and print what is about to be done. The other arguments are those of run_study.

    Args:
        substitutes: whether to load the data now, and to use the study's substitute where the data cannot be had.
    """
    require(isinstance(study, Study), f"study {type(study).__name__}: must be one Study, such as BUDGETS['quick']")
    require(not tables or bool(study.tables), f"tables True: {study.name} lists none")
    require(
        is_name(study.name),
        f"study name {study.name!r}: must be letters, digits, dots, dashes and underscores, a letter or digit first",
    )
    require(search in SEARCHES, f"search {search!r}: must be {', '.join(SEARCHES)}")
    require(
        search == "frontier" or not study.dimensions,
        f"search {search}: cannot search {', '.join(study.dimensions)} too; --search frontier does",
    )
    study = study.check_tables(workers) if tables else study.check(workers)
    check_writable(Path(results) / study.name)
    capacity = find_capacity(cluster)
    uri = tracking_uri(str(tracking) if tracking else None)
    if uri.startswith("http"):
        client_of(uri)  # a server that does not answer is refused before data are loaded
    if concurrent_trials is None and tables:
        concurrent_trials = 1  # tables compare times of runs, which must not disturb each other
    work_of = running_tables if tables else partial(searching, search=search)
    work = work_of(study)
    allotment = allot(capacity, workers, concurrent_trials, gpus_per_worker, work.most_runs)
    folder = Path(data_dir).expanduser().absolute()
    tags: dict[str, str] = {}
    if study.substitute and substitutes:
        study, tags = with_data(study, folder, workers, console)
        work = work_of(study)
    seconds = None if capacity.address else seconds_per_run(work.study, allotment)
    if seconds is not None:
        seconds *= work.epochs / study.task.epochs
    prepared = Prepared(
        work,
        budget,
        capacity,
        allotment,
        seconds,
        folder,
        uri,
        Path(results) / study.name,
        tags,
    )
    print_plan(work, budget, capacity, allotment, seconds, prepared.tracking, prepared.results, console)
    return prepared


def execute(prepared: Prepared, console: Console) -> StudyResult:
    """Run a prepared study, record its runs, and report its answer."""
    begun = time.monotonic()
    work, study, uri = prepared.work, prepared.work.study, prepared.tracking
    prepared.results.mkdir(parents=True, exist_ok=True)
    storage = open_storage(prepared.results)
    client = open_store(uri)
    study.task.data.load(prepared.data_dir)
    artifacts = None if uri.startswith("http") else prepared.results.absolute() / "artifacts"
    params = _params(work, prepared.budget, prepared.allotment)
    tables = [table.to_json() for table in work.tables]
    metric = study.task.metric
    tracker = Tracker(
        client,
        study.name,
        work.plan.design.to_json(),
        params,
        artifacts,
        prepared.tags,
        tables,
        repr(study.task.data),
        f"validation_{metric.name if isinstance(metric, Perplexity) else metric.reported}",
        metric.lower_is_better,
    )
    try:
        result = _search_and_report(prepared, storage, tracker, console)
        say(console, f"Took {clock(time.monotonic() - begun)}. Compare the runs in the MLflow UI:")
        _print_address(uri, tracker.experiment_id, console)
    except KeyboardInterrupt:
        kept = (
            f"{tracker.finished} finished runs are kept in {uri}; `python -m analysis.report {study.name}` reads them"
        )
        raise KeyboardInterrupt(kept) from None
    return result


def _search_and_report(
    prepared: Prepared, storage: optuna.storages.BaseStorage, tracker: Tracker, console: Console
) -> StudyResult:
    work, name, uri, results = prepared.work, prepared.work.study.name, prepared.tracking, prepared.results
    status = "stopped"
    try:
        proposer = work.proposer(storage, tracker.parent_id)
        _run(prepared, proposer, tracker, console)
        objection = None if work.tables else proposer.objection()  # rows of a table are not judged against another
        if objection:
            raise UserError(objection)
        status = DONE
        runs = load_runs(name, uri)._replace(ended=True)  # MLflow is told at the very end
        found = report(runs, results, console)
        spent = work.search == "frontier" and tracker.finished >= work.most_runs
        if spent and found.answer and found.answer.undecided:
            say(console, f"All {work.most_runs} runs are spent; --max-runs allows more for what is undecided.")
        print_files(found.files, console)
        if found.answer and found.sentences:
            laws = {name: law for name, law in found.answer.laws.items() if isinstance(law, PowerLaw)}
            exponents = {name: (law.exponent, law.lower, law.upper) for name, law in laws.items()}
            tracker.answer(found.sentences, found.frame, exponents)
        for path in filter(None, found.files):
            tracker.upload(path)
    finally:
        lost = tracker.close(status)
        if lost:
            say(console, f"warning: {lost} writes to {uri} never succeeded; what they held is missing there")
    return StudyResult(name, found.answer, found.frame, runs.frame, found.files, uri, tracker.parent_id)


def with_data(study: Study, data_dir: Path, workers: int, console: Console) -> tuple[Study, dict[str, str]]:
    """The study, on its substitute's data where its own data cannot be had; and the tags that its runs get then."""
    assert study.substitute is not None
    try:
        study.task.data.load(data_dir)
    except MissingData as error:
        own, other = study.task.data, study.substitute.data
        say(console, f"{error}\nTraining on a substitute instead: {other!r}")
        return replace(study, task=study.substitute, substitute=None).check(workers), {
            SUBSTITUTE_TAG: f"{other!r} for {own!r}"
        }
    return study, {}


def quiet_libraries() -> None:
    """Silence the messages of Ray, MLflow and Optuna about their own work."""
    for library, level in (("ray", logging.ERROR), ("mlflow", logging.WARNING), ("alembic", logging.WARNING)):
        logging.getLogger(library).setLevel(level)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.filterwarnings("ignore", module="optuna")


def _run(prepared: Prepared, proposer: Proposer, tracker: Tracker, console: Console) -> None:
    work, allotment = prepared.work, prepared.allotment
    metric = work.study.task.metric
    with Display(console, work.most_runs, allotment.concurrent_trials, prepared.seconds, metric) as display:
        ray_cluster.start(prepared.capacity, allotment)
        passes = work.passes
        if work.study.held_equal == "seconds" and not work.tables:
            passes = passes_for_equal_seconds(work.study, allotment.size, prepared.data_dir)
            listed = ", ".join(
                f"{number:g} at {group.technique} {group.batch_size}" for group, number in passes.items()
            )
            say(console, f"Passes over the training set that take as long as one of the baseline's: {listed}")
        run_trials(Search(work.study, proposer, tracker, display, passes), allotment, str(prepared.data_dir))


def _params(work: Work, budget: str, allotment: Allotment) -> dict[str, object]:
    """The parameters of the study's parent run in MLflow."""
    study, design = work.study, work.plan.design
    recipes = {f"technique.{name}": repr(recipe) for name, recipe in study.techniques.items()}
    return {
        "study": study.name,
        "budget": budget,
        "search": work.search,
        "task": repr(study.task),
        "held_equal": "epochs" if work.tables else study.held_equal,
        "batch_sizes": tuple(sorted({group.batch_size for group in design.groups})),
        "baseline_batch_size": design.baseline.batch_size,
        "learning_rates": design.learning_rates,
        "dimensions": ", ".join(range_words(*each) for each in study.dimensions.items()),
        "tolerance": study.tolerance,
        "resolution": study.resolution,
        "seeds": study.seeds,
        "first_seed": study.first_seed,
        "max_runs": work.most_runs,
        "workers": allotment.size.workers,
        "concurrent_trials": allotment.concurrent_trials,
        "versions": ", ".join(f"{name} {version(name)}" for name in VERSIONED),
        **recipes,
    }


def _print_address(uri: str, experiment_id: str, console: Console) -> None:
    served = uri.startswith("http")
    where = f"open {uri}" if served else f"mlflow ui --backend-store-uri {uri}"
    page = f"{uri if served else 'http://127.0.0.1:5000'}/#/experiments/{experiment_id}/{RUNS_PAGE}"
    say(console, f"  {where}\n  {page}")
