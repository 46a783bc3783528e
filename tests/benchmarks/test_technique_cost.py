"""The costs of techniques and of the exchange run at toy size and name their ratios."""

import pytest

from benchmarks.technique_cost import PAIRS
from tests.benchmarks.command import run_quick

pytestmark = pytest.mark.slow


def test_technique_cost() -> None:
    printed, found = run_quick("technique_cost")
    assert set(found["ratios"]) == set(PAIRS)
    assert all(0.05 < ratio < 50 for ratio in found["ratios"].values())
    assert all(len(seconds) == 3 for seconds in found["raw"].values())
    assert all(name in printed for name in PAIRS)


def test_exchange() -> None:
    _, found = run_quick("exchange")
    assert 0.05 < found["ratios"]["exchange_vs_ddp"] < 50
    assert {len(seconds) for seconds in found["raw"].values()} == {3}
