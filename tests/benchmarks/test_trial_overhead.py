"""Each benchmark runs at toy size and prints what it says."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_trial_overhead() -> None:
    command = [sys.executable, "-m", "benchmarks.trial_overhead", "--quick", "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert set(found) == {"ratios", "raw", "machine"}
    assert found["ratios"]["trial_overhead"] > 1
    assert "left behind: {'actors': [], 'placement_groups': []}" in done.stdout
