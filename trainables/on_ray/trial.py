"""The Trainable for Ray Tune: one trial is one run, one step is one epoch, and workers are kept between trials."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ray import tune

from trainables import history
from trainables.engine.checks import workers_for
from trainables.history import EpochReport
from trainables.on_ray.orders import Load, RunFailed, Save, Start, TrainEpoch
from trainables.on_ray.worker_group import GroupSize, WorkerGroup
from trainables.recipe import EPOCHS, with_values
from trainables.task import Task

STATE_FILE = "run.pt"


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
    )


class Trial(tune.Trainable):
    """Trains the run that its config describes, on a worker group that it keeps for the next run.

    Use it with `reuse_actors=True`. The config holds `technique`, `batch_size`, `learning_rate` and `seed`. It may also
    hold values for fields of the technique's slots, each with a name of the form slot.field, and `task.epochs` where a
    run has its own number of epochs. What is the same for all trials is given as `shared` through
    `tune.with_parameters`: `task`, `techniques`, `first_seed`, `data_dir`, `size` and, where an epoch is not one pass
    over the training set, `passes` by technique and batch size.
    """

    def setup(self, config: dict[str, Any], shared: dict[str, Any] | None = None) -> None:
        assert shared is not None
        self._shared = shared
        self._group: WorkerGroup | None = None
        self._last: EpochReport | None = None
        self._begin(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._begin(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """Train one epoch. A run whose worker raises ends as `failed` or `out_of_memory`, and the study continues."""
        try:
            self._last = self._execute(TrainEpoch())
            self._over = self._last.status != history.RUNNING
            return {
                **self._last.numbers(),
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

    def _nothing(self) -> dict[str, float]:
        """What a run reports if it failed before its first epoch: a guess, where there are classes to guess among."""
        task = self._start.task
        if task.guess is None:
            return {"epoch": 0.0}
        loss, mean = task.guess
        values = [task.metric.report(split, loss, mean) for split in ("train", "validation")]
        return {"epoch": 0.0, "train_loss": loss, "validation_loss": loss, **values[0], **values[1]}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Save a run in progress completely; of a run that has ended nothing is saved, because it will not continue."""
        if self._started and not self._over:
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
        self._started = self._over = False

    def _execute(self, order: TrainEpoch | Save | Load) -> Any:
        """Carry out an order on the run; a run that has not started is started first."""
        if self._group is None or not self._group.alive:
            size: GroupSize = self._shared["size"]
            self._group = WorkerGroup(size)
        if not self._started:
            self._group.execute(self._start)
            self._started = True
        return self._group.execute(order)
