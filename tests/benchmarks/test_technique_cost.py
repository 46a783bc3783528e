"""The technique costs run at toy size and name their ratios."""

from benchmarks.technique_cost import PAIRS
from tests.benchmarks.command import run_quick


def test_technique_cost() -> None:
    printed, found = run_quick("technique_cost")
    assert set(found["ratios"]) == set(PAIRS)
    assert all(0.05 < ratio < 50 for ratio in found["ratios"].values())
    assert all(len(seconds) == 3 for seconds in found["raw"].values())
    assert all(name in printed for name in PAIRS)
