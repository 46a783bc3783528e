"""Points and settings of constructed outcomes."""

import pytest

from analysis.outcomes import Outcome, chosen_setting, points_of
from tests.analysis.constructed import LARGE


@pytest.mark.parametrize("status", ["failed", "out_of_memory"])
def test_a_run_that_was_not_finished_says_nothing_about_its_rate(status: str) -> None:
    assert points_of([Outcome(LARGE, 1.0, 1, status, 0.5, 0.5)], LARGE) == []


def test_a_group_is_measured_with_the_best_setting_of_seed_0() -> None:
    low, high = (("m", 0.5),), (("m", 0.9),)
    tried = [Outcome(LARGE, 1.0, 0, "done", score, 0.0, setting) for score, setting in ((0.8, low), (0.9, high))]
    measured = [Outcome(LARGE, 2.0, 1, "done", 0.7, 0.0, setting) for setting in (low, high)]
    assert chosen_setting([*tried, *measured], LARGE) == high
    known = points_of([*tried, *measured], LARGE)
    assert [(point.learning_rate, point.scores) for point in known] == [(1.0, (0.9,)), (2.0, (0.7,))]
