"""The only writer of MLflow: one parent run per study, one child run per trial.

An MLflow store that fails for a moment does not end a study: a write that failed is kept, and tried again together with
the next write.
"""

import hashlib
import json
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from mlflow.entities import Dataset, DatasetInput, Metric, Param
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NOTE
from mlflow.utils.validation import MAX_METRICS_PER_BATCH

from analysis.runs import DESIGN_TAG, PARENT_TAG, STATUS_TAG, STUDY_TAG, TABLE_TAG, opened
from trainables.errors import UserError
from trainables.history import DONE, FAILED, RUNNING, STATUSES, Series

TRACEBACK_FILE = "traceback.txt"
"""The artifact of a run that holds the traceback of a worker's error."""

EDGE_COLUMNS = (
    "best_learning_rate",
    *(f"{edge}_{end}" for edge in ("scalable", "competitive", "safe", "joint") for end in ("lower", "upper")),
)
"""The columns of the frontier that are metrics of the parent run."""

SORTABLE = {"start_batch_size": "batch_size", "peak_learning_rate": "learning_rate"}
"""Parameters of a run that are metrics too, under names of their own."""
VIEW = "answer"
"""The key of the runs page's columns, which the printed address names."""
VIEW_TAG = f"mlflow.sharedViewState.{VIEW}"

_ENDINGS = {status: "FAILED" if status == FAILED else "FINISHED" for status in STATUSES}
"""MLflow's status for each status of a run. Diverged, stopped and out-of-memory runs are finished measurements."""

_REFUSALS = ("INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST", "RESOURCE_ALREADY_EXISTS")
"""The error codes of writes that would fail again in a second try."""


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
            raise UserError(f"tracking store {uri}: cannot be written ({error.strerror})") from error
    return opened(uri)


