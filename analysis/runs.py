"""Runs read back from MLflow; the only place that reads it."""

import os
import re
from collections.abc import Mapping
from typing import NamedTuple

import mlflow
import pandas as pd
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from analysis.frontier import Group, Outcome
from analysis.paper_table import PaperTable
from analysis.question import Question
from trainables.errors import UserError
from trainables.metrics import METRIC_NAMES, STATUSES

DEFAULT_TRACKING_URI = "sqlite:///mlflow.db"
PARENT_TAG = "mlflow.parentRunId"
QUESTION_TAG = "question"
STATUS_TAG = "status"
STUDY_TAG = "study"
"""The study's name, on its parent run only."""
TABLE_TAG = "table."
"""Begins the tags of a parent run that hold the tables it ran, numbered in order."""
SUBSTITUTE_TAG = "substitute"
"""On every run where a study's own data could not be had: what was taken for what."""

CURVE_METRICS = ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy", "train_seconds")


_PARAMS = ("technique", "batch_size", "learning_rate", "seed")


class StudyRuns(NamedTuple):
    """One study as MLflow holds it.

    Attributes:
        name: of the study, and of its MLflow experiment.
        parent_id: MLflow's id of the study's parent run.
        question: what it asked.
        params: of the parent run, as text.
        frame: one row per run that has ended: run_id, technique, batch_size (at the start), learning_rate (the peak),
            seed, status, setting (of the question's dimensions), and every other metric of trainables.metrics by its
            name, NaN where it has no value; then what the task measured besides.
        tables: the paper's tables that were run; empty where the study was searched.
        curves: of those, by run_id, a row for each epoch with the metrics of CURVE_METRICS.
        substitute: what data it was trained on for which, in words; empty where it had its own.
    """

    name: str
    parent_id: str
    question: Question
    params: dict[str, str]
    frame: pd.DataFrame
    tables: tuple[PaperTable, ...] = ()
    curves: Mapping[str, pd.DataFrame] = {}
    substitute: str = ""

    @property
    def circumstances(self) -> str:
        """The budget, and the data's name where it is not the study's own, for a title."""
        names = re.sub(r"\(.*?\)", "", self.substitute)  # without their arguments
        return ", ".join([self.params.get("budget", "?"), *([names] if names else [])])

    def outcomes(self) -> list[Outcome]:
        """The same rows as the verdicts take them."""
        score = self.question.metric.score
        return [
            Outcome(
                Group(row.technique, row.batch_size),
                row.learning_rate,
                row.seed,
                row.status,
                score(row.validation_loss, row.validation_accuracy),
                score(row.train_loss, row.train_accuracy),
                row.setting,
            )
            for row in self.frame.itertuples()
        ]


def tracking_uri(given: str | None) -> str:
    """The store to use: the one given, else MLFLOW_TRACKING_URI, else sqlite in the working directory."""
    return given or os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_TRACKING_URI


def load_runs(name: str, uri: str) -> StudyRuns:
    """The latest study of that name.

    Raises:
        UserError: there is none in that store.
    """
    if uri.startswith("sqlite:///") and not os.path.exists(uri.removeprefix("sqlite:///")):
        raise UserError(f"tracking store {uri}: does not exist; run the study first, or give its --tracking-uri")
    client = mlflow.MlflowClient(uri)
    try:
        experiment = client.get_experiment_by_name(name)
        found = (
            client.search_runs(
                [experiment.experiment_id],
                f"tags.`{STUDY_TAG}` = '{name}'",
                order_by=["start_time DESC"],
                max_results=1,
            )
            if experiment
            else []
        )
    except MlflowException as error:
        raise UserError(f"tracking store {uri}: cannot be read ({str(error).splitlines()[0]})") from error
    if not experiment or not found:
        names = sorted(each.name for each in client.search_experiments() if each.name != "Default")
        raise UserError(f"study {name!r}: is not in {uri}, which holds {', '.join(names) or 'no study'}")
    parent = found[0]
    children: list[Run] = []
    token = None
    while True:
        page = client.search_runs(
            [experiment.experiment_id], f"tags.`{PARENT_TAG}` = '{parent.info.run_id}'", page_token=token
        )
        children += page
        token = page.token
        if not token:
            break
    question = Question.from_json(parent.data.tags[QUESTION_TAG])
    rows = [_row(run, question) for run in reversed(children) if run.data.tags.get(STATUS_TAG) in STATUSES]
    columns = ["run_id", *_PARAMS, "status", "setting", *(name for name in METRIC_NAMES if name not in _PARAMS)]
    further = sorted({name for row in rows for name in row} - set(columns))
    frame = pd.DataFrame(rows, columns=[*columns, *further])
    tables = tuple(
        PaperTable.from_json(value) for tag, value in sorted(parent.data.tags.items()) if tag.startswith(TABLE_TAG)
    )
    curves = {run_id: _curve(client, run_id) for run_id in frame["run_id"]} if tables else {}
    substitute = parent.data.tags.get(SUBSTITUTE_TAG, "")
    return StudyRuns(name, parent.info.run_id, question, parent.data.params, frame, tables, curves, substitute)


def _curve(client: mlflow.MlflowClient, run_id: str) -> pd.DataFrame:
    """A run's metrics after each epoch, in order."""
    histories = {name: client.get_metric_history(run_id, name) for name in CURVE_METRICS}
    columns = {name: {each.step: each.value for each in history} for name, history in histories.items()}
    return pd.DataFrame(columns, columns=list(CURVE_METRICS)).sort_index()


def _row(run: Run, question: Question) -> dict[str, object]:
    params, metrics = run.data.params, run.data.metrics
    return {
        **{name: float("nan") for name in METRIC_NAMES},
        **metrics,
        "run_id": run.info.run_id,
        "technique": params["technique"],
        "batch_size": int(params["batch_size"]),
        "learning_rate": float(params["learning_rate"]),
        "seed": int(params["seed"]),
        "status": run.data.tags[STATUS_TAG],
        "setting": tuple((name, float(params[name])) for name in question.dimensions),
    }
