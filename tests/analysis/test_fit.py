"""Fits: the sample of curves is the posterior."""

import numpy as np
import pytest

from analysis.fit import CURVES, fit
from analysis.response_curve import SIZE, Frame, Run, arrays, curves, log_likelihood

FRAME = Frame(90.0, -2.0, 3.0)


def run(x: float, score: float, diverged: bool = False) -> Run:
    return Run(x, score, 0.3, diverged, futile=False)


RUNS = (run(-4.0, 89.5), run(-2.0, 90.4), run(0.0, 80.0, diverged=True))


def test_equal_runs_give_equal_fits() -> None:
    one = fit(RUNS, FRAME)
    fit.cache_clear()
    other = fit(RUNS, FRAME)
    assert one == other
    assert np.array_equal(one.latents, other.latents)
    assert one.latents.shape == (CURVES, SIZE)


def test_without_runs_it_is_the_prior() -> None:
    latents = fit((), FRAME).latents
    assert latents.mean(axis=0) == pytest.approx(np.zeros(SIZE), abs=0.15)
    assert latents.std(axis=0) == pytest.approx(np.ones(SIZE), abs=0.1)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_it_agrees_with_weighted_draws_from_the_prior(count: int) -> None:
    """Importance sampling with 400,000 draws, for runs few enough that some of the draws fit them."""
    runs = RUNS[:count]
    draws = np.random.default_rng(5).standard_normal((400_000, SIZE))
    weights = np.concatenate(
        [np.exp(log_likelihood(curves(part, FRAME), arrays(runs)).sum(axis=1)) for part in np.array_split(draws, 20)]
    )
    weights /= weights.sum()
    assert 1 / (weights**2).sum() > 2000, "enough draws fit"
    found = fit(runs, FRAME).latents
    deviation = np.sqrt(weights @ (draws - weights @ draws) ** 2)
    assert found.mean(axis=0) == pytest.approx(weights @ draws, abs=0.26)
    assert found.std(axis=0) == pytest.approx(deviation, abs=0.2)


def test_the_order_of_the_runs_does_not_matter() -> None:
    runs = (*RUNS, run(-1.0, 88.9), run(-1.0, 89.2), run(-3.0, 90.1), run(-0.5, 70.0))
    tops = [np.median(fit(each, FRAME).curves.top) for each in (runs, runs[::-1])]
    edges = [np.median(fit(each, FRAME).curves.edge) for each in (runs, runs[::-1])]
    assert tops[0] == pytest.approx(tops[1], abs=0.15)
    assert edges[0] == pytest.approx(edges[1], abs=0.2)


def test_more_runs_leave_less_doubt() -> None:
    spreads = []
    for count in (1, 4, 16):
        runs = tuple(run(-2.0 - 0.1 * (at % 3), 90.0 + 0.3 * np.sin(at)) for at in range(count))
        spreads.append(float(np.std(fit(runs, FRAME).curves.top)))
    assert spreads[0] > 1.5 * spreads[1] > 2.25 * spreads[2]