class Tracker:
    """Writes a study to MLflow while it runs.

    Args:
        client: the client of a store that was opened.
        study: the name of the study, and of its MLflow experiment.
        design: the study's design as JSON, for the report.
        params: the parameters of the study, shown on the parent run.
        tags: the tags of the parent run and of every trial's run.
        tables: the papers' tables that are run, as JSON, for the report.
        artifacts: the absolute path of the folder for artifacts, for a store without a server; None for a server.
        data: the description of the data set, in words; "" to record none.
        score: the number that runs are compared by in MLflow, such as validation_accuracy.
        lower_is_better: whether less of it is better.
    """

    def __init__(
        self,
        client: mlflow.MlflowClient,
        study: str,
        design: str,
        params: Mapping[str, Any],
        artifacts: Path | None,
        tags: Mapping[str, str] | None = None,
        tables: Sequence[str] = (),
        data: str = "",
        score: str = "validation_accuracy",
        lower_is_better: bool = False,
    ) -> None:
        self._client = client
        self._tags = dict(tags or {})
        self._pending: list[Callable[[], object]] = []
        self._started: set[str] = set()
        self._runs: dict[str, str] = {}
        self.finished = 0
        self._lost = 0
        try:
            experiment = client.get_experiment_by_name(study)
            location = artifacts.as_uri() if artifacts else None
            self.experiment_id = (
                experiment.experiment_id if experiment else client.create_experiment(study, artifact_location=location)
            )
            own = {STUDY_TAG: study, DESIGN_TAG: design, "git_commit": _commit()}
            own |= {f"{TABLE_TAG}{number:02}": table for number, table in enumerate(tables)}
            parent = client.create_run(self.experiment_id, run_name=study, tags={**self._tags, **own})
            self.parent_id = parent.info.run_id
            client.log_batch(self.parent_id, params=[Param(name, str(value)) for name, value in params.items()])
            client.set_experiment_tag(self.experiment_id, VIEW_TAG, json.dumps(_view(score, lower_is_better)))
            if data:
                client.log_inputs(self.parent_id, [DatasetInput(_dataset(data))])
        except MlflowException as error:
            raise UserError(f"study {study!r}: cannot be recorded in MLflow ({str(error).splitlines()[0]})") from error

    def start(self, trial_id: str, name: str, params: Mapping[str, Any]) -> None:
        """Create the run of a trial, unless it has been created before."""
        if trial_id in self._started:
            return
        self._started.add(trial_id)
        entries = [Param(key, repr(value) if isinstance(value, float) else str(value)) for key, value in params.items()]
        own = {PARENT_TAG: self.parent_id, STATUS_TAG: RUNNING, "technique": str(params["technique"])}

        def create() -> None:
            run = self._client.create_run(self.experiment_id, run_name=name, tags={**self._tags, **own})
            self._runs[trial_id] = run.info.run_id

        now = int(time.time() * 1000)
        sortable = [
            Metric(name, float(params[param]), now, 0) for name, param in SORTABLE.items() if param in params
        ]  # MLflow sorts parameters as text
        self._write(create)
        self._write(lambda: self._client.log_batch(self._runs[trial_id], params=entries, metrics=sortable))

    def log(self, trial_id: str, metrics: Mapping[str, float], epoch: int, series: Series) -> None:
        """Write what a trial reported after an epoch. A number's step is its epoch, or its position in a series."""
        now = int(time.time() * 1000)
        entries = [Metric(name, float(value), now, epoch) for name, value in metrics.items()]
        entries += [Metric(name, float(value), now, at) for name, pairs in series.items() for at, value in pairs]
        for first in range(0, len(entries), MAX_METRICS_PER_BATCH):
            self._write(partial(self._log_batch, trial_id, entries[first : first + MAX_METRICS_PER_BATCH]))

    def _log_batch(self, trial_id: str, metrics: Sequence[Metric]) -> None:
        self._client.log_batch(self._runs[trial_id], metrics=metrics)

    def end(self, trial_id: str, status: str, trace: str = "") -> None:
        """End a trial's run with one of trainables.history.STATUSES, and with the traceback where a worker raised."""

        def finish() -> None:
            if trace:
                self._client.log_text(self._runs[trial_id], trace, TRACEBACK_FILE)
            self._client.set_tag(self._runs[trial_id], STATUS_TAG, status)
            self._client.set_terminated(self._runs[trial_id], _ENDINGS[status])
            del self._runs[trial_id]
            self.finished += 1

        self._write(finish)

    def upload(self, path: Path) -> None:
        """Attach a file or a folder of files to the study's parent run."""
        self._write(lambda: self._client.log_artifact(self.parent_id, str(path)))

    def answer(
        self, sentences: Sequence[str], frontier: pd.DataFrame, exponents: Mapping[str, tuple[float, float, float]]
    ) -> None:
        """Write the answer into the description of the study's parent run, and its edges as metrics of that run.

        A metric is named TECHNIQUE/COLUMN, and its step is the batch size, so that MLflow draws edges over batch sizes;
        an exponent has step 0.

        Args:
            sentences: of the answer.
            frontier: the table of the answer, with one row per technique and batch size.
            exponents: by technique, the exponent of its law and the ends of its interval.
        """
        now = int(time.time() * 1000)
        edges = [
            Metric(f"{row['technique']}/{column}", float(row[column]), now, int(row["batch_size"]))
            for row in frontier.to_dict("records")
            for column in EDGE_COLUMNS
            if pd.notna(row[column])
        ]
        edges += [
            Metric(f"{technique}/{name}", value, now, 0)
            for technique, values in exponents.items()
            for name, value in zip(("exponent", "exponent_lower", "exponent_upper"), values, strict=True)
        ]
        note = "\n".join(f"- {sentence}" for sentence in sentences)
        self._write(lambda: self._client.set_tag(self.parent_id, MLFLOW_RUN_NOTE, note))
        self._write(lambda: self._client.log_batch(self.parent_id, metrics=edges))

    def close(self, status: str) -> int:
        """End the parent run, and end as killed the runs that still run. Returns how many writes never succeeded."""
        self._flush()
        for run_id in list(self._runs.values()):
            self._write(partial(self._client.set_terminated, run_id, "KILLED"))
        self._write(lambda: self._client.set_tag(self.parent_id, STATUS_TAG, status))
        self._write(lambda: self._client.set_terminated(self.parent_id, "FINISHED" if status == DONE else "KILLED"))
        return len(self._pending) + self._lost

    def _write(self, write: Callable[[], object]) -> None:
        """Make the pending writes, oldest first, and then this one."""
        self._pending.append(write)
        self._flush()

    def _flush(self) -> None:
        """Make the pending writes, oldest first. A write that fails stays pending; a write that is refused is lost."""
        while self._pending:
            try:
                self._pending[0]()
            except (MlflowException, OSError) as error:
                if getattr(error, "error_code", "") not in _REFUSALS:
                    return
                self._lost += 1
            except KeyError:  # the creation of the run was refused
                self._lost += 1
            self._pending.pop(0)


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
