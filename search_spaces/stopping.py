"""Futility: giving up a run that cannot reach the baseline any more.

A run is judged against the baseline's own learning curve at equal samples, never against other runs, since large
batches, long warm-ups and the highest learning rates look bad early. With A(t) the baseline's mean score after t of
T epochs, and t' the time at which it was as accurate as this run is now,

    hopeless   if   A(t' + PACE * (T - t)) < A0 - tolerance

that is, if learning PACE times as fast as the baseline did from there would still not do. Only runs that measure are
given up, only after the warm-up, and only in groups where some rate was seen to hold: elsewhere the run may be the
group's best, which is reported.
"""

from collections.abc import Sequence

import numpy as np

from analysis.frontier import Outcome, Verdict, baseline, noise, points, verdicts
from search_spaces.plan import Plan, Proposal

PACE = 3.0
"""How many times as fast as the baseline a run may still have to learn."""

Curve = Sequence[float]
"""Validation score after each epoch."""


def futile(plan: Plan, finished: Sequence[Outcome], base: Sequence[Curve], run: Proposal, curve: Curve) -> bool:
    """Whether to give up a run.

    Args:
        finished: every run so far.
        base: curves of the runs behind A0.
        run, curve: the run, and its score after each epoch so far.
    """
    if run.seed == 0 or not base or not plan.grace_epochs[run.group] < len(curve) < plan.epochs:
        return False
    yardstick = baseline(finished, plan.question.baseline)
    if yardstick is None or not yardstick.scores or yardstick.diverged:
        return False
    if run.group == plan.question.baseline and run.learning_rate == yardstick.learning_rate:
        return False
    spread = noise(finished, yardstick, plan.question.tolerance, plan.question.floor)
    known = points(finished, run.group)
    if Verdict.HOLDS not in verdicts(known, yardstick.reference, plan.question.tolerance, spread).values():
        return False
    target = yardstick.reference.score - plan.question.tolerance
    return hopeless(curve, base, plan.question.chance, target, 2 * spread.deviation)


def hopeless(curve: Curve, base: Sequence[Curve], chance: float, target: float, allowance: float) -> bool:
    """Whether a run cannot reach the target at PACE times the baseline's pace.

    Args:
        base: curves of as many epochs as the run will have; their mean is the baseline's.
        chance: the score of a guess, where curves begin.
        target: score to reach, A0 - tolerance.
        allowance: added to what the run has reached, for noise.
    """
    typical = np.maximum.accumulate(np.concatenate(([chance], np.mean(base, axis=0))))  # (epochs + 1,), never falling
    epochs = np.arange(len(typical))
    reached = curve[-1] + allowance
    if reached >= typical[-1]:
        return False
    then = float(np.interp(reached, typical, epochs))
    end = then + PACE * (len(typical) - 1 - len(curve))
    return end < len(typical) - 1 and float(np.interp(end, epochs, typical)) < target


def curves_behind(curves: Sequence[tuple[Outcome, Curve]], plan: Plan) -> list[Curve]:
    """The curves of the runs behind A0, those that ran to the end."""
    yardstick = baseline([outcome for outcome, _ in curves], plan.question.baseline)
    return [
        curve
        for outcome, curve in curves
        if yardstick is not None
        and outcome.group == plan.question.baseline
        and outcome.learning_rate == yardstick.learning_rate
        and outcome.setting == yardstick.setting
        and outcome.seed != 0
        and len(curve) == plan.epochs
    ]
