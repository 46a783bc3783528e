"""What is checked before a study runs, and what MLflow is told of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path

from rich.console import Console

from analysis.results_folder import check_writable
from analysis.runs import SUBSTITUTE_TAG, client_of, tracking_uri
from analysis.wording import say
from search_spaces.service.arguments import SEARCHES, is_name
from search_spaces.service.cluster import Allotment, Capacity, allot, find_capacity
from search_spaces.service.estimate import seconds_per_run
from search_spaces.service.parent_run import Record
from search_spaces.service.preview import print_plan, range_words
from search_spaces.service.work import Work, running_tables, searching
from search_spaces.study import Study
from trainables.errors import MissingData, require
from trainables.metric import Perplexity

VERSIONED = ("torch", "ray", "optuna", "mlflow")
"""The libraries whose versions are recorded."""


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
        storage: the database that keeps the search; None for a file in `results`.
        results: the folder of the study's tables and pictures.
        tags: the tags of every MLflow run.
        resume: whether to go on with the study of that name.
    """

    work: Work
    budget: str
    capacity: Capacity
    allotment: Allotment
    seconds: float | None
    data_dir: Path
    tracking: str
    storage: str | None
    results: Path
    tags: Mapping[str, str] = field(default_factory=dict)
    resume: bool = False


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
    storage: str | None,
    results: str | Path,
    data_dir: str | Path,
    resume: bool,
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
        storage,
        Path(results) / study.name,
        tags,
        resume,
    )
    print_plan(work, budget, capacity, allotment, seconds, prepared.tracking, prepared.results, console)
    return prepared


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


def _parameters(work: Work, budget: str, allotment: Allotment) -> dict[str, object]:
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


def record_of(prepared: Prepared) -> Record:
    """What MLflow is told of the study at its start."""
    work, metric = prepared.work, prepared.work.study.task.metric
    return Record(
        study=work.study.name,
        design=work.plan.design.to_json(),
        params=_parameters(work, prepared.budget, prepared.allotment),
        artifacts=None if prepared.tracking.startswith("http") else prepared.results.absolute() / "artifacts",
        tags=prepared.tags,
        tables=[table.to_json() for table in work.tables],
        data=repr(work.study.task.data),
        score=f"validation_{metric.name if isinstance(metric, Perplexity) else metric.reported}",
        lower_is_better=metric.lower_is_better,
    )
