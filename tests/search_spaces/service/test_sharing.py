"""Two studies on one cluster."""

import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import mlflow
import pytest
from ray.cluster_utils import Cluster

from search_spaces.policy.plan import NoProposal, Proposal
from search_spaces.service import sharing
from search_spaces.service.cluster import Allotment
from search_spaces.service.ray_tune import ProposerSearch
from search_spaces.service.sharing import Part
from tests.search_spaces.place import Place
from trainables.metric import Accuracy
from trainables.on_ray.worker_group import GroupSize

STUDY = ("--batch-sizes", "16,64", "--seeds", "2", "--resolution", "1.1")


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many studies there are; a test changes it."""
    number = [1]
    monkeypatch.setattr(sharing, "studies_here", lambda: number[0])
    monkeypatch.setattr(sharing, "LOOK_SECONDS", -1.0)
    return number


def test_each_study_gets_its_part_and_is_told_of_changes(there: list[int]) -> None:
    told: list[tuple[int, int]] = []
    part = Part(Allotment(GroupSize(), 6, 8), lambda *words: told.append(words))
    modest = Part(Allotment(GroupSize(), 2, 8), lambda *words: None)
    found = []
    for there[0] in (1, 2, 3, 9, 1):
        found.append((part.trials(), modest.trials()))
    assert found == [(6, 2), (4, 2), (2, 2), (1, 1), (6, 2)]
    assert told == [(2, 4), (3, 2), (9, 1), (1, 6)]


def test_groups_beyond_the_part_do_not_wait_for_a_run(there: list[int]) -> None:
    part = Part(Allotment(GroupSize(), 4, 4), lambda *words: None)
    assert [part.waiting_groups(running) for running in range(5)] == [4, 3, 2, 1, 0]
    there[0] = 2
    assert [part.waiting_groups(running) for running in range(5)] == [2, 1, 0, 0, 0]
    there[0] = 5
    assert part.waiting_groups(0) == 0, "more studies than groups take turns"


class _Endless:
    def ask(self) -> tuple[SimpleNamespace, Proposal] | NoProposal:
        return SimpleNamespace(_trial_id=1), Proposal(("t", 16), 0.1, 0)

    def tell(self, *what: object) -> None:
        """Nothing is learned."""


def test_no_run_starts_beyond_the_part(there: list[int]) -> None:
    part = Part(Allotment(GroupSize(), 4, 4), lambda *words: None)
    searcher = ProposerSearch(_Endless(), Accuracy(), print, part)
    assert all(searcher.suggest(str(number)) for number in range(4))
    assert searcher.suggest("more") is None
    there[0] = 2
    for number in range(2):
        assert searcher.suggest("more") is None
        searcher.on_trial_complete(str(number), error=True)
    assert searcher.suggest("more") is None
    searcher.on_trial_complete("2", error=True)
    assert searcher.suggest("more")


@pytest.fixture
def two_cpus() -> Iterator[str]:
    """The address of a cluster that other processes can join."""
    with tempfile.TemporaryDirectory(prefix="bs-", dir="/tmp", ignore_cleanup_errors=True) as folder:  # short for Ray
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "temp_dir": folder})
        try:
            yield cluster.address
        finally:
            cluster.shutdown()


def ends(place: Place) -> list[int]:
    """When each run of a study has ended, in milliseconds."""
    client = mlflow.MlflowClient(f"sqlite:///{place.folder / 'mlflow.db'}")
    runs = client.search_runs([client.get_experiment_by_name("digits_cnn").experiment_id])
    return [run.info.end_time for run in runs if "mlflow.parentRunId" in run.data.tags and run.info.end_time]


@pytest.mark.slow
def test_two_studies_share_a_cluster(two_cpus: str, tmp_path: Path) -> None:
    """The first one has all of it until the second one comes, each then has one half, and at last it has all again."""
    places = [Place(tmp_path / name) for name in ("first", "second")]
    processes = []
    try:
        for place, runs in zip(places, ("500", "7"), strict=True):
            place.folder.mkdir()
            processes.append(place.start(*STUDY, "--max-runs", runs, RAY_ADDRESS=two_cpus))
            if place is places[0]:
                until(processes[0], "[2/500]")
        first, second = processes
        told, _ = second.communicate(timeout=500)
        assert second.returncode == 0, told
        assert "1 other study uses the cluster; at most 1 trial at a time runs here." in told
        until(first, "1 other study uses the cluster; at most 1 trial at a time runs here.")
        until(first, "No other study uses the cluster; at most 2 trials at a time run here.")
        first.send_signal(signal.SIGINT)
        first.communicate(timeout=60)
        assert first.returncode == 130
    finally:
        for process in processes:
            process.kill()
    of_first, of_second = map(ends, places)
    assert len(of_second) == 7
    assert any(min(of_second) < end < max(of_second) for end in of_first), "both went on"


def until(process: "subprocess.Popen[str]", words: str) -> None:
    """Read what a study prints until it prints these words."""
    assert process.stdout is not None
    read = ""
    for line in process.stdout:
        read += line
        if words in line:
            return
    raise AssertionError(read)
