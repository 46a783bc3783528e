"""The writer of what happens while a study runs: one run in MLflow per trial, below the study's parent run.

Everything goes through an outbox. So a store that is away does not hold up training, and nothing is lost where this
process is killed.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import requests
from mlflow.entities import Metric, Param, Run
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NOTE
from mlflow.utils.validation import MAX_METRICS_PER_BATCH

from analysis.runs import ENDED, KEY_TAG, PARENT_TAG, STATUS_TAG, children_of, shown
from search_spaces.service.outbox import SILENT_SECONDS, Away, Outbox, Write
from search_spaces.service.parent_run import SORTABLE, Parent
from trainables.errors import first_line
from trainables.history import FAILED, RUNNING, STATUSES, Series

TRACEBACK_FILE = "traceback.txt"
"""The artifact of a run that holds the traceback of a worker's error."""

EDGE_COLUMNS = (
    "best_learning_rate",
    *(f"{edge}_{end}" for edge in ("scalable", "competitive", "safe", "joint") for end in ("lower", "upper")),
)
"""The columns of the frontier that are metrics of the parent run."""

_ENDINGS = {status: "FAILED" if status == FAILED else "FINISHED" for status in STATUSES}
"""MLflow's status for each status of a run. Diverged, stopped and out-of-memory runs are finished measurements."""

REPEAT_SECONDS = 30.0
"""How often it is said what the end of a study waits for."""
LAST_SECONDS = 10.0
"""How long a study that is stopped waits for what is still to be written."""

_REFUSALS = ("INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST", "RESOURCE_ALREADY_EXISTS")
"""The error codes of writes that would fail again in a second try."""
_REFUSED = (FileNotFoundError, PermissionError, requests.HTTPError)
"""The same, of files."""


def _say_nothing(_line: str) -> None:
    pass


