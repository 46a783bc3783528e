"""Verdict: whether a learning rate holds, and the baseline that this is judged against.

The search and the report both use this definition. A run holds when it ends at A0 - tolerance or better, where A0 is
the score of a typical run of the baseline at its own best learning rate: the median over seeds. A learning rate is
scalable when a typical run there holds, so when at least half of the seeds do.

A0 is read off the response curves (analysis.response_curve) that are fitted to all runs of the baseline, the tuning
runs too. Every curve gives one A0, and together they show its error.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np

from analysis.fit import Fit
from analysis.group_fits import best_rate, evidence, group_fits, tops
from analysis.outcomes import Group, Outcome, Setting, chosen_setting
from analysis.study_design import StudyDesign
from trainables.history import DONE

SURE = 0.95
"""A verdict is given with at least this probability."""

LIKELY = 0.5
"""A learning rate is taken to hold when its probability of being scalable is above this."""

STUDENT_VARIANCE = 2.0
"""The variance of Student's t with 4 degrees of freedom."""


class Verdict(StrEnum):
    """The verdict on one learning rate: it holds, it fails, or it is undecided, which more runs may change."""

    HOLDS = "holds"
    FAILS = "fails"
    UNDECIDED = "undecided"


def verdict(chance: float) -> Verdict:
    """The verdict on a learning rate, given the probability that it is scalable."""
    if chance >= SURE:
        return Verdict.HOLDS
    return Verdict.FAILS if chance <= 1 - SURE else Verdict.UNDECIDED


@dataclass(frozen=True)
class Baseline:
    """The baseline batch size at its own best learning rate.

    Attributes:
        fit: the curves fitted to its runs.
        fits: the curves of every group, from the same runs; those of a technique have learnt their shape together.
        learning_rate: of the rates that ran, the one where a typical run is best.
        setting: the values of the study's further dimensions.
        runs: the number of runs that A0 rests on.
        untrained: whether every run diverged or ended no better than a guess, so that nothing can be judged against it.
        train_score: the mean training score of the runs at the best learning rate.
        a0: the score of a typical run at the best learning rate, one for each curve, (curves,).
        deviation: by how much the score of one run varies there between seeds.
    """

    fit: Fit
    learning_rate: float
    setting: Setting
    runs: int
    untrained: bool
    train_score: float
    a0: np.ndarray = field(compare=False, repr=False)
    deviation: float = field(compare=False)
    fits: Mapping[Group, Fit] = field(compare=False, repr=False)

    @property
    def score(self) -> float:
        """A0."""
        return float(np.median(self.a0))

    @property
    def error(self) -> float:
        """The standard error of A0: half of the width of the middle two thirds of what it may be."""
        low, high = np.quantile(self.a0, (1 / 6, 5 / 6))
        return float(high - low) / 2


def find_baseline(design: StudyDesign, outcomes: Sequence[Outcome]) -> Baseline | None:
    """The baseline as the runs so far give it; None before the first run of its group has ended."""
    group = design.baseline
    mine = evidence(outcomes, group)
    if not mine:
        return None
    fits = group_fits(design, outcomes)
    found = fits[group]
    top, a0 = tops(found)
    best = best_rate(found)
    there = [run for run in mine if math.log2(run.learning_rate) == best]
    trained = [run.train_score for run in there if run.status == DONE] or [mine[0].train_score]
    losses = found.curves.loss(np.array([top]))
    variance = float((found.curves.spread(losses, found.floor) ** 2).mean()) * STUDENT_VARIANCE
    return Baseline(
        fit=found,
        fits=fits,
        learning_rate=there[0].learning_rate,
        setting=chosen_setting(outcomes, group),
        runs=len(mine),
        untrained=not any(run.status == DONE and run.score > design.guess for run in mine),
        train_score=sum(trained) / len(trained),
        a0=a0 * design.tolerance,
        deviation=math.sqrt(variance) * design.tolerance,
    )


def verdicts(chances: Mapping[float, float]) -> dict[float, Verdict]:
    """The verdict on each learning rate."""
    return {rate: verdict(chance) for rate, chance in chances.items()}
