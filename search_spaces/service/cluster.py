"""The Ray cluster that a study runs on, and what fits into it.

A cluster whose address is given is joined. Otherwise a cluster is embedded in this process.
"""

import logging
import math
import os
import re
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import Enum, auto

import psutil
import ray
from ray._private import ray_constants
from ray._private.ray_logging import stdout_deduplicator

from search_spaces.service.growth import machines, total
from trainables.errors import UserError, first_line, require
from trainables.on_ray.worker_group import GroupSize

MOST_CONCURRENT_TRIALS = 4
"""The most trials that run at a time by default where there is no GPU."""

KNOCK_SECONDS = 5.0
"""How long a connection to the address of a cluster may take."""

LOSSES = re.compile("A worker died or was killed|has been marked dead")
"""What Ray says, at length, of lost processes and nodes. The display says it in a line."""

_HELPER_CPUS = 2
"""The logical CPUs that an embedded cluster declares for trials and Ray Train's helpers, besides the workers' CPUs."""


@dataclass(frozen=True)
class Capacity:
    """What a cluster has, or can grow to.

    Attributes:
        cpus, gpus: the number of logical CPUs and GPUs.
        node_cpus: the logical CPUs of the smallest node that has any. A worker runs on a single node.
        address: the address of the cluster that was joined; None where a cluster will be embedded.
    """

    cpus: int
    gpus: float
    node_cpus: int
    address: str | None

    @property
    def description(self) -> str:
        """The capacity in one line, for the preview."""
        where = f"joined at {self.address}" if self.address else "embedded in this process"
        return f"{where} ({self.cpus} CPUs, {self.gpus:g} GPUs)"


@dataclass
class _Connection:
    """What this module did to connect this process to Ray.

    Attributes:
        ours: whether this module made the connection, so that it may end it.
        embedded_cpus: the logical CPUs that the embedded cluster declares; 0 where no cluster is embedded.
    """

    ours: bool = False
    embedded_cpus: int = 0


_connection = _Connection()


def find_capacity(address: str | None = None) -> Capacity:
    """Join the cluster at an address, or count this machine's processors without starting anything yet.

    Where this process is already connected to a Ray cluster, that cluster is used.

    Args:
        address: the address of a running cluster, such as "auto" or "10.0.0.1:6379", or "local" to embed one. The
            default is the address in the environment variable RAY_ADDRESS, or "local" where that is not set.

    Raises:
        UserError: no cluster answers at the address.
    """
    with suppress(AttributeError):  # Ray has no public way to silence it
        stdout_deduplicator.skip_re = LOSSES
    where = address or os.environ.get("RAY_ADDRESS") or "local"
    if not ray.is_initialized():
        _connection.ours, _connection.embedded_cpus = False, 0  # someone else may have ended it
    if _connection.embedded_cpus or (where == "local" and not ray.is_initialized()):
        import torch

        cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return Capacity(cpus, torch.cuda.device_count(), cpus, None)
    if not ray.is_initialized():
        _join(where, "cluster" if address else "RAY_ADDRESS")
    found = machines()
    of_each = [int(each.get("CPU", 0)) for each in (*found.now, *found.later)]
    smallest = min(filter(None, of_each), default=1)
    return Capacity(int(found.most("CPU")), found.most("GPU"), smallest, ray.get_runtime_context().gcs_address)


def _join(address: str, name: str) -> None:
    """Connect to a running cluster.

    Raises:
        UserError: no cluster answers at the address, or the cluster refuses this process.
    """
    _knock(address, name)
    try:
        with _own_signals():
            ray.init(address=address, logging_level=logging.WARNING, log_to_driver=False)
    except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        raise UserError(
            f"{name} {address}: this Ray cluster cannot be joined ({first_line(error)}); a cluster that asks for "
            "a token needs RAY_AUTH_MODE=token and the token in ~/.ray/auth_token"
        ) from error
    _connection.ours = True


