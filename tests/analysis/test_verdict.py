"""Verdicts on constructed outcomes."""

import math
from collections.abc import Callable

import pytest

from analysis.outcomes import Outcome, points_of
from analysis.verdict import Reference, Spread, Verdict, find_baseline, margin, spread_between_seeds, verdicts
from tests.analysis.constructed import BASELINE, LARGE, SMALL, diverged, done, spread
from trainables.metric import Accuracy


def floored(samples: int) -> Callable[[float], float]:
    return lambda score: Accuracy().floor(score, samples)


def test_the_baseline_is_measured_by_seeds_that_did_not_tune() -> None:
    found = find_baseline([*BASELINE, done(SMALL, 0.2, 0.95, seed=4), done(SMALL, 0.05, 0.89, seed=0)], SMALL)
    assert found.learning_rate == 0.1
    assert found.reference == Reference(pytest.approx(0.91), 3)


def test_noise_pools_seeds_of_rates_that_reach_the_baseline() -> None:
    scattered = [done(LARGE, 3.0, 0.90, seed=1), done(LARGE, 3.0, 0.30, seed=2)]
    found = spread_between_seeds([*BASELINE, *scattered], find_baseline(BASELINE, SMALL), 0.01, floored(10**9))
    # deviations from 0.915: .015 -.015 -.005 .005 -> squares 5e-4 over 3 degrees of freedom
    assert (found.squares, found.freedom) == (pytest.approx(5e-4), 3)
    assert found.deviation == pytest.approx(math.sqrt(5e-4 / 3))


def test_a_point_that_falls_short_brings_its_own_scatter() -> None:
    quiet = Spread(2e-4, 2, floor=0.0)
    (scattered,) = points_of([done(LARGE, 3.0, 0.90, seed=1), done(LARGE, 3.0, 0.30, seed=2)], LARGE)
    (settled,) = points_of([done(LARGE, 3.0, 0.91)], LARGE)
    assert quiet.at(settled, -0.01) == (pytest.approx(0.01), 2)
    assert quiet.at(scattered, 0.3) == (pytest.approx(math.sqrt((2e-4 + 0.18) / 3)), 3)


def test_a_single_run_may_vary_by_a_share_of_what_it_falls_short_by() -> None:
    (single,) = points_of([done(LARGE, 3.0, 0.60)], LARGE)
    assert Spread(2e-4, 2, floor=0.0).at(single, 0.3) == (pytest.approx(0.3 * 0.3), 2)


def test_noise_has_the_floor_of_the_evaluation_set() -> None:
    found = spread_between_seeds(BASELINE, find_baseline(BASELINE, SMALL), 0.01, floored(100))
    floor = math.sqrt(0.91 * 0.09 / 100)
    assert found.floor == found.deviation == pytest.approx(floor)
    perfect = [done(SMALL, 0.1, 1.0, seed) for seed in range(4)]
    assert spread_between_seeds(perfect, find_baseline(perfect, SMALL), 0.01, floored(100)).floor > 0, (
        "three perfect runs are not certainty"
    )
    assert Spread(0.0, 0, floor).at(points_of(BASELINE, SMALL)[0], -0.01) == (floor, math.inf)


def test_a_margin_has_students_bounds() -> None:
    (point,) = points_of([done(LARGE, 0.5, 0.92)], LARGE)
    found = margin(point, Reference(0.91, 3), tolerance=0.01, spread=spread(0.01, 2))
    reach = 2.919986 * 0.01 * math.sqrt(1 + 1 / 3)
    assert found.value == pytest.approx(0.02)
    assert (found.lower, found.upper) == (pytest.approx(0.02 - reach), pytest.approx(0.02 + reach))


@pytest.mark.parametrize(
    ("score", "expected"), [(0.95, Verdict.HOLDS), (0.905, Verdict.UNDECIDED), (0.85, Verdict.FAILS)]
)
def test_verdicts(score: float, expected: Verdict) -> None:
    found = verdicts(points_of([done(LARGE, 0.5, score)], LARGE), Reference(0.91, 3), 0.01, spread(0.01, 10))
    assert found == {0.5: expected}


def test_another_seed_narrows_a_margin() -> None:
    one = points_of([done(LARGE, 0.5, 0.92)], LARGE)[0]
    two = points_of([done(LARGE, 0.5, 0.92), done(LARGE, 0.5, 0.92, seed=2)], LARGE)[0]
    bounds = [margin(point, Reference(0.91, 3), 0.01, spread(0.01, 5)).lower for point in (one, two)]
    assert bounds[0] < bounds[1]


def test_a_diverged_run_fails_with_the_score_of_chance() -> None:
    (point,) = points_of([diverged(LARGE, 3.0)], LARGE)
    assert (point.score, point.diverged) == (0.1, 1)
    assert verdicts([point], Reference(0.91, 3), 0.01, spread(0.01, 5)) == {3.0: Verdict.FAILS}


def test_one_divergence_fails_a_rate_however_well_its_other_runs_ended() -> None:
    (point,) = points_of([done(LARGE, 3.0, 0.93), done(LARGE, 3.0, 0.93, seed=2), diverged(LARGE, 3.0, seed=3)], LARGE)
    found = margin(point, Reference(0.91, 3), 0.01, spread(0.01, 5))
    assert (found.verdict, found.holds(0.0)) == (Verdict.FAILS, 0.0)


def test_a_run_given_up_as_futile_fails_and_one_stopped_by_asha_says_nothing() -> None:
    stopped = [Outcome(LARGE, 1.0, seed, "stopped_early", 0.5, 0.5) for seed in (0, 1)]
    (point,) = points_of(stopped, LARGE)
    assert (point.seeds, point.futile) == ((1,), 1)
    assert verdicts([point], Reference(0.91, 3), 0.01, spread(0.01, 5)) == {1.0: Verdict.FAILS}


def test_the_probability_of_holding_is_students() -> None:
    (point,) = points_of([done(LARGE, 0.5, 0.92)], LARGE)
    found = margin(point, Reference(0.91, 3), 0.01, spread(0.01, 2))
    assert found.holds(0.0) == pytest.approx(0.908248)  # t = 2 with 2 degrees of freedom: 1/2 + sqrt(1/6)
    assert found.holds(0.02) == pytest.approx(0.5)


def test_a_baseline_that_diverges_is_known() -> None:
    assert not find_baseline(BASELINE, SMALL).diverged
    assert find_baseline([*BASELINE, diverged(SMALL, 0.1, seed=4)], SMALL).diverged
    assert find_baseline([diverged(SMALL, 0.1, seed=0)], SMALL).diverged
