"""Reading the runs of a study from MLflow. No other module reads them from there."""

import math
import os
import re
from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

import mlflow
import pandas as pd
import requests
from mlflow.entities import Experiment, Run
from mlflow.exceptions import MlflowException
from mlflow.store.tracking.dbmodels.models import SqlMetric
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from sqlalchemy import select

from analysis.outcomes import Group, Outcome
from analysis.paper_table import SERIES_AXES, PaperTable
from analysis.study_design import StudyDesign
from trainables.errors import UserError, first_line
from trainables.history import DONE, FAILED, OUT_OF_MEMORY, REPORTED, SPLITS, STATUSES
from trainables.recipe import PASSES, WORKERS

DEFAULT_TRACKING_URI = "sqlite:///mlflow.db"
PARENT_TAG = "mlflow.parentRunId"
DESIGN_TAG = "question"
"""The tag of a study's parent run that holds the study's design as JSON."""
STATUS_TAG = "status"
STUDY_TAG = "study"
"""The tag that holds the study's name. Only the parent run has it."""
TABLE_TAG = "table."
"""The beginning of the tags of a parent run that hold the papers' tables that were run, numbered in order."""
KEY_TAG = "run"
"""The tag that names a trial's run in all processes that its study takes."""
SUBSTITUTE_TAG = "substitute"
"""The tag that says which data replaced the study's own data. Every run of a study on substitute data has it."""

NO_ANSWER = "no_answer"
"""The status of a study that ended and can judge nothing."""
ENDED = (DONE, NO_ANSWER)
"""The statuses of studies that have ended; others run, or were stopped or killed, and can go on."""

StoreError = MlflowException
"""What a store raises that does not answer."""

NO_SCORE = (FAILED, OUT_OF_MEMORY)
"""The statuses of runs that may have ended before they had a score."""
ANSWER_SECONDS = 5.0
"""How long a tracking server may take for its first answer."""

RUNS_AT_ONCE = 500
"""How many runs are read from a database at a time."""
_PARAMS = ("technique", "batch_size", "learning_rate", "seed")

_FORMER_NAMES = {"learning_rate": "last_learning_rate", "batch_size": "last_batch_size"}
"""Older MLflow stores hold some numbers under the name of a parameter. These are the names they have now."""


class StudyRuns(NamedTuple):
    """A study and its runs, read from MLflow.

    Attributes:
        name: the name of the study and of its MLflow experiment.
        parent_id: MLflow's id of the study's parent run.
        design: what the study compared.
        params: the parameters of the parent run, as text.
        frame: one row per run that has ended, with the columns run_id, technique, batch_size (at the start),
            learning_rate (the peak), seed, status, setting (the values of the design's dimensions), workers, passes
            (over the training set in an epoch), and then every number that the run reported, under its name; NaN where
            the run has no value.
        tables: the papers' tables that were run; empty where the study was a search.
        curves: by run_id, one row per epoch with the validation loss, the metric's mean, and the seconds, samples and
            steps so far; where tables were run, with those of training and what else is drawn over the epochs too.
        series: where tables were run, by run_id and name, the series that are drawn, by position.
        substitute: which data replaced which, in words; empty where the study had its own data.
        ended: whether the study has ended; where it has not, `frame` has the runs that have.
        incomplete: how many runs ended well but have no score, and are left out.
    """

    name: str
    parent_id: str
    design: StudyDesign
    params: dict[str, str]
    frame: pd.DataFrame
    tables: tuple[PaperTable, ...] = ()
    curves: Mapping[str, pd.DataFrame] = {}
    substitute: str = ""
    series: Mapping[str, Mapping[str, pd.Series]] = {}
    ended: bool = True
    incomplete: int = 0

    @property
    def circumstances(self) -> str:
        """The circumstances for a title: the budget, which data replaced which, and what is equal if not epochs."""
        names = re.sub(r"\(.*?\)", "", self.substitute)  # names of data, without arguments
        equal = "" if self.held_equal == "epochs" else f"equal {self.held_equal}"
        return ", ".join(filter(None, [self.params.get("budget", "?"), names, equal]))

    @property
    def held_equal(self) -> str:
        """What all batch sizes got as much of: epochs, steps or seconds."""
        return self.params.get("held_equal", "epochs")

    def outcomes(self) -> list[Outcome]:
        """The outcomes of the runs in `frame`, from which verdicts are computed."""
        return [
            Outcome(
                Group(row["technique"], row["batch_size"]),
                row["learning_rate"],
                row["seed"],
                row["status"],
                self.design.metric.score_of(row),
                self.design.metric.score_of(row, "train"),
                row["setting"],
            )
            for row in self.frame.to_dict("records")
        ]