def _knock(address: str, name: str) -> None:
    """Refuse at once an address of host and port where nothing listens; Ray itself waits for minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon or not port.isdigit() or "/" in host:
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), KNOCK_SECONDS).close()
    except OSError as error:
        reason = error.strerror or f"no answer within {KNOCK_SECONDS:g} s"
        raise UserError(f"{name} {address}: no Ray cluster answers there ({reason})") from error


@contextmanager
def _own_signals() -> Iterator[None]:
    """Inside, Ray may set signal handlers; afterwards those of this process are back."""
    numbers = (signal.SIGINT, signal.SIGTERM) if threading.current_thread() is threading.main_thread() else ()
    handlers = {number: signal.getsignal(number) for number in numbers}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


@contextmanager
def _all_or_nothing() -> Iterator[None]:
    """Where what is inside is interrupted, end every process that it started, and every process that those started.

    Ray itself ends only the former, and some of the latter go on for a minute.
    """
    this = psutil.Process()
    before = this.children(recursive=True)
    try:
        yield
    except BaseException:
        for process in this.children(recursive=True):
            if process not in before:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
        raise


@contextmanager
def _on_loopback() -> Iterator[None]:
    """Inside, Ray starts processes that listen on this machine's loopback only.

    Ray does so by itself on macOS and Windows, where it makes no cluster of several machines unless it is told to.
    """
    name = ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR
    told, default = os.environ.get(name), ray_constants.ENABLE_RAY_CLUSTER
    os.environ[name], ray_constants.ENABLE_RAY_CLUSTER = "0", False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = default
        if told is None:
            del os.environ[name]
        else:
            os.environ[name] = told


@dataclass(frozen=True)
class Allotment:
    """How a study uses its cluster.

    Attributes:
        size: the size of each worker group.
        concurrent_trials: how many trials, each with a worker group, run at a time.
        groups: how many groups of that size the whole cluster has room for.
    """

    size: GroupSize
    concurrent_trials: int
    groups: int


def allot(
    capacity: Capacity, workers: int, concurrent_trials: int | None, gpus_per_worker: float | None, most_runs: int
) -> Allotment:
    """Divide a cluster among trials. An argument that is None is chosen to make use of the cluster.

    Raises:
        UserError: more is asked for than the cluster can hold; the message shows the arithmetic.
    """
    require(workers >= 1, f"workers {workers}: must be at least 1")
    require(
        concurrent_trials is None or concurrent_trials >= 1,
        f"concurrent trials {concurrent_trials}: must be at least 1",
    )
    finite = gpus_per_worker is None or 0 <= gpus_per_worker < math.inf
    require(finite, f"GPUs per worker {gpus_per_worker}: must be at least 0, and finite")
    gpus = gpus_per_worker if gpus_per_worker is not None else (1.0 if capacity.gpus else 0.0)
    require(gpus <= 1 or gpus == int(gpus), f"GPUs per worker {gpus:g}: must be a whole number or a fraction below 1")
    seats = capacity.cpus
    if gpus:
        seats = min(seats, int(capacity.gpus // gpus) if gpus >= 1 else int(capacity.gpus) * int(1 / gpus + 1e-9))
    fit = seats // workers
    trials = concurrent_trials or max(1, min(fit, most_runs, fit if gpus else MOST_CONCURRENT_TRIALS))
    asked = trials * workers
    trials_words = f"{trials} concurrent trial{'s' * (trials > 1)} x {workers} worker{'s' * (workers > 1)}"
    require(
        asked <= capacity.cpus,
        f"workers {workers}: {trials_words} x 1 CPU = {asked} CPUs asked, {capacity.cpus} available",
    )
    require(
        asked * gpus <= capacity.gpus + 1e-9,
        f"GPUs per worker {gpus:g}: {trials_words} x {gpus:g} = {asked * gpus:g} GPUs asked, "
        f"{capacity.gpus:g} available",
    )
    spare = 1 if capacity.address else 0  # an embedded cluster declares its own spare CPUs
    threads = 1 if gpus else max(1, min((capacity.cpus - spare) // asked, capacity.node_cpus))
    return Allotment(GroupSize(workers, gpus, threads), trials, min(fit, capacity.cpus // (workers * threads)))


def start(capacity: Capacity, allotment: Allotment) -> None:
    """Embed a cluster with room for the allotment, unless a cluster was joined or the embedded one has the room.

    Raises:
        UserError: Ray does not start.
    """
    os.environ.setdefault("RAY_TRAIN_METRICS_ENABLED", "0")
    if capacity.address is not None:
        return
    os.environ.setdefault("RAY_TRAIN_ENABLE_PREEMPTION_WATCHER", "0")
    size = allotment.size
    cpus = allotment.concurrent_trials * size.workers * size.threads_per_worker + _HELPER_CPUS
    if _connection.embedded_cpus >= cpus:
        return
    stop()
    os.environ.setdefault("RAY_worker_maximum_startup_concurrency", "8")  # fewer, and Ray warns on the terminal
    for last in (False, True):
        try:
            with _own_signals(), _all_or_nothing(), _on_loopback():
                ray.init(
                    address="local",
                    num_cpus=cpus,
                    num_gpus=int(capacity.gpus),
                    include_dashboard=False,
                    log_to_driver=False,
                    logging_level=logging.ERROR,
                )
            break
        except Exception as error:  # Ray raises bare ones, also where a busy machine takes longer than Ray waits
            ray.shutdown()
            if last:
                raise UserError(f"Ray does not start ({first_line(error)})") from error
    _connection.ours, _connection.embedded_cpus = True, cpus


class Room(Enum):
    """When a cluster has the CPUs and GPUs of a worker group: now, once it has grown, or never."""

    NOW = auto()
    LATER = auto()
    NEVER = auto()


def room_for(size: GroupSize) -> Room:
    """When the cluster has the CPUs and GPUs of a worker group, whether or not others use them."""
    needed = {"CPU": size.workers * size.threads_per_worker, "GPU": size.workers * size.gpus_per_worker}
    found = machines()
    if all(total(found.now, name) + 1e-9 >= number for name, number in needed.items()):
        return Room.NOW
    return Room.LATER if all(found.most(name) + 1e-9 >= number for name, number in needed.items()) else Room.NEVER


def stop() -> None:
    """End an embedded cluster and everything in it, or leave a cluster that this module joined.

    Leaving a cluster ends what this process started there. A connection that this module did not make is left as it is.
    """
    if _connection.ours:
        ray.shutdown()
    _connection.ours, _connection.embedded_cpus = False, 0


def trial_resources() -> dict[str, float]:
    """What a trial's own actor reserves: one byte of memory.

    The actor only waits. If it reserved a CPU, its workers might not find enough CPUs to start. Its worker group
    reserves the rest.
    """
    return {"memory": 1}
