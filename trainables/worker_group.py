"""A long-lived Ray Train run whose workers execute trials one after another.

Starting a data-parallel group takes 20 to 50 s and eight processes; a trial's own work can take one. So a group is
started once and outlives its trials. Its workers loop: take an order, carry it out together, hand the result back.
Orders are numbered and results kept by number; both travel through one small actor, not through train.report, which
delivers at most one report every two seconds.
"""

import asyncio
import tempfile
import threading
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
import ray.train
import ray.train.torch
import torch
from ray.actor import ActorHandle
from ray.train.torch import TorchConfig, TorchTrainer

from trainables.data.source import Data, Loaded
from trainables.recipe import Recipe, Task
from trainables.training import Run
from trainables.workers import Workers


@dataclass(frozen=True)
class GroupSize:
    """What one worker group takes.

    Attributes:
        workers: data-parallel workers.
        gpus_per_worker: 0 for CPU training; fractions share a GPU.
        threads_per_worker: torch threads of each worker; also the logical CPUs each reserves, at least 1.
    """

    workers: int = 1
    gpus_per_worker: float = 0.0
    threads_per_worker: int = 1

    @property
    def backend(self) -> str:
        """NCCL needs a whole GPU per worker; everything else talks through gloo."""
        return "nccl" if self.gpus_per_worker >= 1 else "gloo"


@dataclass(frozen=True)
class Start:
    """Order: begin a run; the result is None."""

    task: Task
    recipe: Recipe
    batch_size: int
    learning_rate: float
    seed: int
    data_dir: str
    dtype: torch.dtype = torch.float32


@dataclass(frozen=True)
class TrainEpoch:
    """Order: train one epoch of the run; the result is its EpochMetrics."""


@dataclass(frozen=True)
class Save:
    """Order: the result is the run's state, bytes."""


@dataclass(frozen=True)
class Load:
    """Order: put a run that was just started into a saved state; the result is None."""

    state: bytes


@dataclass(frozen=True)
class Stop:
    """Order: the workers return and the group ends."""


Order = Start | TrainEpoch | Save | Load | Stop


@dataclass(frozen=True)
class Failure:
    """A result: what a worker raised.

    Attributes:
        kind: the exception's class name.
        message: its text.
        trace: its traceback.
    """

    kind: str
    message: str
    trace: str


class RunFailed(RuntimeError):
    """A worker raised while it carried out an order.

    Attributes:
        failure: what it raised.
    """

    def __init__(self, failure: Failure) -> None:
        super().__init__(f"{failure.kind}: {failure.message}")
        self.failure = failure


class Mailbox:
    """The actor between a group's owner and its workers: numbered orders in, results by number out.

    An order stays until every worker has taken it: the first worker's result lets the owner post the next one while
    another worker may not have asked for this one yet.
    """

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._orders: dict[int, Order] = {}
        self._taken: dict[int, int] = {}
        self._results: dict[int, Any] = {}
        self._changed = asyncio.Condition()

    async def post(self, number: int, order: Order) -> None:
        async with self._changed:
            self._orders[number] = order
            self._results.clear()
            self._changed.notify_all()

    async def order(self, number: int) -> Order:
        """The order of that number, as soon as it is there."""
        async with self._changed:
            await self._changed.wait_for(lambda: number in self._orders)
            self._taken[number] = self._taken.get(number, 0) + 1
            if self._taken[number] < self._workers:
                return self._orders[number]
            del self._taken[number]
            return self._orders.pop(number)

    async def deliver(self, number: int, result: Any) -> None:
        """Keep a result; a failure is not overwritten."""
        async with self._changed:
            if not isinstance(self._results.get(number), Failure):
                self._results[number] = result
            self._changed.notify_all()

    async def result(self, number: int) -> Any:
        """The result of that number, as soon as it is there."""
        async with self._changed:
            await self._changed.wait_for(lambda: number in self._results)
            return self._results[number]


class WorkerGroup:
    """A running group and the way to give it orders.

    Args:
        size: its workers and what each takes.

    Raises:
        RunFailed: from `execute`, when a worker raised. A group of one goes on; a larger one, whose other workers may
            be waiting for the one that raised, has ended and `alive` is False.
    """

    def __init__(self, size: GroupSize) -> None:
        self._number = 0
        self._error: BaseException | None = None
        self._storage = tempfile.TemporaryDirectory(prefix="batchscale-")
        self._mailbox = ray.remote(num_cpus=0, max_concurrency=2 * size.workers + 2)(Mailbox).remote(size.workers)
        self._size = size
        self._thread = threading.Thread(target=self._fit, daemon=True, name="worker-group")
        self._thread.start()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def execute(self, order: Order) -> Any:
        """Have the workers carry out an order, together; its result."""
        self._number += 1
        ray.get(self._mailbox.post.remote(self._number, order))
        pending = self._mailbox.result.remote(self._number)
        while True:
            ready, _ = ray.wait([pending], timeout=1.0)
            if ready:
                break
            if not self.alive:
                raise RunFailed(Failure("WorkerGroupEnded", str(self._error or "the workers are gone"), ""))
        result = ray.get(pending)
        if isinstance(result, Failure):
            if self._size.workers > 1:
                self._thread.join()
            raise RunFailed(result)
        return result

    def stop(self, timeout_seconds: float = 20.0) -> None:
        """End the workers and everything started for them."""
        if self.alive:
            self._number += 1
            ray.get(self._mailbox.post.remote(self._number, Stop()))
            self._thread.join(timeout_seconds)
        ray.kill(self._mailbox)
        self._storage.cleanup()

    def _fit(self) -> None:
        size = self._size
        resources: dict[str, float] = {"CPU": max(1, size.threads_per_worker)}
        if size.gpus_per_worker:
            resources["GPU"] = size.gpus_per_worker
        trainer = TorchTrainer(
            _work,
            train_loop_config={"mailbox": self._mailbox, "threads": size.threads_per_worker},
            scaling_config=ray.train.ScalingConfig(
                num_workers=size.workers, use_gpu=size.gpus_per_worker > 0, resources_per_worker=resources
            ),
            torch_config=TorchConfig(backend=size.backend),
            run_config=ray.train.RunConfig(
                name="worker_group",
                storage_path=self._storage.name,
                failure_config=ray.train.FailureConfig(max_failures=0),
            ),
        )
        try:
            trainer.fit()
        except BaseException as error:
            self._error = error


def _work(config: dict[str, Any]) -> None:
    """A worker: carry out orders until told to stop. Runs inside Ray Train."""
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
    """What stays on a worker between orders: the run in progress and the data loaded last."""

    def __init__(self, workers: Workers, device: torch.device) -> None:
        self._workers, self._device = workers, device
        self._run: Run | None = None
        self._loaded: tuple[Data, str, Loaded] | None = None

    def carry_out(self, order: Order) -> Any:
        if isinstance(order, Start):
            self.clear()
            data = self._data(order.task.data, order.data_dir)
            self._run = Run(
                order.task,
                order.recipe,
                data,
                order.batch_size,
                order.learning_rate,
                order.seed,
                self._workers,
                order.dtype,
            )
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
        """Let go of the run, and of the device memory it held."""
        self._run = None
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    def _data(self, data: Data, data_dir: str) -> Loaded:
        if self._loaded is None or self._loaded[:2] != (data, data_dir):
            self._loaded = None
            self._loaded = (data, data_dir, data.load(Path(data_dir)).to(self._device))
        return self._loaded[2]
