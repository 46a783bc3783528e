"""Two studies on one cluster."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from ray.cluster_utils import Cluster

from analysis.runs import load_runs
from search_spaces.service import sharing
from search_spaces.service.cluster import Allotment
from search_spaces.service.sharing import Part
from tests.search_spaces.place import Place
from trainables.on_ray.worker_group import GroupSize

STUDY = ("--batch-sizes", "16,64", "--max-runs", "16", "--seeds", "2", "--resolution", "1.1")


def test_each_study_gets_its_part_and_a_change_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    here, said = 1, []
    monkeypatch.setattr(sharing, "studies", lambda: here)
    monkeypatch.setattr(sharing, "LOOK_SECONDS", -1.0)
    part, modest = Part(Allotment(GroupSize(), 6, 8), said.append), Part(Allotment(GroupSize(), 2, 8), said.append)
    found = []
    for here in (1, 2, 3, 9, 1):  # noqa: B007
        found.append((part(), modest()))
    assert found == [(6, 2), (4, 2), (2, 2), (1, 1), (6, 2)]
    assert said[0] == "The cluster is used by 1 other study: at most 4 at a time here."
    assert said[-2] == "The cluster is used by no other study: at most 6 at a time here."
    assert len(said) == 8


@pytest.fixture
def four_cpus() -> Iterator[str]:
    """The address of a cluster that other processes can join."""
    with tempfile.TemporaryDirectory(prefix="bs-", dir="/tmp") as folder:  # Ray's sockets need a short path
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 4, "temp_dir": folder})
        try:
            yield cluster.address
        finally:
            cluster.shutdown()


@pytest.mark.slow
def test_two_studies_share_a_cluster(four_cpus: str, tmp_path: Path) -> None:
    """The first one has all of it until the second one comes, and each then has one half."""
    places = [Place(tmp_path / name) for name in ("first", "second")]
    for place in places:
        place.folder.mkdir()
    first = places[0].start(*STUDY, RAY_ADDRESS=four_cpus)
    assert first.stdout is not None
    before = []
    for line in first.stdout:
        before.append(line)
        if "[1/16]" in line:
            break
    second = places[1].start(*STUDY, RAY_ADDRESS=four_cpus)
    told = ["".join(before), ""]
    for which, process in ((1, second), (0, first)):
        out, err = process.communicate(timeout=500)
        told[which] += out
        assert process.returncode == 0, told[which] + err
    assert all("used by 1 other study: at most 2 at a time here" in each for each in told), told
    frames = [load_runs("digits_cnn", f"sqlite:///{place.folder / 'mlflow.db'}").frame for place in places]
    assert [len(frame) for frame in frames] == [16, 16]
