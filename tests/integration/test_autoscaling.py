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


def test_machines_start_from_none_and_spot_machines_first(tmp_path: Path) -> None:
    with machines(tmp_path, 1) as (only,):
        there = f"source {sys.prefix}/bin/activate; cd {ROOT}; RESULTS=/tmp/grown python -m tests.integration.grow"
        done = on(tmp_path, only, there, check=False)
    assert done.returncode == 0, done.stdout
    assert "(8 CPUs, 0 GPUs)" in done.stdout, "what the cluster can grow to"
    assert "[7/7]" in done.stdout
    status = done.stdout.partition("Autoscaler status")[2]
    assert set(re.findall(r"\d+ (\w*worker)\s*$", status, re.MULTILINE)) == {"spot_worker"}, status
