"""The cluster: how it is divided, what is refused, and what is started, kept, ended or left as it is."""

import os
from collections.abc import Iterator

import psutil
import pytest
import ray
import torch

from search_spaces.service import cluster
from search_spaces.service.cluster import Allotment, Capacity, allot, find_capacity
from trainables.errors import UserError
from trainables.on_ray.worker_group import GroupSize

EIGHT = Capacity(cpus=8, gpus=0, node_cpus=8, address=None)
JOINED = Capacity(cpus=8, gpus=0, node_cpus=2, address="10.0.0.1:6379")
FOUR_GPUS = Capacity(cpus=16, gpus=4, node_cpus=16, address=None)


@pytest.mark.parametrize(
    ("capacity", "workers", "trials", "gpus", "most_runs", "expected"),
    [
        (EIGHT, 1, None, None, 100, Allotment(GroupSize(1, 0.0, 2), 4, 4)),
        (EIGHT, 2, None, None, 100, Allotment(GroupSize(2, 0.0, 1), 4, 4)),
        (EIGHT, 3, None, None, 100, Allotment(GroupSize(3, 0.0, 1), 2, 2)),
        (EIGHT, 1, None, None, 1, Allotment(GroupSize(1, 0.0, 8), 1, 1)),
        (EIGHT, 1, 8, None, 100, Allotment(GroupSize(1, 0.0, 1), 8, 8)),
        (JOINED, 1, 1, None, 100, Allotment(GroupSize(1, 0.0, 2), 1, 4)),  # a worker lives on one node
        (JOINED, 1, 4, None, 100, Allotment(GroupSize(1, 0.0, 1), 4, 8)),  # a CPU is kept for Ray's helpers
        (FOUR_GPUS, 1, None, None, 100, Allotment(GroupSize(1, 1.0, 1), 4, 4)),
        (FOUR_GPUS, 2, None, None, 100, Allotment(GroupSize(2, 1.0, 1), 2, 2)),
        (FOUR_GPUS, 1, None, 0.5, 100, Allotment(GroupSize(1, 0.5, 1), 8, 8)),
        (FOUR_GPUS, 1, None, 0.0, 100, Allotment(GroupSize(1, 0.0, 4), 4, 4)),
    ],
)
def test_a_cluster_is_divided_among_trials_so_that_it_is_used(
    capacity: Capacity, workers: int, trials: int | None, gpus: float | None, most_runs: int, expected: Allotment
) -> None:
    assert allot(capacity, workers, trials, gpus, most_runs) == expected


@pytest.mark.parametrize(
    ("workers", "trials", "gpus", "words"),
    [
        (0, None, None, "workers 0: must be at least 1"),
        (1, 0, None, "concurrent trials 0: must be at least 1"),
        (1, None, -1.0, "GPUs per worker -1.0: must be at least 0"),
        (1, None, 1.5, "GPUs per worker 1.5: must be a whole number or a fraction below 1"),
        (5, 4, None, "workers 5: 4 concurrent trials x 5 workers x 1 CPU = 20 CPUs asked, 16 available"),
        (17, None, None, "workers 17: 1 concurrent trial x 17 workers x 1 CPU = 17 CPUs asked, 16 available"),
        (2, 3, 1.0, "GPUs per worker 1: 3 concurrent trials x 2 workers x 1 = 6 GPUs asked, 4 available"),
        (1, 1, 5.0, "GPUs per worker 5: 1 concurrent trial x 1 worker x 5 = 5 GPUs asked, 4 available"),
    ],
)
def test_more_than_there_is_is_refused_with_the_arithmetic(
    workers: int, trials: int | None, gpus: float | None, words: str
) -> None:
    with pytest.raises(UserError) as caught:
        allot(FOUR_GPUS, workers, trials, gpus, 100)
    assert words in str(caught.value)


@pytest.fixture
def unconnected(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A process that is connected to no Ray, before the test and after it."""
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    for name in ("RAY_TRAIN_METRICS_ENABLED", "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER"):
        monkeypatch.setenv(name, "0")
    assert not ray.is_initialized()
    yield
    cluster.stop()
    ray.shutdown()


@pytest.mark.usefixtures("unconnected")
def test_this_machines_processors_are_counted_without_starting_anything() -> None:
    here = len(os.sched_getaffinity(0))
    for address in (None, "local"):
        assert find_capacity(address) == Capacity(here, torch.cuda.device_count(), here, None)
    assert not ray.is_initialized()


@pytest.mark.usefixtures("unconnected")
def test_an_address_at_which_no_cluster_can_be_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        UserError, match=r"^cluster nonsense: this Ray cluster cannot be joined \(.+\); a cluster that asks for a token"
    ):
        find_capacity("nonsense")
    monkeypatch.setenv("RAY_ADDRESS", "nonsense")
    with pytest.raises(
        UserError,
        match=r"^RAY_ADDRESS nonsense: this Ray cluster cannot be joined \(.+\); a cluster that asks for a token",
    ):
        find_capacity()


def address_now() -> str:
    return ray.get_runtime_context().gcs_address


@pytest.mark.slow
@pytest.mark.usefixtures("unconnected")
def test_an_embedded_cluster_is_kept_while_it_has_the_room_and_ends_when_told_to() -> None:
    capacity = find_capacity()
    cluster.start(capacity, Allotment(GroupSize(1), 2, 2))
    mine = {process.pid for process in psutil.Process().children(recursive=True)}
    listening = {each.laddr.ip for each in psutil.net_connections() if each.status == "LISTEN" and each.pid in mine}
    assert listening <= {"127.0.0.1", "::ffff:127.0.0.1"}, "nothing is open to the network"
    assert listening
    first, room = address_now(), ray.cluster_resources()["CPU"]
    assert room >= 2
    assert find_capacity() == find_capacity("local") == capacity, "what the machine has, not what is declared"
    cluster.start(capacity, Allotment(GroupSize(1), 1, 1))
    assert address_now() == first
    cluster.start(capacity, Allotment(GroupSize(2, threads_per_worker=2), 2, 2))
    assert address_now() != first
    assert ray.cluster_resources()["CPU"] >= 8
    cluster.stop()
    assert not ray.is_initialized()


@pytest.mark.usefixtures("unconnected")
def test_a_connection_that_was_there_before_is_used_and_left_as_it_is() -> None:
    ray.init(address="local", num_cpus=3, num_gpus=0, include_dashboard=False, log_to_driver=False)
    mine = address_now()
    capacity = find_capacity()
    assert capacity == Capacity(3, 0, 3, mine)
    assert capacity.description == f"joined at {mine} (3 CPUs, 0 GPUs)"
    cluster.start(capacity, Allotment(GroupSize(1), 3, 3))
    cluster.stop()
    assert ray.is_initialized()
    assert address_now() == mine


@pytest.mark.usefixtures("unconnected")
def test_a_start_of_ray_that_fails_is_tried_once_more(monkeypatch: pytest.MonkeyPatch) -> None:
    capacity, allotment, real, starts = Capacity(1, 0, 1, None), Allotment(GroupSize(1), 1, 1), ray.init, []

    def init(**options: object) -> None:
        starts.append(options)
        if len(starts) < 4:
            raise Exception("the node timed out")  # as Ray does
        real(**options)

    monkeypatch.setattr(ray, "init", init)
    with pytest.raises(UserError, match=r"^Ray does not start \(the node timed out\)$"):
        cluster.start(capacity, allotment)
    assert len(starts) == 2
    cluster.start(capacity, allotment)
    assert len(starts) == 4
    assert ray.is_initialized()