class Tracker:
    """Writes a study to MLflow while it runs, in the background.

    Args:
        client: the client of a store that was opened.
        parent: the study's parent run.
        outbox: the file of what is still to be written.
        tell: is told, in a line, that the store is away and that it is back.
    """

    def __init__(
        self,
        client: mlflow.MlflowClient,
        parent: Parent,
        outbox: Path,
        tell: Callable[[str], None] = _say_nothing,
    ) -> None:
        self._client, self._parent = client, parent
        self._runs: dict[str, str] = {}
        self._started: set[str] = set()
        self._untried: set[str] = set()
        self._epochs: dict[str, int] = {}
        self.finished = 0
        self._outbox = Outbox(outbox, self._make, tell)

    @property
    def parent_id(self) -> str:
        return self._parent.run_id

    @property
    def experiment_id(self) -> str:
        return self._parent.experiment_id

    def go_on(self, ended: Mapping[str, str], tell: Callable[[str], None] = _say_nothing) -> None:
        """Note the runs that an earlier process began, and end those that it had no time to end.

        Args:
            ended: by the key of a run that has ended, its status.
            tell: is told, in a line, what this waits for.
        """
        self.finished = len(ended)
        self._outbox.put(Write("go_on", "", None))
        self.settle(tell)
        for run in sorted(self._children(), key=_epoch, reverse=True):
            key = run.data.tags.get(KEY_TAG)
            if key is None:  # written before runs had keys
                continue
            if key in self._started:
                self._outbox.put(Write("delete", "", run.info.run_id))  # a try that seemed to fail had created it too
                continue
            self._started.add(key)
            self._runs[key] = run.info.run_id
            self._epochs[key] = _epoch(run)
            if key not in ended:
                self._outbox.put(Write("go_on", key, None))
            elif run.data.tags.get(STATUS_TAG) not in STATUSES:
                self._outbox.put(Write("end", key, [ended[key], ""]))
        self.settle(tell)

    def start(self, key: str, name: str, params: Mapping[str, Any]) -> None:
        """Create the run of a trial, unless it has been created before.

        Args:
            key: names the run in all processes that this study takes.
            name: the name that is shown.
        """
        if key in self._started:
            return
        self._started.add(key)
        self._untried.add(key)
        texts = {name: repr(value) if isinstance(value, float) else str(value) for name, value in params.items()}
        numbers = {
            name: float(params[param]) for name, param in SORTABLE.items() if param in params
        }  # MLflow sorts parameters as text
        self._outbox.put(Write("start", key, [name, str(params["technique"]), _now(), texts, numbers]))

    def log(self, key: str, metrics: Mapping[str, float], epoch: int, series: Series) -> None:
        """Write what a trial reported after an epoch, unless an earlier process has written it. A number's step is its
        epoch, or its position in a series."""
        if 0 < epoch <= self._epochs.get(key, 0):
            return
        self._epochs[key] = epoch
        now = _now()
        entries = [(name, float(value), now, at) for name, pairs in series.items() for at, value in pairs]
        entries += [(name, float(value), now, epoch) for name, value in metrics.items()]  # last, with the epoch
        for first in range(0, len(entries), MAX_METRICS_PER_BATCH):
            self._outbox.put(Write("log", key, entries[first : first + MAX_METRICS_PER_BATCH]))

    def end(self, key: str, status: str, trace: str = "") -> None:
        """End a trial's run with one of trainables.history.STATUSES, and with the traceback where a worker raised."""
        self.finished += 1
        self._outbox.put(Write("end", key, [status, trace]))

    def upload(self, path: Path) -> None:
        """Attach a file or a folder of files to the study's parent run."""
        self._outbox.put(Write("upload", "", str(path.absolute())))

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
        now = _now()
        edges = [
            (f"{row['technique']}/{column}", float(row[column]), now, int(row["batch_size"]))
            for row in frontier.to_dict("records")
            for column in EDGE_COLUMNS
            if pd.notna(row[column])
        ]
        edges += [
            (f"{technique}/{name}", value, now, 0)
            for technique, values in exponents.items()
            for name, value in zip(("exponent", "exponent_lower", "exponent_upper"), values, strict=True)
        ]
        note = "\n".join(f"- {sentence}" for sentence in sentences)
        self._outbox.put(Write("tag", "", [MLFLOW_RUN_NOTE, note]))
        self._outbox.put(Write("log", "", edges))

    @property
    def problem(self) -> str:
        """Why the last write that did not succeed did not, in one line."""
        return shown(self._outbox.problem)

    def settle(self, tell: Callable[[str], None] = _say_nothing) -> None:
        """Wait until everything is written, and say so where that takes long."""
        patience = SILENT_SECONDS
        while not self._outbox.wait(patience):
            tell(f"waiting for {self._outbox.left} writes to MLflow ({self.problem or 'it is slow'})")
            patience = REPEAT_SECONDS

    def close(self, status: str, tell: Callable[[str], None] = _say_nothing) -> int:
        """End the parent run, and end as killed the runs that still run. Returns how many writes did not succeed.

        A study that is done waits for its writes. Another one waits for a moment; what is left then is written when the
        study goes on.
        """
        self._outbox.put(Write("close", "", status), patient=False)
        if status in ENDED:
            self.settle(tell)
        self._outbox.wait(LAST_SECONDS)
        return self._outbox.left + self._outbox.lost

    def leave(self) -> None:
        """Write nothing more. What is left is written when the study goes on."""
        self._outbox.close()

    def _make(self, write: Write) -> None:
        """Make a write. Each has the effect of one where it is made twice.

        Raises:
            Away: the store may take it later.
        """
        try:
            self._carry_out(write)
        except (MlflowException, OSError) as error:
            if getattr(error, "error_code", "") in _REFUSALS or isinstance(error, _REFUSED):
                raise
            raise Away(shown(first_line(error))) from error

    def _carry_out(self, write: Write) -> None:
        client = self._client
        match write:
            case Write("start", key, [name, technique, begun, params, numbers]):
                untried = key in self._untried
                self._untried.discard(key)
                if untried or not self._known(key):
                    own = {PARENT_TAG: self.parent_id, STATUS_TAG: RUNNING, "technique": technique, KEY_TAG: key}
                    tags = {**self._parent.tags, **own}
                    run = client.create_run(self.experiment_id, start_time=begun, run_name=name, tags=tags)
                    self._runs[key] = run.info.run_id
                texts = [Param(name, value) for name, value in params.items()]
                metrics = [Metric(name, value, begun, 0) for name, value in numbers.items()]
                client.log_batch(self._runs[key], params=texts, metrics=metrics)
            case Write("log", key, entries):
                client.log_batch(self._run(key), metrics=[Metric(*entry) for entry in entries])
            case Write("tag", key, [name, value]):
                client.set_tag(self._run(key), name, value)
            case Write("upload", key, path):
                client.log_artifact(self._run(key), path)
            case Write("go_on", key, _):
                client.set_tag(self._run(key), STATUS_TAG, RUNNING)
                client.update_run(self._run(key), "RUNNING")
            case Write("end", key, [status, trace]):
                client.set_tag(self._run(key), STATUS_TAG, status)
                client.set_terminated(self._run(key), _ENDINGS[status])
                if trace:
                    client.log_text(self._run(key), trace, TRACEBACK_FILE)
            case Write("delete", _, run_id):
                client.delete_run(run_id)
            case Write("close", _, status):
                for run in self._children():
                    if run.info.run_id != self._runs.get(run.data.tags.get(KEY_TAG, ""), run.info.run_id):
                        client.delete_run(run.info.run_id)  # a try that seemed to fail had created it
                    elif run.info.status == "RUNNING":
                        client.set_terminated(run.info.run_id, "KILLED")
                client.set_tag(self.parent_id, STATUS_TAG, status)
                client.set_terminated(self.parent_id, "FINISHED" if status in ENDED else "KILLED")

    def _children(self) -> list[Run]:
        return children_of(self._client, self.experiment_id, self.parent_id)

    def _run(self, key: str) -> str:
        """MLflow's id of the run with a key; the parent's for "".

        Raises:
            KeyError: there is no run with that key.
        """
        if key:
            self._known(key)
            return self._runs[key]
        return self.parent_id

    def _known(self, key: str) -> bool:
        """Whether the run with a key has been created: by this process, by a try that seemed to fail, or before."""
        if key not in self._runs:
            mine = f"tags.`{PARENT_TAG}` = '{self.parent_id}' AND tags.`{KEY_TAG}` = '{key}'"
            oldest = ["attributes.start_time ASC"]
            found = self._client.search_runs([self.experiment_id], mine, max_results=1, order_by=oldest)
            for run in found:
                self._runs[key] = run.info.run_id
        return key in self._runs


def _epoch(run: Run) -> int:
    """The last epoch that a run has reported."""
    return int(run.data.metrics.get("epoch", 0))


def _now() -> int:
    return int(time.time() * 1000)
