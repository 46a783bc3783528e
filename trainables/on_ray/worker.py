"""A worker of a group, which carries out one order after the other. It runs inside Ray Train."""

import io
import pickle
import time
import traceback
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import ray
import ray.train
import ray.train.torch
import torch
from ray.actor import ActorHandle
from ray.exceptions import RayError

from trainables.data.loading.source import Data, Loaded
from trainables.engine.run import Run
from trainables.engine.workers import Workers
from trainables.history import RUNNING, EpochReport
from trainables.on_ray.orders import Failure, Load, Order, Save, Start, Stop, TrainEpoch

KEEPING_SHARE = 0.1
"""Keeping the state of a run takes at most this share of its time; where epochs are short, not each one is kept."""


def work(config: dict[str, Any]) -> None:
    """Carry out orders until told to stop."""
    mailbox: ActorHandle = config["mailbox"]
    torch.set_num_threads(config["threads"])
    context = ray.train.get_context()
    workers = Workers(context.get_world_rank(), context.get_world_size())
    bench = _Bench(workers, ray.train.torch.get_device())
    ray.get(mailbox.enlist.remote(ray.get_runtime_context().current_actor))
    number = 0
    while True:
        number += 1
        order = ray.get(mailbox.order.remote(number))
        if isinstance(order, Stop):
            return
        try:
            result = bench.carry_out(order)
        except Exception as error:
            failure = Failure(type(error).__name__, str(error), traceback.format_exc())
            ray.get(mailbox.deliver.remote(number, failure))
            if workers.count > 1:
                raise
            bench.clear()
            continue
        if workers.rank == 0:
            ray.get(mailbox.deliver.remote(number, result))


class _Bench:
    """What a worker keeps between orders: the run in progress, and the data that was loaded last.

    A worker that a run does not need has nothing to do until the next run starts.
    """

    def __init__(self, workers: Workers, device: torch.device) -> None:
        self._workers, self._device = workers, device
        self._run: Run | None = None
        self._idle = False
        self._loaded: tuple[Data, str, Loaded] | None = None
        self._kept: _Kept | None = None

    def carry_out(self, order: Order) -> Any:
        if isinstance(order, Start):
            self.clear()
            workers = Workers(self._workers.rank, order.workers or self._workers.count)
            self._idle = workers.rank >= workers.count
            if self._idle:
                return []
            data = self._data(order.task.data, order.data_dir)
            self._run = Run(
                order.task,
                order.recipe,
                data,
                order.batch_size,
                order.learning_rate,
                order.seed,
                workers,
                order.dtype,
            )
            self._kept = _Kept(order) if order.keeper is not None else None
            return self._kept.restore(self._run, self._device) if self._kept else []
        if self._idle:
            return None
        assert self._run is not None, f"{type(order).__name__} was ordered before Start"
        match order:
            case TrainEpoch():
                report = self._run.train_epoch()
                if self._kept and self._workers.rank == 0:
                    return replace(report, note=self._kept.add(self._run, report))
                return report
            case Save():
                return self._run.state_bytes()
            case Load(state):
                return self._run.load_state_bytes(state)

    def clear(self) -> None:
        """Drop the run, and free the device memory that it held."""
        self._run = self._kept = None
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    def _data(self, data: Data, data_dir: str) -> Loaded:
        if self._loaded is None or self._loaded[:2] != (data, data_dir):
            self._loaded = None
            self._loaded = (data, data_dir, data.load(Path(data_dir)).to(self._device))
        return self._loaded[2]


class _Kept:
    """What a run's keeper has of it: its state, and its reports until then."""

    def __init__(self, start: Start) -> None:
        self._keeper, self._key = start.keeper, start.key
        self._reports: list[EpochReport] = []
        self._sent: ray.ObjectRef | None = None
        self._next = 0.0

    def restore(self, run: Run, device: torch.device) -> list[EpochReport]:
        """Put a run that was just started into its last state; the reports until then. A state that cannot be read is
        none, and the run begins again."""
        kept = readable(ray.get(self._keeper.kept.remote(self._key)), device)
        if kept is not None:
            run.load_state_dict(kept["run"])
            self._reports = [EpochReport(**report) for report in kept["reports"]]
        return list(self._reports)

    def add(self, run: Run, report: EpochReport) -> str:
        """Send the state after an epoch, without waiting until it is kept. The end of a run is kept in any case.

        Returns why the state that was sent before could not be kept; "" where it was.
        """
        self._reports.append(report)
        begun = time.monotonic()
        if begun < self._next and run.status == RUNNING:
            return ""
        state = io.BytesIO()
        torch.save({"run": run.state_dict(), "reports": [asdict(each) for each in self._reports]}, state)
        problem = "" if self._sent is None else _answer(self._sent)
        self._sent = self._keeper.keep.remote(self._key, state.getvalue())
        now = time.monotonic()
        self._next = now + (now - begun) / KEEPING_SHARE
        return problem


def _answer(sent: ray.ObjectRef) -> str:
    """The keeper's answer to a state that was sent; "" where the keeper is gone, which Ray starts again."""
    try:
        return str(ray.get(sent))
    except RayError:
        return ""


def readable(state: bytes | None, device: torch.device) -> dict[str, Any] | None:
    """A state as it was before it was written; None where it cannot be read."""
    try:
        return None if state is None else torch.load(io.BytesIO(state), map_location=device, weights_only=True)
    except (EOFError, RuntimeError, pickle.UnpicklingError):
        return None
