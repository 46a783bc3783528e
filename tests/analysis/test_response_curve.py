"""The response curve: its distribution functions, its likelihood and what follows from it, against other ways."""

import math

import numpy as np
import pytest
from scipy import integrate, stats

from analysis.response_curve import (
    COLLAPSE,
    DEEPEST,
    ODD,
    SHALLOWEST,
    SIZE,
    Curves,
    Data,
    Frame,
    Guesses,
    curves,
    log_likelihood,
    student4,
    student4_density,
    student4_quantile,
)

FLOOR = 0.2


DEPTHS = (math.inf, 5.5)
"""No classes to guess among, and a guess that lies 5.5 tolerances below the score that runs must reach."""


def some(count: int = 50, depth: float = math.inf) -> Curves:
    """Curves from the prior around a top of 0 and an edge at -2."""
    return curves(np.random.default_rng(3).standard_normal((count, SIZE)), Frame(0.0, -2.0, 2.0, depth))


def one(of: Curves, at: int) -> Curves:
    """One of the curves."""
    parts = {name: part[at : at + 1] for name, part in of._asdict().items() if name != "guesses"}
    return Curves(**parts, guesses=of.guesses)


def data(x: float, scores: np.ndarray, diverged: bool = False, futile: bool = False) -> Data:
    same = np.ones(len(scores))
    return Data(x * same, scores, FLOOR * same, (same * diverged).astype(bool), (same * futile).astype(bool))


def test_students_distribution_is_that_of_scipy() -> None:
    t = np.linspace(-40, 40, 801)
    assert student4(t) == pytest.approx(stats.t(4).cdf(t), abs=1e-12)
    shares = np.linspace(0.001, 0.5, 200)
    assert student4_density(t) == pytest.approx(stats.t(4).pdf(t), abs=1e-12)
    assert student4_quantile(shares) == pytest.approx(stats.t(4).ppf(shares), abs=1e-9)


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("x", [-5.0, -2.0, -1.0, 1.0])
def test_the_chances_of_all_ends_of_a_run_sum_to_one(x: float, depth: float) -> None:
    of = some(depth=depth)
    scores = np.concatenate([-np.geomspace(1e5, 1e-3, 40_000), np.linspace(0, 200, 20_000)]) + 1e-9
    density = np.exp(log_likelihood(of, data(x, scores)))
    ends = integrate.trapezoid(density, scores, axis=1)
    diverges = np.exp(log_likelihood(of, data(x, np.zeros(1), diverged=True)))[:, 0]
    assert ends + diverges == pytest.approx(np.ones(len(ends)), abs=0.01)


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("x", [-3.0, -2.0, -1.0])
def test_the_hold_probability_is_the_chance_of_a_score_above_the_bar(x: float, depth: float) -> None:
    of = some(depth=depth)
    bar = of.top - 1.0
    scores = np.linspace(-1.0, 300.0, 200_000)
    each = np.array(
        [
            integrate.trapezoid(density, scores)
            for density in np.exp(
                np.stack([log_likelihood(one(of, at), data(x, scores + of.top[at]))[0] for at in range(len(of.top))])
            )
        ]
    )
    assert of.holding(np.array([x]), bar, FLOOR)[:, 0] == pytest.approx(each, abs=0.005)


def test_single_precision_is_enough() -> None:
    """Also for a run that holds far above where the curves expect all runs to fail."""
    latents = np.random.default_rng(3).standard_normal((200, SIZE))
    scores = np.array([-20.0, -3.0, -1.0, 0.0, 1.0])
    for x in (-8.0, -2.0, 1.0, 6.0):
        single, double = (
            log_likelihood(curves(latents.astype(kind), Frame(0.0, -2.0, 2.0)), data(x, scores.astype(kind)))
            for kind in (np.float32, np.float64)
        )
        assert single == pytest.approx(double, abs=0.02, rel=1e-3)


def test_half_the_runs_reach_the_typical_score() -> None:
    of, x = some(200), np.array([-4.0, -2.0, -1.0])
    typical = of.typical(x, FLOOR)
    seldom = of.failing(x)[0] < 0.02
    for at, rate in enumerate(x):
        holding = of.holding(np.array([rate]), typical[:, at : at + 1], FLOOR)[:, 0]
        assert holding[seldom[:, at]] == pytest.approx(np.full(seldom[:, at].sum(), 0.5), abs=0.02)


@pytest.mark.parametrize("depth", DEPTHS)
def test_a_run_that_was_given_up_is_as_likely_as_a_score_below_its_bar(depth: float) -> None:
    """It falls short, diverges or holds: there is no other way to end."""
    of, x = some(depth=depth), np.array([-1.0])
    short = np.exp(log_likelihood(of, data(-1.0, np.zeros(1), futile=True)))[:, 0]
    diverges = np.exp(log_likelihood(of, data(-1.0, np.zeros(1), diverged=True)))[:, 0]
    holds = of.holding(x, np.zeros((50, 1)), FLOOR)[:, 0]
    assert short + diverges + holds == pytest.approx(np.ones(50))


def test_a_curve_has_its_top_at_its_best_rate_and_loses_one_tolerance_at_its_edge() -> None:
    of = some()._replace(dip_depth=np.zeros((50, 1)))
    assert of.loss(of.edge - of.high) == pytest.approx(np.zeros((50, 1)), abs=1e-6)
    assert of.loss(of.edge) == pytest.approx(np.ones((50, 1)))
    assert of.loss(of.edge - of.high - of.low) == pytest.approx(np.ones((50, 1)))
    assert of.failing(of.breaks)[0] == pytest.approx(np.full((50, 1), ODD + (1 - ODD) / 2))


def test_no_curve_falls_below_a_guess() -> None:
    of, x = some(depth=5.5), np.array([-40.0, 40.0])
    usual = (of.top > SHALLOWEST - 5.5) & (of.top < DEEPEST - 5.5)
    assert usual.mean() > 0.7
    assert (of.top - of.loss(x))[usual[:, 0]] == pytest.approx(np.full((usual.sum(), 2), -5.5))
    assert of.typical(x, FLOOR)[usual[:, 0], 1] == pytest.approx(np.full(usual.sum(), -5.5))


def test_runs_that_fail_end_at_a_guess_or_far_below_the_curve() -> None:
    of = some(1)._replace(guesses=Guesses(score=-5.5, spread=0.01, share=0.3))
    below = of.collapsed(np.array([-8.5, -2.5]), ends=np.zeros((1, 1)))
    assert below == pytest.approx(0.7 * COLLAPSE / (COLLAPSE + np.array([[8.5, 2.5]])) + [0.0, 0.3], abs=1e-3)
