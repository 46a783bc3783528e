"""What holds: verdicts on learning rates.

Defined once, here, for the search and for the report. A run's score is what its task's metric makes of it: accuracy, or
minus the loss where perplexity counts; more is better. A learning rate is scalable at a batch size when its expected
score over seeds is at least A0 - tolerance, where A0 is the baseline's score. The verdict on one learning rate
rests on the bounds of its margin, score - (A0 - tolerance):

    margin -+ max(t * s, z * floor) * sqrt(1/n + 1/n0)

with n runs here, n0 runs behind A0, s the deviation of one run between seeds and t Student's 95 % point for the runs it
was estimated from, floor the deviation that the evaluation set's size alone causes and z the normal 95 % point. Each
bound is missed once in twenty. A learning rate at which a run diverged fails: one divergence in n runs says that about
one in n diverges, and where one in fifty does, the expected score has already lost more than a usual tolerance.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from scipy import special

from trainables.metrics import DIVERGED, DONE, OUT_OF_MEMORY, STOPPED_EARLY

CONFIDENCE = 0.95
"""Of each bound."""

LIKELY = 0.5
"""Probability of holding from which a rate is taken to have an edge above it."""

UNSETTLED = 0.3
"""A single run that falls short may vary by this share of what it falls short by."""


class Group(NamedTuple):
    """Runs that may be compared with each other."""

    technique: str
    batch_size: int


Setting = tuple[tuple[str, float], ...]
"""Values of what a study searches besides the learning rate, by name; empty where it searches nothing else."""


class Outcome(NamedTuple):
    """How one run ended.

    Attributes:
        group: its technique and batch size.
        learning_rate: the peak, after scaling.
        seed: 0 where it looked for the best, from 1 where it measured.
        status: one of metrics.STATUSES.
        score, train_score: of the last epoch.
        setting: of the study's further dimensions.
    """

    group: Group
    learning_rate: float
    seed: int
    status: str
    score: float
    train_score: float
    setting: Setting = ()

    @property
    def counts(self) -> bool:
        """Whether it says something about its learning rate: it ran to the end, diverged, or was given up."""
        return self.status in (DONE, DIVERGED) or self.futile

    @property
    def futile(self) -> bool:
        """Whether it was given up as hopeless against the baseline.

        Runs of seed 0 are stopped for being behind each other, which says nothing of that kind.
        """
        return self.status == STOPPED_EARLY and self.seed != 0


class Reference(NamedTuple):
    """The score others are held against, and the number of runs it is the mean of."""

    score: float
    runs: int


class Noise(NamedTuple):
    """What one run's score varies by.

    Attributes:
        squares, freedom: sum of squared deviations from the mean of each learning rate that reaches A0 - tolerance, and
            its degrees of freedom.
        floor: standard deviation that sampling so few validation samples causes.
    """

    squares: float
    freedom: int
    floor: float

    @property
    def deviation(self) -> float:
        """Standard deviation of one run where training is settled."""
        return max(math.sqrt(self.squares / self.freedom) if self.freedom else 0.0, self.floor)

    def at(self, point: "Point", shortfall: float) -> tuple[float, float]:
        """Deviation of one run at that point and its degrees of freedom, infinite where the floor is larger.

        Near the edge runs scatter far more. Where a point falls short its own runs count, and a single run may vary by
        as much as UNSETTLED of its shortfall.
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
    HOLDS = "holds"
    FAILS = "fails"
    UNDECIDED = "undecided"


class Point(NamedTuple):
    """All runs at one learning rate of a group.

    Attributes:
        scores: of the runs that count.
        seeds: of the same.
        diverged, futile: how many of them diverged, and were given up as hopeless.
        train_score: their mean.
    """

    learning_rate: float
    scores: tuple[float, ...]
    seeds: tuple[int, ...]
    diverged: int
    futile: int
    train_score: float

    @property
    def score(self) -> float:
        return sum(self.scores) / len(self.scores)

    @property
    def broken(self) -> bool:
        """Whether a run there diverged or was given up."""
        return self.diverged + self.futile > 0


class Margin(NamedTuple):
    """How far a point lies above what it must reach.

    Attributes:
        value: score - (reference - tolerance).
        lower, upper: its one-sided 95 % bounds.
        error: standard error of the point's mean alone.
        freedom: degrees of freedom of that error.
        broken: a run there diverged or was given up.
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
        """Probability that the point reaches the reference, were that higher by the shift."""
        if self.broken:
            return 0.0
        distance = (self.value - shift) / self.error
        return float(special.stdtr(self.freedom, distance) if math.isfinite(self.freedom) else special.ndtr(distance))


@dataclass(frozen=True)
class Baseline:
    """The yardstick: the baseline batch size at its own best learning rate.

    Attributes:
        learning_rate, setting: of the best of the tuning runs, those of seed 0, where no run diverged.
        scores, train_scores: of the other seeds there, which took no part in the tuning.
        diverged: whether runs diverged at every rate tried, so that nothing can be judged against it.
    """

    learning_rate: float
    scores: tuple[float, ...]
    train_scores: tuple[float, ...]
    diverged: bool
    setting: Setting = ()

    @property
    def reference(self) -> Reference:
        """A0. Raises ZeroDivisionError before a seed has finished."""
        return Reference(sum(self.scores) / len(self.scores), len(self.scores))

    @property
    def train_score(self) -> float:
        return sum(self.train_scores) / len(self.train_scores)


def chosen_setting(outcomes: Iterable[Outcome], group: Group) -> Setting:
    """The setting a group is measured with: that of the best of its runs of seed 0."""
    tried = [run for run in outcomes if run.group == group and run.seed == 0 and run.counts]
    return max(tried, key=lambda run: run.score).setting if tried else ()


def points(outcomes: Iterable[Outcome], group: Group) -> list[Point]:
    """A group's learning rates in ascending order, with the runs that count at each, all of the chosen setting."""
    mine = [run for run in outcomes if run.group == group and run.counts]
    setting = chosen_setting(mine, group)
    runs: dict[float, list[Outcome]] = defaultdict(list)
    for run in mine:
        if run.setting == setting or not setting:
            runs[run.learning_rate].append(run)
    return [_point(learning_rate, runs[learning_rate]) for learning_rate in sorted(runs)]


