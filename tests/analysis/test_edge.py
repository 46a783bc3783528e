"""Beliefs and edges on constructed outcomes."""

import math
from dataclasses import replace

import numpy as np
import pytest

from analysis.belief import edge_belief
from analysis.edge import Judged, competitive, scalable, surrounded
from analysis.outcomes import Group, Outcome, leading, points_of
from analysis.study_design import StudyDesign
from analysis.verdict import Baseline, Reference, Spread, Standard

GROUP = Group("t", 1024)
LIMITS = (2.0**-6, 2.0**4)
A0 = Reference(0.90, 100)
BASELINE = Baseline(0.1, (0.90,) * 100, (0.90,) * 100, diverged=False)
QUIET = Spread(squares=1e-6 * 50, freedom=50, floor=0.0)
NOISY = Spread(squares=1e-4 * 50, freedom=50, floor=0.0)


def design(resolution: float = 1.25) -> StudyDesign:
    return StudyDesign((GROUP,), GROUP, LIMITS, 0.01, resolution, 10**6, (), {})


def run(octaves: float, score: float, seed: int = 1, status: str = "done") -> Outcome:
    return Outcome(GROUP, 2.0**octaves, seed, status, score, score)


def look(*runs: Outcome, spread: Spread = QUIET, resolution: float = 1.25) -> Judged:
    return scalable(design(resolution), points_of(runs, GROUP), Standard(BASELINE, spread))


def ends(*runs: Outcome, spread: Spread = QUIET) -> tuple[float, float]:
    found = look(*runs, spread=spread).edge
    return math.log2(found.lower), math.log2(found.upper)


def test_an_edge_lies_between_a_rate_that_holds_and_one_that_falls_short() -> None:
    lower, upper = ends(run(-3, 0.90), run(-2, 0.90), run(-1, 0.5))
    assert -2.6 < lower < -1.7
    assert -1.3 < upper <= -1.0


def test_every_run_between_narrows_the_interval() -> None:
    runs = [run(-3, 0.90), run(-2, 0.90), run(-1, 0.5)]
    widths = []
    for octaves, score in ((-1.5, 0.90), (-1.25, 0.5), (-1.5, 0.90), (-1.5, 0.90)):
        widths.append(look(*runs).belief.width)
        runs.append(run(octaves, score, seed=len(runs)))
    widths.append(look(*runs).belief.width)
    assert widths == sorted(widths, reverse=True)


def test_a_margin_near_zero_leaves_both_sides_open() -> None:
    certain = [run(-3, 0.90), run(-2, 0.90), run(-1, 0.5)]
    doubtful = look(*certain, run(-1.5, 0.8895)).belief
    assert 0.2 < doubtful.below(-1.5) < 0.8


def test_a_noisier_study_has_wider_intervals() -> None:
    runs = [run(-3, 0.90), run(-2, 0.896), run(-1.7, 0.884), run(-1, 0.5)]
    assert look(*runs, spread=NOISY).belief.width > look(*runs).belief.width


def test_where_divergence_is_the_limit_a_single_success_below_it_may_be_luck() -> None:
    """One in fifty may not diverge; score that falls does so for every run."""
    below = [run(-3, 0.90), run(-2, 0.90)]
    diverging = look(*below, run(-1.8, 0.1, status="diverged"), run(-1, 0.1, status="diverged")).belief.interval
    falling = look(*below, run(-1.8, 0.5), run(-1, 0.5)).belief.interval
    assert diverging[0] < falling[0] < 2.0**-2
    again = look(*below, *(run(-2, 0.90, seed) for seed in (2, 3)), run(-1.8, 0.1, status="diverged"))
    assert again.belief.interval[0] > diverging[0]


def test_rates_that_are_too_low_do_not_hide_the_edge() -> None:
    lower, upper = ends(run(-6, 0.4), run(-5, 0.7), run(-3, 0.90), run(-2, 0.90), run(-1, 0.5))
    assert -2.6 < lower < upper <= -1.0


def test_one_odd_spot_below_rates_that_hold_is_not_the_edge() -> None:
    holds = [run(octaves, 0.90, seed) for octaves in (-3, -2.5, -1.5, -1) for seed in (1, 2)]
    lower, upper = ends(*holds, run(-2, 0.1, status="diverged"), run(-0.5, 0.5))
    assert -1.5 < lower < upper <= -0.5


