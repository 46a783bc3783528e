"""A worker of a group, which carries out one order after the other. It runs inside Ray Train."""

import traceback
from pathlib import Path
from typing import Any

import ray
import ray.train
import ray.train.torch
import torch
from ray.actor import ActorHandle

from trainables.data.loading.source import Data, Loaded
from trainables.engine.run import Run
from trainables.engine.workers import Workers
from trainables.on_ray.orders import Failure, Load, Order, Save, Start, Stop, TrainEpoch


def work(config: dict[str, Any]) -> None:
    """Carry out orders until told to stop."""
    mailbox: ActorHandle = config["mailbox"]
    torch.set_num_threads(config["threads"])
    context = ray.train.get_context()
    workers = Workers(context.get_world_rank(), context.get_world_size())
    bench = _Bench(workers, ray.train.torch.get_device())
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

    def carry_out(self, order: Order) -> Any:
        if isinstance(order, Start):
            self.clear()
            workers = Workers(self._workers.rank, order.workers or self._workers.count)
            self._idle = workers.rank >= workers.count
            if self._idle:
                return None
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
            return None
        if self._idle:
            return None
        assert self._run is not None, f"{type(order).__name__} was ordered before Start"
        match order:
            case TrainEpoch():
                return self._run.train_epoch()
            case Save():
                return self._run.state_bytes()
            case Load(state):
                return self._run.load_state_bytes(state)

    def clear(self) -> None:
        """Drop the run, and free the device memory that it held."""
        self._run = None
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    def _data(self, data: Data, data_dir: str) -> Loaded:
        if self._loaded is None or self._loaded[:2] != (data, data_dir):
            self._loaded = None
            self._loaded = (data, data_dir, data.load(Path(data_dir)).to(self._device))
        return self._loaded[2]
