"""Verdict: whether a learning rate holds.

The search and the report both use this definition. A learning rate is scalable at a batch size when its expected score
over seeds is at least A0 - tolerance, where A0 is the baseline's score. The verdict on one learning rate rests on the
bounds of its margin, score - (A0 - tolerance):

    margin -+ max(t * s, z * floor) * sqrt(1/n + 1/n0)

Here n is the number of runs at the learning rate, n0 the number of runs behind A0, s the standard deviation of one run
between seeds, t Student's 95 % point for the runs that s was estimated from, floor the standard deviation that the size
of the evaluation set alone causes, and z the normal 95 % point. Each bound is wrong in one case out of twenty.

A learning rate at which a run diverged fails. One divergence in n runs says that about one run in n diverges, and where
one in fifty does, the expected score has already lost more than a usual tolerance.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from scipy import special

from analysis.outcomes import Group, Outcome, Point, Setting, best, chosen_setting, points_of
from analysis.study_design import StudyDesign
from trainables.history import DIVERGED, DONE

CONFIDENCE = 0.95
"""The confidence of each one-sided bound of a margin."""

LIKELY = 0.5
"""A learning rate is taken to lie below the edge when its probability of holding is above this."""

UNSETTLED = 0.3
"""The standard deviation of a single run that falls short is taken to be at least this share of its shortfall."""


class Reference(NamedTuple):
    """The score that others are compared with, and the number of runs it is the mean of."""

    score: float
    runs: int


class Spread(NamedTuple):
    """By how much the score of one run varies between seeds.

    Attributes:
        squares, freedom: the sum of the squared deviations of scores from the mean score of their learning rate, over
            all learning rates that reach A0 - tolerance; and the degrees of freedom of that sum.
        floor: the part of the standard deviation that comes from the limited number of validation samples.
    """

    squares: float
    freedom: int
    floor: float

    @property
    def deviation(self) -> float:
        """The standard deviation of one run at a learning rate that reaches A0 - tolerance."""
        return max(math.sqrt(self.squares / self.freedom) if self.freedom else 0.0, self.floor)

    def at(self, point: Point, shortfall: float) -> tuple[float, float]:
        """The standard deviation of one run at a point and its degrees of freedom, infinite where the floor is larger.

        Near the edge, scores vary far more between seeds. So where a point falls short, the variation of its own runs
        is included, and the deviation of a single run is taken to be at least UNSETTLED times its shortfall.
        """
        squares, freedom = self.squares, self.freedom
        if shortfall > 0:
            squares += _squares(point.scores)
            freedom += len(point.scores) - 1
        deviation = math.sqrt(squares / freedom) if freedom else 0.0
        if len(point.scores) == 1:
            deviation = max(deviation, UNSETTLED * shortfall)
        return (deviation, freedom or math.inf) if deviation > self.floor else (self.floor, math.inf)


class Verdict(StrEnum):
    """The verdict on one learning rate: it holds, it fails, or it is undecided, which another seed may change."""

    HOLDS = "holds"
    FAILS = "fails"
    UNDECIDED = "undecided"


class Margin(NamedTuple):
    """How far the score of a point lies above the score that it must reach.

    Attributes:
        value: score - (reference - tolerance).
        lower, upper: the one-sided 95 % bounds of the value.
        error: the standard error of the point's own mean.
        freedom: the degrees of freedom of that error.
        broken: whether a run at the point diverged or was given up.
    """

    value: float
    lower: float
    upper: float
    error: float
    freedom: float
    broken: bool

    @property
    def verdict(self) -> Verdict:
        if self.broken or self.upper < 0:
            return Verdict.FAILS
        return Verdict.HOLDS if self.lower > 0 else Verdict.UNDECIDED

    def holds(self, shift: float) -> float:
        """The probability that the margin is above zero, if the reference were higher by the shift."""
        if self.broken:
            return 0.0
        distance = (self.value - shift) / self.error
        return float(special.stdtr(self.freedom, distance) if math.isfinite(self.freedom) else special.ndtr(distance))


@dataclass(frozen=True)
class Baseline:
    """The baseline batch size at its own best learning rate.

    Attributes:
        learning_rate, setting: those of the best tuning run. Tuning runs have seed 0. Rates at which a run diverged are
            left out.
        scores, train_scores: the scores of the other seeds at that learning rate, which took no part in the tuning.
        diverged: whether runs diverged at every rate tried, so that nothing can be judged against it.
    """

    learning_rate: float
    scores: tuple[float, ...]
    train_scores: tuple[float, ...]
    diverged: bool
    setting: Setting = ()

    @property
    def reference(self) -> Reference:
        """A0, the mean of the scores. Raises ZeroDivisionError before a seed has finished."""
        return Reference(sum(self.scores) / len(self.scores), len(self.scores))

    @property
    def train_score(self) -> float:
        return sum(self.train_scores) / len(self.train_scores)


class Standard(NamedTuple):
    """What the runs of a study are judged against.

    Attributes:
        baseline: a baseline whose seeds have run, so that there is an A0.
        spread: the variation of one run between seeds.
    """

    baseline: Baseline
    spread: Spread


def standard(design: StudyDesign, outcomes: Sequence[Outcome]) -> Standard | None:
    """The standard that the runs so far give; None before a seed of the baseline has run."""
    baseline = find_baseline(outcomes, design.baseline)
    if baseline is None or not baseline.scores:
        return None
    return Standard(baseline, spread_between_seeds(outcomes, baseline, design.tolerance, design.floor))


def find_baseline(outcomes: Iterable[Outcome], group: Group) -> Baseline | None:
    """The baseline as the runs so far give it; None before the first run of its group has finished."""
    runs = [run for run in outcomes if run.group == group and run.is_evidence]
    setting = chosen_setting(runs, group)
    broken = {run.learning_rate for run in runs if run.status == DIVERGED and run.setting == setting}
    tried = points_of((run for run in runs if run.seed == 0), group)
    tuned = best([point for point in tried if point.learning_rate not in broken] or tried)
    if tuned is None:
        return None
    there = [run for run in runs if run.learning_rate == tuned.learning_rate and run.setting == setting]
    fresh = [run for run in there if run.seed != 0]
    return Baseline(
        tuned.learning_rate,
        tuple(run.score for run in fresh),
        tuple(run.train_score for run in fresh),
        any(run.status == DIVERGED for run in there),
        setting,
    )


def spread_between_seeds(
    outcomes: Iterable[Outcome], baseline: Baseline, tolerance: float, floor: Callable[[float], float]
) -> Spread:
    """The spread of one run between seeds, from every learning rate that ran with more than one seed.

    Args:
        outcomes: the outcomes of every group.
        baseline: the baseline, which sets A0. Only rates whose mean score reaches A0 - tolerance are used.
        tolerance: how far below A0 a score still holds, in the score's unit.
        floor: gives, for a score, the standard deviation that comes from the limited number of validation samples.
    """
    score = baseline.reference.score
    runs: dict[tuple[Group, float, Setting], list[float]] = defaultdict(list)
    for run in outcomes:
        if run.status == DONE:
            runs[run.group, run.learning_rate, run.setting].append(run.score)
    settled = [each for each in runs.values() if sum(each) / len(each) >= score - tolerance]
    return Spread(
        squares=sum(map(_squares, settled)),
        freedom=sum(len(each) - 1 for each in settled),
        floor=floor(score),
    )


def _squares(scores: Sequence[float]) -> float:
    mean = sum(scores) / len(scores)
    return sum((score - mean) ** 2 for score in scores)


def margin(point: Point, reference: Reference, tolerance: float, spread: Spread) -> Margin:
    """The margin of a point, score - (reference - tolerance), with its bounds. The tolerance is in the score's unit."""
    value = point.score - (reference.score - tolerance)
    deviation, freedom = spread.at(point, -value)
    student = special.stdtrit(freedom, CONFIDENCE) if math.isfinite(freedom) else special.ndtri(CONFIDENCE)
    floor = float(special.ndtri(CONFIDENCE)) * spread.floor
    reach = max(float(student) * deviation, floor) * math.sqrt(1 / len(point.scores) + 1 / reference.runs)
    error = deviation / math.sqrt(len(point.scores))
    return Margin(value, value - reach, value + reach, error, freedom, point.broken)


def verdicts(points: Sequence[Point], reference: Reference, tolerance: float, spread: Spread) -> dict[float, Verdict]:
    """The verdict on each learning rate."""
    return {point.learning_rate: margin(point, reference, tolerance, spread).verdict for point in points}
