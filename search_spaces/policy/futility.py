"""Futility: giving up a run that can no longer reach the baseline.

A run is compared with the baseline's own learning curve after as many epochs, the same share of a run. It is never
compared with other runs, because large batches, long warm-ups and the highest learning rates look bad early. Let A(t)
be the baseline's mean score after t of T epochs, and t' the epoch at which the baseline had the score that this run has
now. A run is

    hopeless   if   A(t' + PACE * (T - t)) < A0 - tolerance

that is, if it would fall short even if it learnt PACE times as fast as the baseline did from t' on. Only runs that
measure are given up, only after the warm-up, and only in groups where some rate was seen to hold: in another group the
run may be the group's best, which is reported.
"""

from collections.abc import Sequence

import numpy as np

from analysis.edge import scalable
from analysis.outcomes import Outcome
from analysis.verdict import Baseline, Verdict, find_baseline
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
    if (
        run.seed == 0
        or run.group == plan.design.baseline
        or not plan.grace_epochs[run.group] < len(curve) < plan.epochs
    ):
        return False
    finished = [outcome for outcome, _ in ended]
    baseline = find_baseline(plan.design, finished)
    if baseline is None or baseline.untrained:
        return False
    base = typical_curves(ended, plan, baseline)
    if not base:
        return False
    judged = scalable(plan.design, finished, run.group, baseline)
    if Verdict.HOLDS not in judged.verdicts.values():
        return False
    return hopeless(curve, base, plan.design.chance, baseline.score - plan.design.tolerance, 2 * baseline.deviation)


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


def typical_curves(ended: Sequence[tuple[Outcome, Curve]], plan: Plan, baseline: Baseline) -> list[Curve]:
    """The curves of the baseline's runs at its best learning rate that ran to the end."""
    return [
        curve
        for outcome, curve in ended
        if outcome.group == plan.design.baseline
        and outcome.learning_rate == baseline.learning_rate
        and outcome.setting == baseline.setting
        and len(curve) == plan.epochs
    ]