def tracking_uri(given: str | None) -> str:
    """The MLflow store to use: the given one, else MLFLOW_TRACKING_URI, else sqlite in the working directory."""
    return given or os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_TRACKING_URI


def shown(text: str) -> str:
    """A text in which asterisks replace the passwords of addresses, and their users, to be printed or stored."""
    return re.sub(r"(?i)(password=)[^&\s]*", r"\1***", re.sub(r"://[^\s/:@]*:\S*@", "://***@", text))


def client_of(uri: str) -> mlflow.MlflowClient:
    """A client of an MLflow store. It gives up soon where a server does not answer, which MLflow tries for minutes.

    Raises:
        UserError: the store is a server that does not answer.
    """
    if uri.startswith("http"):
        try:
            requests.get(uri, timeout=ANSWER_SECONDS)
        except requests.RequestException as error:
            late = isinstance(error, requests.Timeout)
            reason = f"no answer within {ANSWER_SECONDS:g} s" if late else "no connection"
            raise UserError(f"tracking store {shown(uri)}: does not answer ({reason})") from error
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")  # who writes tries again and looks first
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    return mlflow.MlflowClient(uri)


class Stored(NamedTuple):
    """A study of an MLflow store: its name, when it was started the last time, and what became of it then."""

    name: str
    started: datetime
    status: str


def stored_studies(uri: str) -> list[Stored]:
    """The studies that an MLflow store holds, the latest first.

    Raises:
        UserError: the MLflow store cannot be read.
    """
    client = _existing(uri)
    try:
        found = [latest(client, each) for each in client.search_experiments()]
    except MlflowException as error:
        raise UserError(f"tracking store {shown(uri)}: cannot be read ({shown(first_line(error))})") from error
    studies = [
        Stored(
            run.data.tags[STUDY_TAG],
            datetime.fromtimestamp(run.info.start_time / 1000),
            run.data.tags.get(STATUS_TAG, run.info.status.lower()),
        )
        for run in found
        if run
    ]
    return sorted(studies, key=lambda each: each.started, reverse=True)


def _existing(uri: str) -> mlflow.MlflowClient:
    """A client of a store that exists."""
    if uri.startswith("sqlite:///") and not os.path.exists(uri.removeprefix("sqlite:///")):
        raise UserError(f"tracking store {shown(uri)}: does not exist; run the study first, or give its --tracking-uri")
    return opened(uri)


def opened(uri: str) -> mlflow.MlflowClient:
    """A client of a store that answers. A missing sqlite file and its tables are created.

    Raises:
        UserError: the store cannot be opened or does not answer.
    """
    try:
        client = client_of(uri)
        client.search_experiments(max_results=1)
    except UserError:
        raise
    except Exception as error:  # MLflow lets errors of the database through
        raise UserError(f"tracking store {shown(uri)}: cannot be opened ({shown(first_line(error))})") from error
    return client


def latest(client: mlflow.MlflowClient, experiment: Experiment) -> Run | None:
    """The latest parent run of a study's experiment; None where it holds none."""
    parents = f"tags.`{STUDY_TAG}` LIKE '%'"
    found = client.search_runs([experiment.experiment_id], parents, order_by=["start_time DESC"], max_results=1)
    return found[0] if found else None


def children_of(client: mlflow.MlflowClient, experiment_id: str, parent_id: str) -> list[Run]:
    """The runs of a study's trials, given the ids of its experiment and of its parent run."""
    found: list[Run] = []
    token = None
    while True:
        page = client.search_runs([experiment_id], f"tags.`{PARENT_TAG}` = '{parent_id}'", page_token=token)
        found += page
        token = page.token
        if not token:
            return found


