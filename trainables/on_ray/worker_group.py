"""A long-lived Ray Train run whose workers execute trials one after another.

Starting a data-parallel group takes 20 to 50 s and eight processes, but a trial's own work may take one second. So a
group is started once and kept for many trials. Its workers repeat three steps: they take an order, carry it out
together and return the result. Orders and results have numbers and travel through one small actor. They do not travel
through train.report, which delivers at most one report every two seconds.
"""

import math
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import ray
import ray.train
from ray.exceptions import RayError
from ray.train.torch import TorchConfig

from trainables.on_ray.mailbox import Mailbox
from trainables.on_ray.orders import Failure, Order, RunFailed, Start, Stop, WorkersLost
from trainables.on_ray.orphans import WithoutCleaner, remove_orphans
from trainables.on_ray.worker import work


@dataclass(frozen=True)
class GroupSize:
    """The resources of one worker group.

    Attributes:
        workers: number of data-parallel workers.
        gpus_per_worker: number of GPUs of each worker, 0 to train on CPUs; with a fraction, workers share a GPU.
        threads_per_worker: number of torch threads of each worker, which also reserves so many logical CPUs, at least
            1.
    """

    workers: int = 1
    gpus_per_worker: float = 0.0
    threads_per_worker: int = 1

    @property
    def backend(self) -> str:
        """The backend of torch.distributed. NCCL needs a whole GPU per worker; otherwise gloo is used."""
        return "nccl" if self.gpus_per_worker >= 1 else "gloo"


class WorkerGroup:
    """A running worker group, which carries out orders.

    Args:
        size: the number of workers and the resources of each.

    A group of one worker goes on when the run that it trains raises. A larger group ends, because its other workers may
    wait for the one that failed; `alive` is then False.
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

    def execute(self, order: Order, patience_seconds: float = math.inf) -> Any:
        """Let the workers carry out an order together, and return its result.

        Raises:
            RunFailed: a worker raised an exception.
            WorkersLost: the workers have ended, or have not answered within so many seconds. The group is of no use
                any more, and must be abandoned.
        """
        self._number += 1
        try:
            result = self._answer(order, time.monotonic() + patience_seconds)
        except RayError as error:
            raise WorkersLost(f"the mailbox of the workers is gone ({type(error).__name__})") from error
        if isinstance(result, Failure):
            if self._size.workers > 1:
                self._thread.join()
                if _some_died(self._error):  # and the others failed because of it
                    raise WorkersLost("a worker has ended")
            raise RunFailed(result)
        return result

    def _answer(self, order: Order, latest: float) -> Any:
        ray.get(self._mailbox.post.remote(self._number, order))
        pending = self._mailbox.result.remote(self._number)
        while not ray.wait([pending], timeout=1.0)[0]:
            if not self.alive:
                raise WorkersLost("the workers have ended")
            if time.monotonic() > latest:
                raise WorkersLost("the workers do not answer")
            if isinstance(order, Start):  # new workers may wait for what lost ones hold
                remove_orphans()
        return ray.get(pending)

    def stop(self, timeout_seconds: float = 20.0) -> None:
        """End the workers and everything started for them."""
        if self.alive:
            self._number += 1
            with suppress(RayError):
                ray.get(self._mailbox.post.remote(self._number, Stop()))
                self._thread.join(timeout_seconds)
        self.abandon()

    def abandon(self, timeout_seconds: float = 20.0) -> None:
        """End what is left of a group whose workers do not answer."""
        if self.alive:
            with suppress(RayError):
                for worker in ray.get(self._mailbox.enlisted.remote(), timeout=timeout_seconds):
                    ray.kill(worker)
        ray.kill(self._mailbox)
        self._thread.join(timeout_seconds)
        self._storage.cleanup()

    def _fit(self) -> None:
        size = self._size
        resources: dict[str, float] = {"CPU": max(1, size.threads_per_worker)}
        if size.gpus_per_worker:
            resources["GPU"] = size.gpus_per_worker
        trainer = WithoutCleaner(
            work,
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


def _some_died(error: BaseException | None) -> bool:
    """Whether a group ended because a worker's process did, and not because of an exception in it."""
    failures = getattr(error, "worker_failures", {}).values()
    return any(hasattr(failure, "health_check_failure") for failure in failures)
