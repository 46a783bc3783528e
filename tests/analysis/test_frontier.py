"""Verdicts and edges on constructed outcomes."""

import math

import pytest

from analysis.frontier import (
    Group,
    Noise,
    Outcome,
    Reference,
    Verdict,
    baseline,
    competitive_verdicts,
    edge,
    margin,
    noise,
    points,
    verdicts,
    why_it_stopped,
)

SMALL, LARGE = Group("t", 32), Group("t", 1024)
LIMITS = (0.01, 10.0)


def done(group: Group, rate: float, accuracy: float, seed: int = 1, train: float | None = None) -> Outcome:
    return Outcome(group, rate, seed, "done", accuracy, accuracy if train is None else train)


def diverged(group: Group, rate: float, seed: int = 1) -> Outcome:
    return Outcome(group, rate, seed, "diverged", 0.1, 0.1)


BASELINE = [done(SMALL, 0.1, 0.93, seed=0), *(done(SMALL, 0.1, a, s) for s, a in ((1, 0.90), (2, 0.91), (3, 0.92)))]


def test_the_baseline_is_measured_by_seeds_that_did_not_tune() -> None:
    found = baseline([*BASELINE, done(SMALL, 0.2, 0.95, seed=4), done(SMALL, 0.05, 0.89, seed=0)], SMALL)
    assert found.learning_rate == 0.1
    assert found.reference == Reference(pytest.approx(0.91), 3)


def spread(deviation: float, freedom: int) -> Noise:
    return Noise(deviation**2 * freedom, freedom, floor=0.0, pooled_from=0.0)


def test_noise_pools_seeds_of_rates_that_reach_the_baseline() -> None:
    scattered = [done(LARGE, 3.0, 0.90, seed=1), done(LARGE, 3.0, 0.30, seed=2)]
    found = noise([*BASELINE, *scattered], baseline(BASELINE, SMALL), 0.01, 10**9)
    # deviations from 0.915: .015 -.015 -.005 .005 -> squares 5e-4 over 3 degrees of freedom
    assert (found.squares, found.freedom) == (pytest.approx(5e-4), 3)
    assert found.deviation == pytest.approx(math.sqrt(5e-4 / 3))


def test_a_point_outside_the_pool_brings_its_own_scatter() -> None:
    quiet = Noise(2e-4, 2, floor=0.0, pooled_from=0.9)
    (scattered,) = points([done(LARGE, 3.0, 0.90, seed=1), done(LARGE, 3.0, 0.30, seed=2)], LARGE)
    (single,) = points([done(LARGE, 3.0, 0.60)], LARGE)
    assert quiet.reach(single) == pytest.approx(2.919986 * 0.01)
    assert quiet.reach(scattered) == pytest.approx(2.353363 * math.sqrt((2e-4 + 0.18) / 3))


def test_noise_has_the_floor_of_the_evaluation_set() -> None:
    found = noise(BASELINE, baseline(BASELINE, SMALL), 0.01, 100)
    floor = math.sqrt(0.91 * 0.09 / 100)
    assert found.floor == found.deviation == pytest.approx(floor)
    assert Noise(0.0, 0, floor, 0.0).reach(points(BASELINE, SMALL)[0]) == pytest.approx(1.644854 * floor)


def test_a_margin_has_students_bounds() -> None:
    (point,) = points([done(LARGE, 0.5, 0.92)], LARGE)
    found = margin(point, Reference(0.91, 3), tolerance=0.01, noise=spread(0.01, 2))
    reach = 2.919986 * 0.01 * math.sqrt(1 + 1 / 3)
    assert found.value == pytest.approx(0.02)
    assert (found.lower, found.upper) == (pytest.approx(0.02 - reach), pytest.approx(0.02 + reach))


@pytest.mark.parametrize(
    ("accuracy", "expected"), [(0.95, Verdict.HOLDS), (0.905, Verdict.UNDECIDED), (0.85, Verdict.FAILS)]
)
def test_verdicts(accuracy: float, expected: Verdict) -> None:
    found = verdicts(points([done(LARGE, 0.5, accuracy)], LARGE), Reference(0.91, 3), 0.01, spread(0.01, 10))
    assert found == {0.5: expected}


def test_another_seed_narrows_a_margin() -> None:
    one = points([done(LARGE, 0.5, 0.92)], LARGE)[0]
    two = points([done(LARGE, 0.5, 0.92), done(LARGE, 0.5, 0.92, seed=2)], LARGE)[0]
    bounds = [margin(point, Reference(0.91, 3), 0.01, spread(0.01, 5)).lower for point in (one, two)]
    assert bounds[0] < bounds[1]


def test_a_diverged_run_fails_with_the_score_of_chance() -> None:
    (point,) = points([diverged(LARGE, 3.0)], LARGE)
    assert (point.accuracy, point.diverged) == (0.1, 1)
    assert verdicts([point], Reference(0.91, 3), 0.01, spread(0.01, 5)) == {3.0: Verdict.FAILS}


@pytest.mark.parametrize("status", ["stopped_early", "failed", "out_of_memory"])
def test_a_run_that_was_not_finished_says_nothing_about_its_rate(status: str) -> None:
    assert points([Outcome(LARGE, 1.0, 1, status, 0.5, 0.5)], LARGE) == []


def judged(*runs: Outcome) -> tuple[list, dict]:
    known = points(runs, runs[0].group)
    return known, verdicts(known, Reference(0.91, 3), 0.01, spread(0.001, 10))


def test_an_edge_is_between_the_highest_that_holds_and_the_lowest_that_fails_above() -> None:
    known, found = judged(done(LARGE, 0.1, 0.8), done(LARGE, 0.2, 0.92), done(LARGE, 0.4, 0.91), diverged(LARGE, 0.5))
    result = edge(known, found, 1.25, LIMITS)
    assert (result.held, result.failed, result.flags, result.finite) == (0.4, 0.5, (), True)


def test_a_spot_that_fails_below_one_that_holds_is_not_the_edge() -> None:
    known, found = judged(done(LARGE, 0.2, 0.92), diverged(LARGE, 0.3), done(LARGE, 0.4, 0.92), diverged(LARGE, 0.5))
    assert edge(known, found, 1.25, LIMITS).held == 0.4


def test_edges_say_what_is_missing() -> None:
    holds, fails = done(LARGE, 1.0, 0.92), done(LARGE, 1.0, 0.5)
    assert edge(*judged(holds), 2, LIMITS).flags == ("censored", "undecided")
    assert edge(*judged(done(LARGE, 10.0, 0.92)), 2, LIMITS).flags == ("censored",)
    assert edge(*judged(holds, diverged(LARGE, 4.0)), 2, LIMITS).flags == ("undecided",)
    assert edge(*judged(fails), 2, LIMITS).flags == ("undecided",), "the best may lie elsewhere"
    surrounded = judged(fails, done(LARGE, 0.5, 0.4), done(LARGE, 2.0, 0.3))
    assert edge(*surrounded, 2, LIMITS).flags == ("none",)
    assert edge([], {}, 2, LIMITS).flags == ("undecided",)


def test_a_competitive_edge_exists_where_nothing_scales() -> None:
    known = points([done(LARGE, 0.5, 0.5), done(LARGE, 1.0, 0.6), done(LARGE, 2.0, 0.4)], LARGE)
    found = competitive_verdicts(known, 0.01, spread(0.001, 10))
    result = edge(known, found, 2, LIMITS)
    assert (result.held, result.failed) == (1.0, 2.0)


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
    assert why_it_stopped(outcomes, LARGE, baseline(outcomes, SMALL), 0.01, spread(0.001, 10)) == why
