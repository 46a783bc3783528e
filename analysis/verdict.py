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
from functools import lru_cache

import numpy as np

from analysis.belief import Limits
from analysis.fit import Fit, fit
from analysis.outcomes import Group, Outcome, Setting, chosen_setting
from analysis.response_curve import Frame, Run
from analysis.study_design import StudyDesign
from trainables.history import DIVERGED, DONE

SURE = 0.95
"""A verdict is given with at least this probability."""

LIKELY = 0.5
"""A learning rate is taken to hold when its probability of being scalable is above this."""

CELLS_PER_OCTAVE = 8
"""How finely the baseline's best learning rate is looked for."""


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
        learning_rate: of the rates that ran, the one where a typical run is best.
        setting: the values of the study's further dimensions.
        runs: the number of runs that A0 rests on.
        diverged: whether every run diverged, so that nothing can be judged against it.
        train_score: the mean training score of the runs at the best learning rate.
        a0: the score of a typical run at the best learning rate, one for each curve, (curves,).
        deviation: by how much the score of one run varies there between seeds.
    """

    fit: Fit
    learning_rate: float
    setting: Setting
    runs: int
    diverged: bool
    train_score: float
    a0: np.ndarray = field(compare=False, repr=False)
    deviation: float = field(compare=False)

    @property
    def score(self) -> float:
        """A0."""
        return float(np.median(self.a0))

    @property
    def error(self) -> float:
        """The standard error of A0: half of the width of the middle two thirds of what it may be."""
        low, high = np.quantile(self.a0, (1 / 6, 5 / 6))
        return float(high - low) / 2


def limits(design: StudyDesign) -> Limits:
    """The searched range in log2."""
    low, high = design.learning_rates
    return Limits(math.log2(low), math.log2(high))


def fitted(design: StudyDesign, outcomes: Sequence[Outcome], group: Group, bar: float | None = None) -> Fit:
    """The curves fitted to a group's runs with its chosen setting, in the order in which they ended.

    Args:
        bar: the score that runs must reach, which a run that was given up could no longer reach.
    """
    mine = _evidence(outcomes, group)
    unit = design.tolerance
    trained = [run.score for run in mine if run.status == DONE]
    low, high = limits(design)
    usual = max(trained, default=0.0) if bar is None else bar
    frame = Frame(float(round(usual / unit)), (low + high) / 2, (high - low) / 2)
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


def _evidence(outcomes: Sequence[Outcome], group: Group) -> list[Outcome]:
    """The runs of a group with its chosen setting that say something about their learning rate."""
    setting = chosen_setting(outcomes, group)
    mine = [run for run in outcomes if run.group == group and run.is_evidence]
    return [run for run in mine if run.setting == setting or not setting]


def find_baseline(design: StudyDesign, outcomes: Sequence[Outcome]) -> Baseline | None:
    """The baseline as the runs so far give it; None before the first run of its group has ended."""
    group = design.baseline
    mine = _evidence(outcomes, group)
    if not mine:
        return None
    found = fitted(design, outcomes, group)
    best, a0, deviation = _typical(found, design.floor(max(run.score for run in mine)) / design.tolerance)
    rate = next(run.learning_rate for run in mine if math.log2(run.learning_rate) == best)
    there = [run.train_score for run in mine if run.learning_rate == rate and run.status == DONE] or [
        mine[0].train_score
    ]
    return Baseline(
        fit=found,
        learning_rate=rate,
        setting=chosen_setting(outcomes, group),
        runs=len(mine),
        diverged=all(run.status == DIVERGED for run in mine),
        train_score=sum(there) / len(there),
        a0=a0 * design.tolerance,
        deviation=deviation * design.tolerance,
    )


@lru_cache(maxsize=256)
def _typical(found: Fit, floor: float) -> tuple[float, np.ndarray, float]:
    """The best of the rates that ran, A0 at the best rate of all, and the deviation of one run; all in tolerances."""
    curves = found.curves
    tried = np.array(sorted({run.x for run in found.runs}))
    trained = [run.x for run in found.runs if not run.diverged and not run.futile] or list(tried)
    between = np.linspace(min(trained), max(trained), 1 + math.ceil((max(trained) - min(trained)) * CELLS_PER_OCTAVE))
    scores = curves.typical(between, floor)
    best = int(np.median(scores, axis=0).argmax())
    a0 = scores.max(axis=1)
    at_tried = np.median(curves.typical(np.array(sorted(set(trained))), floor), axis=0)
    deviation = math.sqrt(2.0) * float(
        np.sqrt((curves.spread(curves.loss(between[best : best + 1]), floor) ** 2).mean())
    )
    return sorted(set(trained))[int(at_tried.argmax())], a0, deviation


def verdicts(chances: Mapping[float, float]) -> dict[float, Verdict]:
    """The verdict on each learning rate."""
    return {rate: verdict(chance) for rate, chance in chances.items()}
