"""The response curves of every group, fitted to its runs; the groups of a technique learn their shape together."""

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from analysis.belief import Limits
from analysis.fit import Fit, fit, milestone_of
from analysis.outcomes import Group, Outcome, chosen_setting
from analysis.response_curve import Frame, Run
from analysis.shape import with_shape_of
from analysis.study_design import StudyDesign
from trainables.history import DIVERGED, DONE

CELLS_PER_OCTAVE = 8
"""How finely a group's best learning rate is looked for."""


def log_range(design: StudyDesign) -> Limits:
    """The searched range in log2."""
    low, high = design.learning_rates
    return Limits(math.log2(low), math.log2(high))


def _fitted(design: StudyDesign, outcomes: Sequence[Outcome], group: Group, bar: float | None = None) -> Fit:
    """The curves fitted to a group's runs with its chosen setting, in the order in which they ended.

    Args:
        bar: the score that runs must reach, which a run that was given up could no longer reach.
    """
    mine = evidence(outcomes, group)
    unit = design.tolerance
    trained = [run.score for run in mine if run.status == DONE]
    low, high = log_range(design)
    usual = max(trained, default=0.0) if bar is None else bar
    top = float(round(usual / unit))
    depth = math.inf if design.chance is None else top - design.chance / unit
    frame = Frame(top, (low + high) / 2, (high - low) / 2, depth)
    runs = tuple(
        Run(
            math.log2(run.learning_rate),
            (run.score if bar is None or not run.futile else bar) / unit,
            design.floor(run.score) / unit,
            run.status == DIVERGED,
            run.futile,
        )
        for run in mine
    )
    return fit(runs, frame)


def evidence(outcomes: Sequence[Outcome], group: Group) -> list[Outcome]:
    """The runs of a group with its chosen setting that say something about their learning rate."""
    setting = chosen_setting(outcomes, group)
    mine = [run for run in outcomes if run.group == group and run.is_evidence]
    return [run for run in mine if run.setting == setting or not setting]


def group_fits(design: StudyDesign, outcomes: Sequence[Outcome]) -> dict[Group, Fit]:
    """The curves of every group, where the baseline has runs.

    What a run that was given up could not reach is the A0 of the baseline's curves alone, less the tolerance, rounded
    up, so that it changes seldom and says no more than was shown. What groups tell each other changes seldom too: it is
    taken from their milestones.
    """
    base = _fitted(design, outcomes, design.baseline)
    assert base.runs, "there is no A0 without a run of the baseline"
    half = design.tolerance / 2
    bar = math.ceil(float(np.median(tops(base)[1])) * design.tolerance / half) * half - design.tolerance
    alone = {group: _fitted(design, outcomes, group, bar) for group in design.groups if group != design.baseline}
    alone = {design.baseline: base} | alone
    told = {group: milestone_of(each) for group, each in alone.items()}
    return {
        group: with_shape_of(
            own, tuple(each for other, each in told.items() if other.technique == group.technique and other != group)
        )
        for group, own in alone.items()
    }


@lru_cache(maxsize=256)
def tops(of: Fit) -> tuple[float, np.ndarray]:
    """Where a typical run is best, as log2 of the learning rate, and the score of such a run for each curve, (curves,).

    It is looked for between the lowest and the highest rate that trained a run.
    """
    rates = [run.x for run in of.trained or of.runs] or [0.0]
    between = np.linspace(min(rates), max(rates), 1 + math.ceil((max(rates) - min(rates)) * CELLS_PER_OCTAVE))
    scores = of.curves.typical(between, of.floor)
    return float(between[np.median(scores, axis=0).argmax()]), scores.max(axis=1)


def best_rate(of: Fit) -> float:
    """log2 of the rate, of those that ran, at which a typical run of the group is best."""
    found = typical_best(of)
    return found[0] if found else min(run.x for run in of.runs)


@lru_cache(maxsize=512)
def typical_best(of: Fit) -> tuple[float, float] | None:
    """log2 of the rate, of those that trained a run, at which a typical run is best, and its score in tolerances."""
    rates = np.array(sorted({run.x for run in of.trained}))
    if not len(rates):
        return None
    scores = np.median(of.curves.typical(rates, of.floor), axis=0)
    at = int(scores.argmax())
    return float(rates[at]), float(scores[at])
