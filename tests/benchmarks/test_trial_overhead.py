"""Each benchmark runs at toy size and prints what it says."""

import pytest

from tests.benchmarks.command import run_quick


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_trial_overhead() -> None:
    printed, found = run_quick("trial_overhead")
    assert set(found) == {"ratios", "raw", "machine"}
    assert found["ratios"]["trial_overhead"] > 1
    assert "left behind: {'actors': [], 'placement_groups': []}" in printed
