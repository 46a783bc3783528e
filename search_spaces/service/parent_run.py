"""The parent run of a study in MLflow: how it begins, and what is found of it when the study is started again."""

import hashlib
import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import mlflow
from mlflow.entities import Dataset, DatasetInput, Param
from mlflow.exceptions import MlflowException

from analysis.runs import DESIGN_TAG, ENDED, STATUS_TAG, STUDY_TAG, TABLE_TAG, children_of, latest, opened, shown
from trainables.errors import UserError, first_line

SORTABLE = {"start_batch_size": "batch_size", "peak_learning_rate": "learning_rate"}
"""Parameters of a run that are metrics too, under names of their own."""
VIEW = "answer"
"""The key of the runs page's columns, which the printed address names."""
VIEW_TAG = f"mlflow.sharedViewState.{VIEW}"

Store = mlflow.MlflowClient
"""The client of an MLflow store."""


def open_store(uri: str) -> mlflow.MlflowClient:
    """A client of an MLflow store that can be written to. A missing sqlite file and its tables are created.

    Raises:
        UserError: the store cannot be written or does not answer.
    """
    if uri.startswith("sqlite:///"):
        path = Path(uri.removeprefix("sqlite:///")).absolute()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("ab"):
                pass
        except OSError as error:
            raise UserError(f"tracking store {shown(uri)}: cannot be written ({error.strerror})") from error
    return opened(uri)


class Parent(NamedTuple):
    """The parent run of a study in MLflow.

    Attributes:
        experiment_id: the id of the study's experiment.
        run_id: the id of the parent run.
        tags: the tags that it shares with the run of every trial.
    """

    experiment_id: str
    run_id: str
    tags: Mapping[str, str]


class Record(NamedTuple):
    """What MLflow is told of a study at its start.

    Attributes:
        study: the name of the study, and of its MLflow experiment.
        design: the study's design as JSON, for the report.
        params: the parameters of the study, shown on the parent run.
        artifacts: the absolute path of the folder for artifacts, for a store without a server; None for a server.
        tags: the tags of the parent run and of every trial's run.
        tables: the papers' tables that are run, as JSON, for the report.
        data: the description of the data set, in words; "" to record none.
        score: the number that runs are compared by in MLflow, such as validation_accuracy.
        lower_is_better: whether less of it is better.
    """

    study: str
    design: str
    params: Mapping[str, object]
    artifacts: Path | None
    tags: Mapping[str, str] = {}
    tables: Sequence[str] = ()
    data: str = ""
    score: str = "validation_accuracy"
    lower_is_better: bool = False


def begin(client: mlflow.MlflowClient, record: Record) -> Parent:
    """Begin a study in MLflow.

    Raises:
        UserError: the study cannot be recorded.
    """
    shared, study = dict(record.tags), record.study
    own = {STUDY_TAG: study, DESIGN_TAG: record.design, "git_commit": _commit()}
    own |= {f"{TABLE_TAG}{number:02}": table for number, table in enumerate(record.tables)}
    with _recording(study):
        experiment = client.get_experiment_by_name(study)
        location = record.artifacts.as_uri() if record.artifacts else None
        experiment_id = (
            experiment.experiment_id if experiment else client.create_experiment(study, artifact_location=location)
        )
        parent = client.create_run(experiment_id, run_name=study, tags={**shared, **own}).info.run_id
        client.log_batch(parent, params=[Param(name, str(value)) for name, value in record.params.items()])
        view = _view(record.score, record.lower_is_better)
        client.set_experiment_tag(experiment_id, VIEW_TAG, json.dumps(view))
        if record.data:
            client.log_inputs(parent, [DatasetInput(_dataset(record.data))])
    return Parent(experiment_id, parent, shared)


class Earlier(NamedTuple):
    """What MLflow holds of a study that was started before.

    Attributes:
        study: its name.
        experiment_id, run_id: the ids of its experiment and of its parent run.
        started: when.
        ended: whether it has ended; else it was stopped or killed, or runs.
        running: whether it runs, as far as MLflow was told.
        params: the parameters of the parent run, as text.
        design: its design as JSON.
        tables: the papers' tables that it runs, as JSON.
    """

    study: str
    experiment_id: str
    run_id: str
    started: datetime
    ended: bool
    running: bool
    params: Mapping[str, str]
    design: str
    tables: tuple[str, ...]


def earlier_start(client: mlflow.MlflowClient, study: str) -> Earlier | None:
    """The latest start of the study of that name; None where it was never started.

    Raises:
        UserError: the store cannot be read.
    """
    with _recording(study):
        experiment = client.get_experiment_by_name(study)
        run = latest(client, experiment) if experiment else None
        if run is None:
            return None
        tags = run.data.tags
        return Earlier(
            study,
            run.info.experiment_id,
            run.info.run_id,
            started=datetime.fromtimestamp(run.info.start_time / 1000),
            ended=tags.get(STATUS_TAG) in ENDED,
            running=run.info.status == "RUNNING",
            params=run.data.params,
            design=tags[DESIGN_TAG],
            tables=tuple(value for tag, value in sorted(tags.items()) if tag.startswith(TABLE_TAG)),
        )


def began_runs(client: mlflow.MlflowClient, earlier: Earlier) -> bool:
    """Whether a study that was started before has a run in MLflow.

    Raises:
        UserError: the store cannot be read.
    """
    with _recording(earlier.study):
        return bool(children_of(client, earlier.experiment_id, earlier.run_id))


def mark_killed(client: mlflow.MlflowClient, earlier: Earlier) -> None:
    """Say of a study and of its runs that they do not run any more.

    Raises:
        UserError: the store does not take it.
    """
    with _recording(earlier.study):
        children = children_of(client, earlier.experiment_id, earlier.run_id)
        for each in (*children, client.get_run(earlier.run_id)):
            if each.info.status == "RUNNING":
                client.set_terminated(each.info.run_id, "KILLED")


@contextmanager
def _recording(study: str) -> Iterator[None]:
    try:
        yield
    except MlflowException as error:
        raise UserError(f"study {study!r}: cannot be recorded in MLflow ({shown(first_line(error))})") from error


def _view(score: str, ascending: bool) -> dict[str, object]:
    """The columns of MLflow's runs page, the best run first."""
    columns = [
        "params.`technique`",
        *(f"metrics.`{name}`" for name in SORTABLE),
        f"metrics.`{score}`",
        "params.`seed`",
        f"tags.`{STATUS_TAG}`",
    ]
    return {"searchFilter": "", "orderByKey": f"metrics.`{score}`", "orderByAsc": ascending, "selectedColumns": columns}


def _dataset(data: str) -> Dataset:
    """MLflow's entry for a data set, which its description names."""
    digest = hashlib.sha256(data.encode()).hexdigest()[:8]
    name, _, _ = data.partition("(")
    return Dataset(name, digest, source_type="code", source=json.dumps({"description": data}))


def _commit() -> str:
    """The git commit of the code that runs, or "unknown"."""
    try:
        command = ["git", "rev-parse", "HEAD"]
        done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return done.stdout.strip() or "unknown"