def test_without_runs_the_edge_may_be_anywhere() -> None:
    view = edge_belief([], A0, 0.01, QUIET, LIMITS)
    assert view.mass.sum() == pytest.approx(1.0)
    assert np.allclose(view.mass[:-1], view.mass[0])
    assert view.mass[-1] == pytest.approx(32 * view.mass[0]), "an octave above the range"
    assert view.quantile(0.5) == pytest.approx(-0.5)


def test_quantiles_and_shares_agree() -> None:
    view = look(run(-3, 0.90), run(-2, 0.90), run(-1, 0.5)).belief
    for share in (0.05, 0.3, 0.5, 0.9):
        assert view.below(view.quantile(share)) == pytest.approx(share, abs=1e-6)


def test_edges_say_what_is_missing() -> None:
    assert look(run(0, 0.90)).edge.flags == ("censored", "undecided")
    top = look(*(run(octaves, 0.90, seed) for octaves in (2, 3, 4) for seed in (1, 2, 3))).edge
    assert (top.flags, top.upper, top.held) == (("censored",), None, 16.0)
    assert look(run(0, 0.90), run(2, 0.5)).edge.flags == ("undecided",)
    assert look(run(0, 0.5)).edge.flags == ("undecided",), "the best may lie elsewhere"
    assert look(run(-1, 0.4), run(0, 0.5), run(1, 0.3)).edge.flags == ("none",)
    assert look().edge.flags == ("undecided",)
    likely = look(run(-1, 0.8905, 1), run(0, 0.5), spread=NOISY).edge
    assert likely.held is None
    assert likely.lower is not None
    assert likely.flags == ("undecided",)


def test_a_narrow_edge_has_no_flags_and_reports_what_was_seen() -> None:
    sharp = [run(octaves, 0.90, seed) for octaves in (-3, -2, -1.1) for seed in (1, 2, 3)]
    found = look(*sharp, run(-1, 0.5), run(-1, 0.5, 2), resolution=1.5)
    assert found.edge.flags == ()
    assert (math.log2(found.edge.held), math.log2(found.edge.failed)) == (-1.1, -1.0)
    assert found.belief.narrow(1.5)
    assert not found.belief.narrow(1.01)


def test_a_competitive_edge_exists_where_nothing_scales() -> None:
    known = points_of([run(-1, 0.5), run(0, 0.6), run(1, 0.4)], GROUP)
    found = competitive(design(), known, QUIET)
    assert (found.edge.held, found.edge.failed) == (1.0, 2.0)
    assert 1.0 / 1.5 < found.edge.lower < found.edge.upper <= 2.0
    assert competitive(design(), [], QUIET) is None
    assert competitive(design(), points_of([run(0, 0.1, status="diverged")], GROUP), QUIET) is None


def test_the_best_is_surrounded_by_neighbours_or_by_the_ranges_end() -> None:
    rising = points_of([run(-1, 0.4), run(0, 0.5)], GROUP)
    assert not surrounded(rising, design())
    assert surrounded(rising, replace(design(), learning_rates=(LIMITS[0], 1.0)))
    assert not surrounded([], design())


def test_the_luckiest_of_guesses_is_no_best() -> None:
    """Rates at which nothing is learnt end at chance, more or less: a lower rate may still train."""
    guesses = points_of([run(-2, 0.088), run(-1, 0.112), run(0, 0.100, status="diverged"), run(1, 0.104)], GROUP)
    asked = replace(design(), chance=0.1, validation_samples=500)
    assert leading(guesses, asked.guess).learning_rate == 0.25
    assert not surrounded(guesses, asked)
    lowest = replace(asked, learning_rates=(0.25, 8.0))
    assert not surrounded(guesses, lowest), "the highest one trained to its end: a higher one might learn"
    assert surrounded([*guesses, *points_of([run(2, 0.1, status="diverged")], GROUP)], lowest)
    assert competitive(asked, guesses, QUIET) is None
    trained = [*guesses, *points_of([run(-3, 0.3)], GROUP)]
    assert leading(trained, asked.guess).learning_rate == 0.125
    assert not surrounded(trained, asked), "nothing below was tried"