def _point(learning_rate: float, runs: Sequence[Outcome]) -> Point:
    return Point(
        learning_rate,
        tuple(run.score for run in runs),
        tuple(run.seed for run in runs),
        sum(run.status == DIVERGED for run in runs),
        sum(run.futile for run in runs),
        sum(run.train_score for run in runs) / len(runs),
    )


def with_run(known: Sequence[Point], learning_rate: float, score: float, diverged: bool) -> list[Point]:
    """The points with one more run."""
    others = [point for point in known if point.learning_rate != learning_rate]
    there = next((point for point in known if point.learning_rate == learning_rate), None)
    old = there or Point(learning_rate, (), (), 0, 0, score)
    new = old._replace(
        scores=(*old.scores, score),
        seeds=(*old.seeds, max(old.seeds, default=0) + 1),
        diverged=old.diverged + diverged,
    )
    return sorted([*others, new], key=lambda point: point.learning_rate)


def best(candidates: Sequence[Point]) -> Point | None:
    """The point of the highest mean score; the lowest learning rate among equals."""
    return max(candidates, key=lambda point: point.score, default=None)


def leading(known: Sequence[Point], guess: float) -> Point | None:
    """The best of a group's points; the one of the lowest rate where none is better than a guess, whose luck tells
    nothing: rates too high for any training are left towards lower ones.

    Args:
        guess: the highest score a guess may reach by luck.
    """
    trained = [point for point in known if point.score > guess]
    return best(trained) if trained else min(known, key=lambda point: point.learning_rate, default=None)


def unbroken(known: Sequence[Point]) -> list[Point]:
    """Those of the points where every run ran to its end."""
    return [point for point in known if not point.broken]


def baseline(outcomes: Iterable[Outcome], group: Group) -> Baseline | None:
    """The baseline as far as it is known; None before its group's first run has finished."""
    runs = [run for run in outcomes if run.group == group and run.counts]
    setting = chosen_setting(runs, group)
    broken = {run.learning_rate for run in runs if run.status == DIVERGED and run.setting == setting}
    tried = points((run for run in runs if run.seed == 0), group)
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


def noise(outcomes: Iterable[Outcome], yardstick: Baseline, tolerance: float, floor: Callable[[float], float]) -> Noise:
    """What one run's score varies by, from every learning rate that ran with more than one seed.

    Args:
        floor: of a score, the deviation that judging on so few samples causes alone.
    """
    score = yardstick.reference.score
    runs: dict[tuple[Group, float, Setting], list[float]] = defaultdict(list)
    for run in outcomes:
        if run.status == DONE:
            runs[run.group, run.learning_rate, run.setting].append(run.score)
    settled = [each for each in runs.values() if sum(each) / len(each) >= score - tolerance]
    return Noise(
        squares=sum(map(_squares, settled)),
        freedom=sum(len(each) - 1 for each in settled),
        floor=floor(score),
    )


def _squares(scores: Sequence[float]) -> float:
    mean = sum(scores) / len(scores)
    return sum((score - mean) ** 2 for score in scores)


def margin(point: Point, reference: Reference, tolerance: float, noise: Noise) -> Margin:
    """score - (reference - tolerance) and what is known of it; tolerance in the score's unit."""
    value = point.score - (reference.score - tolerance)
    deviation, freedom = noise.at(point, -value)
    student = special.stdtrit(freedom, CONFIDENCE) if math.isfinite(freedom) else special.ndtri(CONFIDENCE)
    floor = float(special.ndtri(CONFIDENCE)) * noise.floor
    reach = max(float(student) * deviation, floor) * math.sqrt(1 / len(point.scores) + 1 / reference.runs)
    error = deviation / math.sqrt(len(point.scores))
    return Margin(value, value - reach, value + reach, error, freedom, point.broken)


def verdicts(candidates: Sequence[Point], reference: Reference, tolerance: float, noise: Noise) -> dict[float, Verdict]:
    """The verdict on each learning rate."""
    return {point.learning_rate: margin(point, reference, tolerance, noise).verdict for point in candidates}


def why_it_stopped(
    outcomes: Iterable[Outcome], group: Group, yardstick: Baseline, tolerance: float, noise: Noise
) -> str:
    """Why a batch size does not scale, judged at its own best learning rate; empty where it does or may.

    Returns:
        "diverged", "optimisation gap" (training falls short too), "generalisation gap" (only validation
        does), "out of memory", or "".
    """
    runs = [run for run in outcomes if run.group == group]
    candidates = points(runs, group)
    top = best(candidates)
    if top is None:
        return "out of memory" if any(run.status == OUT_OF_MEMORY for run in runs) else ""
    if Verdict.HOLDS in verdicts(candidates, yardstick.reference, tolerance, noise).values():
        return ""
    if margin(top, yardstick.reference, tolerance, noise).verdict is not Verdict.FAILS:
        return ""
    if top.diverged:
        return "diverged"
    short = top.train_score < yardstick.train_score - tolerance
    return "optimisation gap" if short else "generalisation gap"


def same(one: float, other: float) -> bool:
    """Whether two learning rates are the same up to rounding."""
    return math.isclose(one, other, rel_tol=1e-6)