def load_runs(name: str, uri: str, curves: bool = True) -> StudyRuns:
    """The latest study of that name, with its runs and, if asked for, their learning curves.

    Raises:
        UserError: the MLflow store holds no such study, or cannot be read.
    """
    client = _existing(uri)
    try:
        experiment = client.get_experiment_by_name(name)
        parent = latest(client, experiment) if experiment else None
    except MlflowException as error:
        raise UserError(f"tracking store {shown(uri)}: cannot be read ({shown(first_line(error))})") from error
    if not experiment or not parent:
        names = sorted(each.name for each in client.search_experiments() if each.name != "Default")
        raise UserError(f"study {name!r}: is not in {shown(uri)}, which holds {', '.join(names) or 'no study'}")
    children = children_of(client, experiment.experiment_id, parent.info.run_id)
    design = StudyDesign.from_json(parent.data.tags[DESIGN_TAG])
    ended = sorted(children, key=lambda run: (run.info.end_time or math.inf, run.info.start_time))
    all_rows = [_row(run, design) for run in ended if run.data.tags.get(STATUS_TAG) in STATUSES]
    rows = [row for row in all_rows if row["status"] in NO_SCORE or _has_score(row, design)]
    reported = (*REPORTED, *(f"{split}_{design.metric.reported}" for split in SPLITS))
    columns = ["run_id", *_PARAMS, "status", "setting", WORKERS, "passes", *reported]
    further = sorted({name for row in rows for name in row} - set(columns))
    frame = pd.DataFrame(rows, columns=[*columns, *further])
    tables = tuple(
        PaperTable.from_json(value) for tag, value in sorted(parent.data.tags.items()) if tag.startswith(TABLE_TAG)
    )
    splits = ("train", "validation") if tables else ("validation",)
    names = [f"{split}_{name}" for split in splits for name in ("loss", design.metric.reported)]
    names += ["train_seconds", "samples", "steps", *(name for table in tables for name in table.drawn_over("epoch"))]
    drawn = [name for table in tables for name in table.drawn_over(*SERIES_AXES)]
    wanted = [*names, *drawn] if curves or tables else []
    found = _histories(client, list(frame["run_id"]), list(dict.fromkeys(wanted)))
    after_epochs = {run_id: _curve(found[run_id], names) for run_id in frame["run_id"]} if wanted else {}
    series = {
        run_id: {name: _curve(found[run_id], [name])[name] for name in drawn} for run_id in frame["run_id"] if tables
    }
    substitute = parent.data.tags.get(SUBSTITUTE_TAG, "")
    over, incomplete = parent.data.tags.get(STATUS_TAG) in ENDED, len(all_rows) - len(rows)
    about = (name, parent.info.run_id, design, parent.data.params)
    return StudyRuns(*about, frame, tables, after_epochs, substitute, series, over, incomplete)


def _histories(
    client: mlflow.MlflowClient, run_ids: list[str], names: list[str]
) -> dict[str, dict[str, dict[int, float]]]:
    """By run and name, the numbers at each step.

    From a database they are read many runs at a time; a server is asked for each run and name.
    """
    found: dict[str, dict[str, dict[int, float]]] = {run_id: {name: {} for name in names} for run_id in run_ids}
    store = client._tracking_client.store  # MLflow has no public way to read many runs
    if isinstance(store, SqlAlchemyStore):
        with store.engine.connect() as connection:
            for first in range(0, len(run_ids), RUNS_AT_ONCE):
                columns = (SqlMetric.run_uuid, SqlMetric.key, SqlMetric.step, SqlMetric.value, SqlMetric.is_nan)
                those = SqlMetric.run_uuid.in_(run_ids[first : first + RUNS_AT_ONCE]), SqlMetric.key.in_(names)
                for run_id, name, step, value, is_nan in connection.execute(
                    select(*columns).where(*those).order_by(SqlMetric.timestamp)
                ):
                    found[run_id][name][step] = math.nan if is_nan else value
        return found
    for run_id in run_ids:
        for name in names:
            found[run_id][name] = {each.step: each.value for each in client.get_metric_history(run_id, name)}
    return found


def _curve(histories: Mapping[str, Mapping[int, float]], names: list[str]) -> pd.DataFrame:
    """The named numbers of a run after each epoch, in order."""
    return pd.DataFrame({name: histories[name] for name in dict.fromkeys(names)}).sort_index()


def _has_score(row: Mapping[str, object], design: StudyDesign) -> bool:
    names = [f"{split}_{name}" for split in ("train", "validation") for name in ("loss", design.metric.reported)]
    return all(name in row for name in names)


def _row(run: Run, design: StudyDesign) -> dict[str, object]:
    params, metrics = run.data.params, run.data.metrics
    return {
        **{_FORMER_NAMES[name]: value for name, value in metrics.items() if name in _FORMER_NAMES},
        **{name: value for name, value in metrics.items() if name not in _FORMER_NAMES},
        "run_id": run.info.run_id,
        "technique": params["technique"],
        "batch_size": int(params["batch_size"]),
        "learning_rate": float(params["learning_rate"]),
        "seed": int(params["seed"]),
        "status": run.data.tags[STATUS_TAG],
        "setting": tuple((name, float(params[name])) for name in design.dimensions),
        WORKERS: float(params.get(WORKERS, "nan")),  # older MLflow stores do not hold it
        "passes": float(params.get(PASSES, 1.0)),
    }
