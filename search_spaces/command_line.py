"""The command line every study has."""

import argparse
import logging
import os
import signal
import sys
import time
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import FrameType

import optuna
from rich.console import Console

from analysis.report import Parser, make_writable, print_files, report
from analysis.runs import SUBSTITUTE_TAG, load_runs, tracking_uri
from search_spaces import cluster
from search_spaces.cluster import Allotment, Capacity, allot, find_capacity
from search_spaces.display import Display, clock
from search_spaces.estimate import seconds_per_run
from search_spaces.preview import print_plan, range_words
from search_spaces.proposer import SEARCHES
from search_spaces.study import Study
from search_spaces.tracking import Tracker, open_store
from search_spaces.tuning import Search, run
from search_spaces.work import Work, running_tables, searching
from trainables.errors import MissingData, UserError, require
from trainables.metrics import DONE

SEARCH_OPTIONS = ("batch_sizes", "learning_rates", "seeds", "tolerance", "resolution", "max_runs")
"""Which say nothing to tables."""
RUNS_PAGE = "runs?workflowType=machine_learning"
"""Of an experiment in the MLflow UI, which otherwise opens on an overview of traces."""


def main(budgets: Mapping[str, Study]) -> None:
    """Run a study from the command line and leave: 0, 2 for what the user can mend, 130 for Ctrl-C."""
    signal.signal(signal.SIGINT, _interrupt)
    signal.signal(signal.SIGTERM, _interrupt)
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    for library, level in (("ray", logging.ERROR), ("mlflow", logging.WARNING), ("alembic", logging.WARNING)):
        logging.getLogger(library).setLevel(level)
    warnings.filterwarnings("ignore", module="optuna")
    console = Console()
    code = 0
    try:
        run_command(budgets, _parse(budgets), console)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        code = 2
    except KeyboardInterrupt as interrupt:
        print(f"stopped: {interrupt or 'nothing had started, and nothing was kept'}", file=sys.stderr)
        code = 130
    _leave(code)


def _parse(budgets: Mapping[str, Study]) -> argparse.Namespace:
    name = next(iter(budgets.values())).name
    parser = Parser(prog=f"python -m search_spaces.{name}", description=next(iter(budgets.values())).question)
    add = parser.add_argument
    add("--budget", choices=list(budgets), help="size of the study (default: quick without a GPU, else standard)")
    add("--tables", action="store_true", help="run the papers' tables as they are written, instead of a search")
    add("--search", choices=SEARCHES, default="frontier", help="how to search (default: frontier)")
    add("--batch-sizes", type=_integers, metavar="B,B,...", help="global batch sizes")
    add("--learning-rates", type=_numbers, metavar="LOW,HIGH", help="range of peak learning rates")
    add("--seeds", type=int, help="baseline runs behind A0, at least; more where they scatter against the tolerance")
    add("--tolerance", type=float, help="how far below A0 still holds; 0.01 is one percentage point")
    add("--resolution", type=float, help="widest interval to be content with, as a factor")
    add("--max-runs", type=int, help="most runs together (not with --search grid)")
    add("--workers", type=int, default=1, help="data-parallel workers of each trial (default: 1)")
    add("--concurrent-trials", type=int, help="trials at a time (default: what fits)")
    add(
        "--gpus-per-worker", type=float, help="GPUs of each worker, fractions allowed (default: 1 where there are GPUs)"
    )
    add("--data", type=Path, metavar="DIR", help="train on what lies there: a text corpus, or folders of images")
    add("--data-dir", default="~/.cache/batchscale", help="where data sets are kept (default: %(default)s)")
    add("--tracking-uri", help="MLflow store (default: MLFLOW_TRACKING_URI, else sqlite:///mlflow.db)")
    add("--results-dir", default="results", help="where tables and pictures go (default: %(default)s)")
    add("--name", help=f"name of the study (default: {name}, or {name}_BUDGET_tables)")
    add("--dry-run", action="store_true", help="print the plan and stop")
    return parser.parse_args()


