"""Futility: what is given up and what is not."""

from dataclasses import replace

import numpy as np
import pytest

from analysis.outcomes import Group, Outcome
from analysis.verdict import find_baseline
from search_spaces.policy.futility import futile, hopeless, typical_curves
from search_spaces.policy.plan import Plan, Proposal
from tests.search_spaces.synthetic import MakePlan

BASE = [(0.2, 0.4, 0.55, 0.65, 0.72, 0.78, 0.82, 0.86, 0.89, 0.90)]
"""Ten epochs of the baseline."""
LARGE = Group("t", 64)


def test_a_run_that_stands_still_is_given_up_when_three_times_the_pace_would_not_do() -> None:
    stuck = [0.1] * 10
    stopped = next(epoch for epoch in range(1, 10) if hopeless(stuck[:epoch], BASE, 0.0, 0.89, 0.0))
    # 0.1 was reached at epoch 0.5; 0.5 + 3 * (10 - 7) = 9.5 still makes 0.895, 0.5 + 3 * 2 = 6.5 only 0.8
    assert stopped == 8


def test_a_run_as_good_as_the_baseline_is_never_given_up() -> None:
    assert not any(hopeless(BASE[0][:epoch], BASE, 0.0, 0.89, 0.0) for epoch in range(1, 10))


@pytest.mark.parametrize("lag", [0.1, 0.3, 0.5, 0.6])
def test_a_slow_start_that_recovers_is_not_given_up(lag: float) -> None:
    """The baseline's own curve, after a share of the run in which nothing happens."""
    epochs = np.maximum(0, np.arange(1, 11) - 10 * lag) / (1 - lag)
    late = np.interp(epochs, range(11), (0.1, *BASE[0]))
    assert not any(hopeless(late[:epoch], BASE, 0.0, 0.89, 0.0) for epoch in range(1, 10))


def test_noise_is_allowed_for() -> None:
    close = [0.1, 0.3, 0.5, 0.6, 0.65, 0.7, 0.74, 0.76, 0.77]
    assert hopeless(close, BASE, 0.0, 0.89, 0.0)
    assert not hopeless(close, BASE, 0.0, 0.89, 0.13)


def outcomes(plan: Plan, holding: bool) -> list[Outcome]:
    design = plan.design
    base = [Outcome(design.baseline, 0.1, seed, "done", 0.90 + 0.001 * seed, 0.9) for seed in range(4)]
    known = [Outcome(LARGE, 0.2, seed, "done", 0.90 if holding else 0.5, 0.9) for seed in (1, 2, 3)]
    return [*base, *known]


def ended(plan: Plan, holding: bool) -> list[tuple[Outcome, tuple[float, ...]]]:
    """The same runs, each with the baseline's curve."""
    return [(outcome, BASE[0]) for outcome in outcomes(plan, holding)]


STUCK = [0.1] * 8


def test_only_where_something_holds_only_what_measures_and_only_after_the_warmup(make_plan: MakePlan) -> None:
    plan = make_plan()
    run = Proposal(LARGE, 0.8, 1)
    assert futile(plan, ended(plan, True), run, STUCK)
    assert not futile(plan, ended(plan, False), run, STUCK), "it may be the group's best"
    assert not futile(plan, ended(plan, True), run._replace(seed=0), STUCK), "seed 0 tunes"
    cut = [(outcome, curve[:5]) for outcome, curve in ended(plan, True)]
    assert not futile(plan, cut, run, STUCK), "there is no whole curve to compare with yet"
    assert not futile(plan, ended(plan, True), Proposal(plan.design.baseline, 0.1, 1), STUCK), "A0 itself"
    patient = replace(plan, grace_epochs=dict.fromkeys(plan.design.groups, 9))
    assert not futile(patient, ended(plan, True), run, STUCK)


def test_the_baselines_curve_is_that_of_its_runs_at_the_best_rate(make_plan: MakePlan) -> None:
    plan = make_plan()
    curves = [(outcome, [outcome.score] * 10) for outcome in outcomes(plan, True)]
    baseline = find_baseline(plan.design, [outcome for outcome, _ in curves])
    assert baseline is not None
    assert typical_curves(curves, plan, baseline) == [[0.90 + 0.001 * seed] * 10 for seed in range(4)]
    assert typical_curves([], plan, baseline) == []
