"""A study makes its cluster grow from a head that trains nothing."""

import re
import sys
from pathlib import Path

import pytest

from tests.integration.machines import MISSING, machines, on

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(900),
    pytest.mark.skipif(bool(MISSING), reason=f"needs {', '.join(MISSING)}"),
]

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(("cloud", "kind"), [("Cloud", "worker_spot"), ("CloudWithoutSpot", "worker")])
def test_machines_start_from_none_and_are_spot_machines_where_there_are_some(
    tmp_path: Path, cloud: str, kind: str
) -> None:
    with machines(tmp_path, 1) as (only,):
        there = f"source {sys.prefix}/bin/activate; cd {ROOT}; export PYTHONPATH={ROOT}"
        done = on(tmp_path, only, f"{there}; python -m tests.integration.grow /tmp/grown {cloud}", check=False)
    assert done.returncode == 0, done.stdout
    assert "(8 CPUs, 0 GPUs)" in done.stdout, "what the cluster can grow to"
    assert "[7/7]" in done.stdout
    assert "Waiting for the cluster to grow" in done.stdout
    assert "The cluster has grown" in done.stdout
    machines_now = done.stdout.partition("Active:")[2].partition("Recent failures:")[0]
    assert set(re.findall(r"worker\w*", machines_now)) == {kind}, done.stdout
