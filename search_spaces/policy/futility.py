"""Futility: giving up a run that can no longer reach the baseline.

A run is compared with the baseline's own learning curve at the same number of samples. It is never compared with other
runs, because large batches, long warm-ups and the highest learning rates look bad early. Let A(t) be the baseline's
mean score after t of T epochs, and t' the epoch at which the baseline had the score that this run has now. A run is

    hopeless   if   A(t' + PACE * (T - t)) < A0 - tolerance

that is, if it would fall short even if it learnt PACE times as fast as the baseline did from t' on. Only runs that
measure are given up, only after the warm-up, and only in groups where some rate was seen to hold: in another group the
run may be the group's best, which is reported.
"""

from collections.abc import Sequence

import numpy as np

from analysis.outcomes import Outcome, points_of
from analysis.verdict import Baseline, Verdict, standard, verdicts
from search_spaces.policy.plan import Plan, Proposal

PACE = 3.0
"""A run is given up only if it would have to learn more than this many times as fast as the baseline."""

Curve = Sequence[float]
"""The validation score after each epoch."""


def futile(plan: Plan, ended: Sequence[tuple[Outcome, Curve]], run: Proposal, curve: Curve) -> bool:
    """Whether to give up a run.

    Args:
        plan: the plan of the study.
        ended: every run that has ended, with its score after each epoch.
        run, curve: the run, and its score after each epoch so far.
    """
    if run.seed == 0 or not plan.grace_epochs[run.group] < len(curve) < plan.epochs:
        return False
    finished = [outcome for outcome, _ in ended]
    against = standard(plan.design, finished)
    if against is None or against.baseline.diverged:
        return False
    if run.group == plan.design.baseline and run.learning_rate == against.baseline.learning_rate:
        return False
    base = curves_behind_a0(ended, plan, against.baseline)
    if not base:
        return False
    reference, tolerance = against.baseline.reference, plan.design.tolerance
    if Verdict.HOLDS not in verdicts(points_of(finished, run.group), reference, tolerance, against.spread).values():
        return False
    return hopeless(curve, base, plan.design.chance, reference.score - tolerance, 2 * against.spread.deviation)


def hopeless(curve: Curve, base: Sequence[Curve], chance: float | None, target: float, allowance: float) -> bool:
    """Whether a run cannot reach the target even at PACE times the baseline's pace.

    Args:
        curve: the run's score after each epoch so far.
        base: the curves of baseline runs, of as many epochs as the run will have. Their mean is the baseline's curve.
        chance: the score of a guess, at which curves begin. Where it is not known, they begin at the score of the first
            epoch.
        target: the score to reach, A0 - tolerance.
        allowance: added to the score that the run has reached, to allow for the spread between seeds.
    """
    mean = np.mean(base, axis=0)
    start = mean[0] if chance is None else chance
    typical = np.maximum.accumulate(np.concatenate(([start], mean)))  # (epochs + 1,), never falling
    epochs = np.arange(len(typical))
    reached = curve[-1] + allowance
    if reached >= typical[-1]:
        return False
    then = float(np.interp(reached, typical, epochs))
    end = then + PACE * (len(typical) - 1 - len(curve))
    return end < len(typical) - 1 and float(np.interp(end, epochs, typical)) < target


def curves_behind_a0(ended: Sequence[tuple[Outcome, Curve]], plan: Plan, baseline: Baseline) -> list[Curve]:
    """The curves of the runs behind A0 that ran to the end."""
    return [
        curve
        for outcome, curve in ended
        if outcome.group == plan.design.baseline
        and outcome.learning_rate == baseline.learning_rate
        and outcome.setting == baseline.setting
        and outcome.seed != 0
        and len(curve) == plan.epochs
    ]
