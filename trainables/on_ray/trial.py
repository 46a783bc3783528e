"""The Trainable for Ray Tune: one trial is one run, one step is one epoch, and workers are kept between trials."""

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ray import tune

from trainables import history
from trainables.engine.checks import workers_for
from trainables.history import EpochReport
from trainables.on_ray.orders import Failure, Load, RunFailed, Save, Start, TrainEpoch, WorkersLost
from trainables.on_ray.worker_group import GroupSize, WorkerGroup
from trainables.recipe import EPOCHS, with_values
from trainables.task import Task

STATE_FILE = "run.pt"
KEY = "run"
"""The entry of a config that names the run's state at the keeper."""
NOTE = "note"
"""The entry of a result that says, in words, what else happened: its workers were lost, or its state was not kept."""

MOST_LOSSES = 3
"""So often in a row a run may lose its workers before an epoch ends; then it has failed."""
PATIENCE_FACTOR, LEAST_PATIENCE_SECONDS = 20.0, 600.0
"""Workers that take so many times as long as the longest epoch so far, and at least so long, are taken to hang."""
FIRST_PATIENCE_SECONDS = 6 * 3600.0
"""The same before the first epoch of a run, which tells nothing yet of how long its epochs take, and for what is no
epoch: the start of a run, also of its workers, and what is measured at its end."""


def start_of(config: Mapping[str, Any], shared: Mapping[str, Any]) -> Start:
    """The order that starts the run of a config; see Trial."""
    values = {name: value for name, value in config.items() if "." in name}
    task: Task = shared["task"]
    size: GroupSize = shared["size"]
    technique, batch_size = config["technique"], config["batch_size"]
    passes = shared.get("passes", {}).get((technique, batch_size), task.passes_per_epoch)
    task = replace(task, epochs=int(values.pop(EPOCHS, task.epochs)), passes_per_epoch=passes)
    recipe = with_values(shared["techniques"][technique], values)
    return Start(
        task=task,
        recipe=recipe,
        batch_size=batch_size,
        learning_rate=config["learning_rate"],
        seed=shared["first_seed"] + config["seed"],
        data_dir=shared["data_dir"],
        workers=workers_for(task, recipe, batch_size, size.workers),
        keeper=shared.get("keeper"),
        key=config.get(KEY, ""),
    )


class Trial(tune.Trainable):
    """Trains the run that its config describes, on a worker group that it keeps for the next run.

    Use it with `reuse_actors=True`. The config holds `technique`, `batch_size`, `learning_rate` and `seed`. It may also
    hold values for fields of the technique's slots, each with a name of the form slot.field, and `task.epochs` where a
    run has its own number of epochs. What is the same for all trials is given as `shared` through
    `tune.with_parameters`: `task`, `techniques`, `first_seed`, `data_dir`, `size` and, where an epoch is not one pass
    over the training set, `passes` by technique and batch size.

    A run whose workers are lost goes on with new ones. With `keeper` in `shared` and a name of the run, `run`, in the
    config, it goes on from the last state that the keeper has, and so does a trial that is started again, after a
    failure or in another process; it reports the epochs until then once more. Without, it begins again.
    """

    _last: EpochReport | None
    _note: str
    _longest: float
    _started: bool

    def setup(self, config: dict[str, Any], shared: dict[str, Any] | None = None) -> None:
        assert shared is not None
        self._shared = shared
        self._group: WorkerGroup | None = None
        self._begin(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._begin(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """Train one epoch. A run whose worker raises ends as `failed` or `out_of_memory`, and the study continues."""
        try:
            self._last = self._next_epoch()
            self._over = self._last.status != history.RUNNING
            words = self._note or self._last.note
            note = {NOTE: words} if words else {}
            self._note = ""
            return {
                **self._last.numbers(),
                **note,
                "series": self._last.series,
                "status": self._last.status,
                tune.result.DONE: self._over,
            }
        except RunFailed as error:
            self._over = True
            kind = error.failure.kind
            status = history.OUT_OF_MEMORY if kind == "OutOfMemoryError" else history.FAILED
            before = self._last.numbers() if self._last else self._nothing()
            return {
                **before,
                "status": status,
                "error": f"{kind}: {error.failure.message}",
                "trace": error.failure.trace,
                tune.result.DONE: True,
            }

    def _next_epoch(self) -> EpochReport:
        """The report of the run's next epoch, with new workers where the old ones are lost."""
        losses = 0
        while True:
            try:
                while True:
                    report = self._report()
                    if report.epoch > (self._last.epoch if self._last else 0):
                        return report
            except WorkersLost as error:
                losses += 1
                self._drop_group()
                if losses == MOST_LOSSES:
                    reason = f"{error}, {losses} times in a row"
                    raise RunFailed(Failure("WorkersLost", reason, "")) from error
                self._note = f"{error}; went on with new ones"

    def _report(self) -> EpochReport:
        """The report of an epoch that ended before this trial was started again, else of the next one."""
        if not self._started:
            self._start_run()
        if self._earlier:
            return self._earlier.pop(0)
        group, begun = self._group, time.monotonic()
        assert group is not None
        patience = max(LEAST_PATIENCE_SECONDS, PATIENCE_FACTOR * self._longest)
        task, done = self._start.task, self._last.epoch if self._last else 0
        measured = task.measures and done == task.epochs - 1  # measures take long, and only after the last epoch
        known = self._longest and not measured
        report: EpochReport = group.execute(TrainEpoch(), patience if known else FIRST_PATIENCE_SECONDS)
        self._longest = max(self._longest, time.monotonic() - begun)
        return report

    def _nothing(self) -> dict[str, float]:
        """What a run reports if it failed before its first epoch: a guess, where there are classes to guess among."""
        task = self._start.task
        if task.guess is None:
            return {"epoch": 0.0}
        loss, mean = task.guess
        values = [task.metric.report(split, loss, mean) for split in ("train", "validation")]
        return {"epoch": 0.0, "train_loss": loss, "validation_loss": loss, **values[0], **values[1]}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Save a run in progress completely. Nothing is saved of a run that has ended, or whose states a keeper has."""
        if self._started and not self._over and self._start.keeper is None:
            Path(checkpoint_dir, STATE_FILE).write_bytes(self._execute(Save()))

    def load_checkpoint(self, checkpoint: Any) -> None:
        path = Path(checkpoint, STATE_FILE)
        if path.exists():
            self._execute(Load(path.read_bytes()))

    def cleanup(self) -> None:
        if self._group is not None:
            self._group.stop()

    def _begin(self, config: dict[str, Any]) -> None:
        """Remember the run; workers start it with its first order, so that a failed start is a failure of this run."""
        self._start = start_of(config, self._shared)
        self._last = None
        self._earlier: list[EpochReport] = []
        self._note, self._longest = "", 0.0
        self._started = self._over = False

    def _execute(self, order: Save | Load) -> Any:
        """Carry out an order on the run; a run that has not started is started first."""
        if not self._started:
            self._start_run()
        assert self._group is not None
        return self._group.execute(order, FIRST_PATIENCE_SECONDS)

    def _start_run(self) -> None:
        """Let workers start the run, or go on with it. Their group is started where there is none."""
        if self._group is not None and not self._group.alive:
            self._drop_group()
        if self._group is None:
            self._group = WorkerGroup(self._shared["size"])
        self._earlier = self._group.execute(self._start, FIRST_PATIENCE_SECONDS)
        self._started = True

    def _drop_group(self) -> None:
        """End what is left of a group. The run is to be started again."""
        if self._group is not None:
            self._group.abandon()
        self._group, self._started = None, False