def run_command(budgets: Mapping[str, Study], options: argparse.Namespace, console: Console) -> None:
    """Check, print the plan, run, report."""
    begun = time.monotonic()
    capacity = find_capacity()
    budget = options.budget or _default_budget(budgets, capacity, options.tables)
    study = _choose(budgets, budget, options)
    require(
        options.search == "frontier" or not study.dimensions,
        f"search {options.search}: cannot search {', '.join(study.dimensions)} too; --search frontier does",
    )
    data_dir = Path(options.data_dir).expanduser().absolute()
    tags: dict[str, str] = {}
    if study.substitute and not options.dry_run:
        study, tags = _with_data(study, data_dir, options.workers, console)
    work = running_tables(study) if options.tables else searching(study, options.search)
    at_a_time = options.concurrent_trials
    if at_a_time is None and work.tables:
        at_a_time = 1  # tables compare seconds
    allotment = allot(capacity, options.workers, at_a_time, options.gpus_per_worker, work.most_runs)
    uri = tracking_uri(options.tracking_uri)
    results = Path(options.results_dir) / study.name
    seconds = None if capacity.address else seconds_per_run(work.study, allotment.size)
    if seconds is not None:
        seconds *= work.epochs / study.task.epochs
    print_plan(work, budget, capacity, allotment, seconds, uri, results, console)
    if options.dry_run:
        return

    make_writable(results)
    client = open_store(uri)
    study.task.data.load(data_dir)

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        storage = optuna.storages.RDBStorage(f"sqlite:///{results.absolute() / 'optuna.db'}")
    except Exception as error:
        raise UserError(f"{results / 'optuna.db'}: cannot be opened ({str(error).splitlines()[0]})") from error
    artifacts = None if uri.startswith("http") else results.absolute() / "artifacts"
    params = _params(work, budget, allotment)
    tables = [table.to_json() for table in work.tables]
    tracker = Tracker(client, study.name, work.plan.question.to_json(), params, artifacts, tags, tables)
    status = "stopped"
    try:
        with Display(console, work.most_runs, allotment.concurrent_trials, seconds, study.task.metric) as display:
            cluster.start(capacity, allotment)
            search = Search(work.study, work.proposer(storage, tracker.parent_id), tracker, display)
            run(search, allotment, str(data_dir))
        objection = search.proposer.objection()
        if objection:
            raise UserError(objection)
        status = DONE
        _report(study, uri, results, tracker, console)
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        kept = (
            f"{tracker.finished} finished runs are kept in {uri}; `python -m analysis.report {study.name}` reads them"
        )
        raise KeyboardInterrupt(kept) from None
    finally:
        lost = tracker.close(status)
        if lost:
            console.print(f"warning: {lost} writes to {uri} never succeeded; what they held is missing there")
    console.print(f"Took {clock(time.monotonic() - begun)}. Compare the runs in the MLflow UI:", highlight=False)
    where = f"mlflow ui --backend-store-uri {uri}" if not uri.startswith("http") else f"open {uri}"
    host = uri if uri.startswith("http") else "http://127.0.0.1:5000"
    page = f"{host}/#/experiments/{tracker.experiment_id}/{RUNS_PAGE}"
    console.print(f"  {where}   then {page}", highlight=False, soft_wrap=True)


def _default_budget(budgets: Mapping[str, Study], capacity: Capacity, tables: bool) -> str:
    """The first that has tables where they are asked for, else standard with a GPU and the first without."""
    if tables:
        return next((name for name, study in budgets.items() if study.tables), next(iter(budgets)))
    return "standard" if capacity.gpus and "standard" in budgets else next(iter(budgets))


def _with_data(study: Study, data_dir: Path, workers: int, console: Console) -> tuple[Study, dict[str, str]]:
    """The study, or the one on its substitute's data where its own cannot be had; and how its runs are tagged then."""
    assert study.substitute is not None
    try:
        study.task.data.load(data_dir)
    except MissingData as error:
        own, other = study.task.data, study.substitute.data
        console.print(f"{error}\nTraining on a substitute instead: {other!r}", highlight=False, soft_wrap=True)
        return replace(study, task=study.substitute, substitute=None).check(workers), {
            SUBSTITUTE_TAG: f"{other!r} for {own!r}"
        }
    return study, {}


def _choose(budgets: Mapping[str, Study], budget: str, options: argparse.Namespace) -> Study:
    """The budget's study with the options' choices, checked."""
    study = budgets[budget]
    if options.data:
        study = study.on(options.data)
    if options.tables:
        given = [name for name in SEARCH_OPTIONS if getattr(options, name) is not None]
        given += ["search"] * (options.search != "frontier")
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        require(not given, f"--tables with {flags}: tables are run as they are written, and nothing is searched")
        having = ", ".join(name for name, each in budgets.items() if each.tables)
        require(
            bool(study.tables), f"--tables: budget {budget} of {study.name} lists none; {having or 'no other'} does"
        )
        return study.check_tables(options.workers).with_choices(name=options.name or f"{study.name}_{budget}_tables")
    return study.with_choices(
        name=options.name,
        batch_sizes=options.batch_sizes,
        learning_rates=options.learning_rates,
        seeds=options.seeds,
        tolerance=options.tolerance,
        resolution=options.resolution,
        max_runs=options.max_runs,
    ).check(options.workers)


def _params(work: Work, budget: str, allotment: Allotment) -> dict[str, object]:
    """The study on its parent run."""
    study, question = work.study, work.plan.question
    recipes = {f"technique.{name}": repr(recipe) for name, recipe in study.techniques.items()}
    return {
        "study": study.name,
        "budget": budget,
        "search": work.search,
        "task": repr(study.task),
        "held_equal": "epochs",
        "batch_sizes": tuple(sorted({group.batch_size for group in question.groups})),
        "learning_rates": question.learning_rates,
        "dimensions": ", ".join(range_words(*each) for each in study.dimensions.items()),
        "tolerance": study.tolerance,
        "resolution": study.resolution,
        "seeds": study.seeds,
        "max_runs": work.most_runs,
        "workers": allotment.size.workers,
        "concurrent_trials": allotment.concurrent_trials,
        **recipes,
    }


def _report(study: Study, uri: str, results: Path, tracker: Tracker, console: Console) -> None:
    """Print and draw the answer from MLflow alone, and attach the files to the parent run."""
    files = report(load_runs(study.name, uri), results, console)
    print_files(files, console)
    for path in files:
        if path:
            tracker.upload(path)


def _integers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of whole numbers such as 32,64,128") from error


def _numbers(text: str) -> tuple[float, float]:
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a pair of numbers such as 0.01,3.2") from error
    return low, high


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _leave(code: int) -> None:
    """End Ray, and with it everything it started, then this process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cluster.stop()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
