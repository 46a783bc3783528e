"""Verdicts on constructed outcomes."""

import math
from collections.abc import Callable

import pytest

from analysis.answer import why_it_stopped
from analysis.outcomes import Group, Outcome, chosen_setting, points_of, with_run
from analysis.verdict import (
    Reference,
    Spread,
    Standard,
    Verdict,
    find_baseline,
    margin,
    spread_between_seeds,
    verdicts,
)
from trainables.metric import Accuracy

SMALL, LARGE = Group("t", 32), Group("t", 1024)


def floored(samples: int) -> Callable[[float], float]:
    return lambda score: Accuracy().floor(score, samples)


def done(group: Group, rate: float, score: float, seed: int = 1, train: float | None = None) -> Outcome:
    return Outcome(group, rate, seed, "done", score, score if train is None else train)


def diverged(group: Group, rate: float, seed: int = 1) -> Outcome:
    return Outcome(group, rate, seed, "diverged", 0.1, 0.1)


BASELINE = [done(SMALL, 0.1, 0.93, seed=0), *(done(SMALL, 0.1, a, s) for s, a in ((1, 0.90), (2, 0.91), (3, 0.92)))]


def test_the_baseline_is_measured_by_seeds_that_did_not_tune() -> None:
    found = find_baseline([*BASELINE, done(SMALL, 0.2, 0.95, seed=4), done(SMALL, 0.05, 0.89, seed=0)], SMALL)
    assert found.learning_rate == 0.1
    assert found.reference == Reference(pytest.approx(0.91), 3)


def spread(deviation: float, freedom: int) -> Spread:
    return Spread(deviation**2 * freedom, freedom, floor=0.0)


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


@pytest.mark.parametrize("status", ["failed", "out_of_memory"])
def test_a_run_that_was_not_finished_says_nothing_about_its_rate(status: str) -> None:
    assert points_of([Outcome(LARGE, 1.0, 1, status, 0.5, 0.5)], LARGE) == []


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


def test_a_group_is_measured_with_the_best_setting_of_seed_0() -> None:
    low, high = (("m", 0.5),), (("m", 0.9),)
    tried = [Outcome(LARGE, 1.0, 0, "done", score, 0.0, setting) for score, setting in ((0.8, low), (0.9, high))]
    measured = [Outcome(LARGE, 2.0, 1, "done", 0.7, 0.0, setting) for setting in (low, high)]
    assert chosen_setting([*tried, *measured], LARGE) == high
    known = points_of([*tried, *measured], LARGE)
    assert [(point.learning_rate, point.scores) for point in known] == [(1.0, (0.9,)), (2.0, (0.7,))]


def test_with_run_adds_to_a_point_or_makes_one() -> None:
    known = points_of([done(LARGE, 1.0, 0.9), done(LARGE, 4.0, 0.2)], LARGE)
    assert [point.scores for point in with_run(known, 1.0, 0.8, False)] == [(0.9, 0.8), (0.2,)]
    assert [point.learning_rate for point in with_run(known, 2.0, 0.8, True)] == [1.0, 2.0, 4.0]


def test_a_baseline_that_diverges_is_known() -> None:
    assert not find_baseline(BASELINE, SMALL).diverged
    assert find_baseline([*BASELINE, diverged(SMALL, 0.1, seed=4)], SMALL).diverged
    assert find_baseline([diverged(SMALL, 0.1, seed=0)], SMALL).diverged


@pytest.mark.parametrize(
    ("runs", "why"),
    [
        ([done(LARGE, 1.0, 0.80, train=0.80)], "optimisation gap"),
        ([done(LARGE, 1.0, 0.80, train=0.95)], "generalisation gap"),
        ([diverged(LARGE, 1.0)], "diverged"),
        ([Outcome(LARGE, 1.0, 1, "out_of_memory", 0.1, 0.1)], "out of memory"),
        ([done(LARGE, 1.0, 0.92)], ""),
        ([], ""),
    ],
)
def test_why_a_batch_size_stopped_scaling(runs: list[Outcome], why: str) -> None:
    outcomes = [*BASELINE, *runs]
    assert why_it_stopped(outcomes, LARGE, Standard(find_baseline(outcomes, SMALL), spread(0.001, 10)), 0.01) == why
