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
from statistics import mean
from types import FrameType

import optuna
from optuna.distributions import FloatDistribution, IntDistribution
from rich.console import Console

from analysis.report import Parser, make_writable, print_files, report
from analysis.runs import load_runs, tracking_uri
from search_spaces import cluster
from search_spaces.cluster import Allotment, Capacity, allot, find_capacity
from search_spaces.display import Display, clock
from search_spaces.estimate import seconds_per_run
from search_spaces.plan import Plan
from search_spaces.proposer import SEARCHES, proposer, runs_at_most, table_proposer
from search_spaces.study import Study, rule_name
from search_spaces.tables import table_plan, table_runs
from search_spaces.tracking import Tracker, open_store
from search_spaces.tuning import Search, run
from trainables.errors import MissingData, UserError, require
from trainables.metrics import DONE
from trainables.recipe import EPOCHS

SEARCH_OPTIONS = ("batch_sizes", "learning_rates", "seeds", "tolerance", "resolution", "max_runs")
"""Which say nothing to tables."""

START_SECONDS = 40.0
"""About what starting a cluster and its worker groups takes, once."""


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
    add("--name", help=f"name of the study (default: {name})")
    add("--dry-run", action="store_true", help="print the plan and stop")
    return parser.parse_args()


def run_command(budgets: Mapping[str, Study], options: argparse.Namespace, console: Console) -> None:
    """Check, print the plan, run, report."""
    begun = time.monotonic()
    capacity = find_capacity()
    budget = options.budget or _default_budget(budgets, capacity, options.tables)
    study = _choose(budgets[budget], options)
    require(
        options.search == "frontier" or not study.dimensions,
        f"search {options.search}: cannot search {', '.join(study.dimensions)} too; --search frontier does",
    )
    data_dir = Path(options.data_dir).expanduser().absolute()
    tags: dict[str, str] = {}
    if study.substitute and not options.dry_run:
        study, tags = _with_data(study, data_dir, options.workers, console)
    runs = table_runs(study) if options.tables else []
    plan = table_plan(study) if options.tables else study.plan()
    most_runs = len(runs) if options.tables else runs_at_most(options.search, plan)
    at_a_time = options.concurrent_trials or (1 if options.tables else None)  # tables compare seconds
    allotment = allot(capacity, options.workers, at_a_time, options.gpus_per_worker, most_runs)
    uri = tracking_uri(options.tracking_uri)
    results = Path(options.results_dir) / study.name
    if runs:
        used = {run.group.technique for run in runs}
        study = replace(study, techniques={name: each for name, each in study.all_techniques.items() if name in used})
    seconds = None if capacity.address else seconds_per_run(study, allotment.size)
    if seconds and runs:
        seconds *= mean(dict(run.setting or ())[EPOCHS] for run in runs) / study.task.epochs
    _print_plan(study, plan, budget, options, capacity, allotment, most_runs, seconds, uri, results, console)
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
    params = _params(study, plan, budget, options, allotment)
    tables = [table.to_json() for table in study.tables] if options.tables else []
    tracker = Tracker(client, study.name, plan.question.to_json(), params, artifacts, tags, tables)
    status = "stopped"
    try:
        display = Display(console, most_runs, allotment.concurrent_trials, seconds, study.task.metric)
        with display:
            cluster.start(capacity, allotment)
            name = tracker.parent_id
            asks = (
                table_proposer(runs, plan, storage, name)
                if options.tables
                else proposer(options.search, plan, storage, name)
            )
            search = Search(study, asks, tracker, display)
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
    console.print(f"  {where}   then {host}/#/experiments/{tracker.experiment_id}", highlight=False, soft_wrap=True)


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
            "substitute": f"{other!r} for {own!r}"
        }
    return study, {}


def _choose(study: Study, options: argparse.Namespace) -> Study:
    """The study with the options' choices, checked."""
    if options.data:
        study = study.on(options.data)
    if options.tables:
        given = [name for name in SEARCH_OPTIONS if getattr(options, name) is not None]
        given += ["search"] * (options.search != "frontier")
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        require(not given, f"--tables with {flags}: tables are run as they are written, and nothing is searched")
        return study.check_tables(options.workers).with_choices(name=options.name or f"{study.name}_tables")
    return study.with_choices(
        name=options.name,
        batch_sizes=options.batch_sizes,
        learning_rates=options.learning_rates,
        seeds=options.seeds,
        tolerance=options.tolerance,
        resolution=options.resolution,
        max_runs=options.max_runs,
    ).check(options.workers)


def _print_plan(
    study: Study,
    plan: Plan,
    budget: str,
    options: argparse.Namespace,
    capacity: Capacity,
    allotment: Allotment,
    most_runs: int,
    seconds: float | None,
    uri: str,
    results: Path,
    console: Console,
) -> None:
    size, question = allotment.size, plan.question
    low, high = question.learning_rates
    rules = f"; rules tried: {', '.join(rule_name(rule) for rule in study.rules)}" if question.rules else ""
    gpus = (
        f", {size.gpus_per_worker:g} GPUs each" if size.gpus_per_worker else f", {size.threads_per_worker} threads each"
    )
    if seconds is None:
        duration = "known once a run has ended"
    else:
        runs = -(-most_runs // allotment.concurrent_trials)
        duration = f"at most about {clock(START_SECONDS + runs * seconds / size.workers)} ({seconds:.1f} s a run)"
    lines = {
        "Study": f"{study.name}, budget {budget}: {study.question}",
        "Ray cluster": capacity.description,
        "Techniques": ", ".join(study.techniques),
        "Batch sizes": ", ".join(map(str, sorted({group.batch_size for group in question.groups}))),
        "Learning rates": f"{low:g} to {high:g}{rules}",
        **(
            {"Also searched": ", ".join(_range(*each) for each in study.dimensions.items())} if study.dimensions else {}
        ),
        "Data": _data_words(study),
        **({"Left out": study.left_out} if study.left_out and not options.tables else {}),
        "Runs": f"the {most_runs} of {', '.join(table.name for table in study.tables)}"
        if options.tables
        else f"at most {most_runs} of {study.task.epochs} epochs, search {options.search}, tolerance "
        f"{study.tolerance * 100:g} {study.task.metric.unit}, resolution a factor {study.resolution:g}",
        "At a time": f"{allotment.concurrent_trials} trials x {size.workers} workers{gpus}",
        "Time": duration,
        "Results": f"{results}, MLflow {uri}",
    }
    for label, text in lines.items():
        console.print(f"{label + ':':<16}{text}", highlight=False, soft_wrap=True)


def _data_words(study: Study) -> str:
    own, other = study.task.data, study.substitute
    return f"{own!r}, or {other.data!r} where that cannot be had" if other else repr(own)


def _range(name: str, values: FloatDistribution | IntDistribution) -> str:
    return f"{name} {values.low:g} to {values.high:g}"


def _params(
    study: Study, plan: Plan, budget: str, options: argparse.Namespace, allotment: Allotment
) -> dict[str, object]:
    """The study on its parent run."""
    recipes = {f"technique.{name}": repr(recipe) for name, recipe in study.techniques.items()}
    return {
        "study": study.name,
        "budget": budget,
        "search": "tables" if options.tables else options.search,
        "task": repr(study.task),
        "held_equal": "epochs",
        "batch_sizes": tuple(sorted({group.batch_size for group in plan.question.groups})),
        "learning_rates": plan.question.learning_rates,
        "dimensions": ", ".join(_range(*each) for each in study.dimensions.items()),
        "tolerance": study.tolerance,
        "resolution": study.resolution,
        "seeds": study.seeds,
        "max_runs": study.max_runs,
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
