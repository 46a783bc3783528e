"""What holds, and where it stops: verdicts on learning rates and the edge between them.

Defined once, here, for the search and for the report. A learning rate is scalable at a batch size when its expected
accuracy over seeds is at least A0 - tolerance, where A0 is the baseline's accuracy. The verdict on one learning rate
rests on the bounds of its margin, accuracy - (A0 - tolerance):

    margin -+ max(t * s, z * floor) * sqrt(1/n + 1/n0)

with n runs here, n0 runs behind A0, s the deviation of one run between seeds and t Student's 95 % point for the runs it
was estimated from, floor the deviation that the evaluation set's size alone causes and z the normal 95 % point. Each
bound is missed once in twenty, so the interval between the highest learning rate that holds and the lowest that fails
above it covers 90 %.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from scipy import stats

from trainables.metrics import DIVERGED, DONE, OUT_OF_MEMORY

CONFIDENCE = 0.95
"""Of each bound; the interval between two bounds covers 90 %."""


class Group(NamedTuple):
    """Runs that may be compared with each other."""

    technique: str
    batch_size: int


class Outcome(NamedTuple):
    """How one run ended.

    Attributes:
        group: its technique and batch size.
        learning_rate: the peak, after scaling.
        seed: 0 where it looked for the best, from 1 where it measured.
        status: one of metrics.STATUSES.
        accuracy, train_accuracy: of the last epoch, 0 to 1.
    """

    group: Group
    learning_rate: float
    seed: int
    status: str
    accuracy: float
    train_accuracy: float

    @property
    def counts(self) -> bool:
        """Whether it says something about its learning rate: it ran to the end, or diverged."""
        return self.status in (DONE, DIVERGED)


class Reference(NamedTuple):
    """The accuracy others are held against, and the number of runs it is the mean of."""

    accuracy: float
    runs: int


class Noise(NamedTuple):
    """What one run's accuracy varies by.

    Attributes:
        squares: sum of squared deviations from the mean of each learning rate.
        freedom: degrees of freedom of that sum.
        floor: standard deviation that sampling so few validation samples causes, sqrt(p(1 - p)/N).
        pooled_from: the mean accuracy that a learning rate needs for its runs to be part of the sum.
    """

    squares: float
    freedom: int
    floor: float
    pooled_from: float

    @property
    def deviation(self) -> float:
        """Standard deviation of one run."""
        return max(math.sqrt(self.squares / self.freedom) if self.freedom else 0.0, self.floor)

    def reach(self, point: "Point") -> float:
        """Half of a 90 % interval of one run at that point; its own runs count even where they are not pooled."""
        squares, freedom = self.squares, self.freedom
        if point.accuracy < self.pooled_from:
            squares += _squares(point.accuracies)
            freedom += len(point.accuracies) - 1
        student = float(stats.t.ppf(CONFIDENCE, freedom)) * math.sqrt(squares / freedom) if freedom else 0.0
        return max(student, float(stats.norm.ppf(CONFIDENCE)) * self.floor)


class Verdict(StrEnum):
    HOLDS = "holds"
    FAILS = "fails"
    UNDECIDED = "undecided"


class Point(NamedTuple):
    """All runs at one learning rate of a group.

    Attributes:
        accuracies: of the runs that count, 0 to 1.
        seeds: of the same.
        diverged: how many of them diverged.
        train_accuracy: their mean.
    """

    learning_rate: float
    accuracies: tuple[float, ...]
    seeds: tuple[int, ...]
    diverged: int
    train_accuracy: float

    @property
    def accuracy(self) -> float:
        return sum(self.accuracies) / len(self.accuracies)


class Margin(NamedTuple):
    """How far a point lies above what it must reach, with its bounds."""

    value: float
    lower: float
    upper: float

    @property
    def verdict(self) -> Verdict:
        if self.lower > 0:
            return Verdict.HOLDS
        return Verdict.FAILS if self.upper < 0 else Verdict.UNDECIDED


@dataclass(frozen=True)
class Baseline:
    """The yardstick: the baseline batch size at its own best learning rate.

    Attributes:
        learning_rate: the best of the tuning runs, those of seed 0.
        accuracies, train_accuracies: of the other seeds there, which took no part in the tuning.
    """

    learning_rate: float
    accuracies: tuple[float, ...]
    train_accuracies: tuple[float, ...]

    @property
    def reference(self) -> Reference:
        """A0. Raises ZeroDivisionError before a seed has finished."""
        return Reference(sum(self.accuracies) / len(self.accuracies), len(self.accuracies))

    @property
    def train_accuracy(self) -> float:
        return sum(self.train_accuracies) / len(self.train_accuracies)


@dataclass(frozen=True)
class Edge:
    """The maximum learning rate of a group, as an interval.

    Attributes:
        held: highest learning rate seen to hold; None where none did.
        failed: lowest seen to fail above it; None where none did.
        flags: "censored" (no failure inside the searched range), "none" (nothing holds), "undecided".
    """

    held: float | None
    failed: float | None
    flags: tuple[str, ...]

    @property
    def finite(self) -> bool:
        """Whether both ends were seen."""
        return self.held is not None and self.failed is not None


def points(outcomes: Iterable[Outcome], group: Group) -> list[Point]:
    """A group's learning rates in ascending order, with the runs that count at each."""
    runs: dict[float, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        if outcome.group == group and outcome.counts:
            runs[outcome.learning_rate].append(outcome)
    return [_point(learning_rate, runs[learning_rate]) for learning_rate in sorted(runs)]


def _point(learning_rate: float, runs: Sequence[Outcome]) -> Point:
    return Point(
        learning_rate,
        tuple(run.accuracy for run in runs),
        tuple(run.seed for run in runs),
        sum(run.status == DIVERGED for run in runs),
        sum(run.train_accuracy for run in runs) / len(runs),
    )


def best(candidates: Sequence[Point]) -> Point | None:
    """The point of the highest mean accuracy; the lowest learning rate among equals."""
    return max(candidates, key=lambda point: point.accuracy, default=None)


def baseline(outcomes: Iterable[Outcome], group: Group) -> Baseline | None:
    """The baseline as far as it is known; None before its group's first run has finished."""
    runs = [run for run in outcomes if run.group == group and run.counts]
    tuned = best(points((run for run in runs if run.seed == 0), group))
    if tuned is None:
        return None
    fresh = [run for run in runs if run.learning_rate == tuned.learning_rate and run.seed != 0]
    return Baseline(
        tuned.learning_rate, tuple(run.accuracy for run in fresh), tuple(run.train_accuracy for run in fresh)
    )


def noise(outcomes: Iterable[Outcome], yardstick: Baseline, tolerance: float, validation_samples: int) -> Noise:
    """What one run's accuracy varies by, from every learning rate that ran with more than one seed.

    Only learning rates that reach A0 - tolerance on average are pooled: near the edge runs scatter far more, and would
    blur the verdict on all others.
    """
    runs: dict[tuple[Group, float], list[float]] = defaultdict(list)
    for outcome in outcomes:
        if outcome.status == DONE:
            runs[outcome.group, outcome.learning_rate].append(outcome.accuracy)
    accuracy = yardstick.reference.accuracy
    pooled_from = accuracy - tolerance
    pool = [accuracies for accuracies in runs.values() if sum(accuracies) / len(accuracies) >= pooled_from]
    return Noise(
        squares=sum(_squares(accuracies) for accuracies in pool),
        freedom=sum(len(accuracies) - 1 for accuracies in pool),
        floor=math.sqrt(accuracy * (1 - accuracy) / validation_samples),
        pooled_from=pooled_from,
    )


def _squares(accuracies: Sequence[float]) -> float:
    mean = sum(accuracies) / len(accuracies)
    return sum((accuracy - mean) ** 2 for accuracy in accuracies)


def margin(point: Point, reference: Reference, tolerance: float, noise: Noise) -> Margin:
    """accuracy - (reference - tolerance), with its one-sided 95 % bounds; tolerance in accuracy, 0.01 for one point."""
    value = point.accuracy - (reference.accuracy - tolerance)
    reach = noise.reach(point) * math.sqrt(1 / len(point.accuracies) + 1 / reference.runs)
    return Margin(value, value - reach, value + reach)


def verdicts(candidates: Sequence[Point], reference: Reference, tolerance: float, noise: Noise) -> dict[float, Verdict]:
    """The verdict on each learning rate."""
    return {point.learning_rate: margin(point, reference, tolerance, noise).verdict for point in candidates}


def edge(
    known: Sequence[Point], found: Mapping[float, Verdict], resolution: float, limits: tuple[float, float]
) -> Edge:
    """The highest learning rate that holds and the lowest that fails above it.

    A failure below one that holds does not count: the edge is where the margin crosses zero downwards for good.

    Args:
        known: the group's points.
        found: the verdict on each of them.
        resolution: a wider interval, as a factor, is flagged undecided.
        limits: the searched range. Without a failure up to its upper end the edge is censored. Where nothing holds, the
            answer is none only if the best point has a neighbour on either side, or lies at the range's end.
    """
    held = max((rate for rate, verdict in found.items() if verdict is Verdict.HOLDS), default=None)
    if held is None:
        failed_all = bool(found) and all(verdict is Verdict.FAILS for verdict in found.values())
        return Edge(None, None, ("none",) if failed_all and _surrounded(known, limits) else ("undecided",))
    above = [rate for rate, verdict in found.items() if rate > held and verdict is Verdict.FAILS]
    if not above:
        return Edge(held, None, ("censored",) if same(held, limits[1]) else ("censored", "undecided"))
    failed = min(above)
    return Edge(held, failed, ("undecided",) if failed / held > resolution * (1 + 1e-6) else ())


def _surrounded(known: Sequence[Point], limits: tuple[float, float]) -> bool:
    """Whether the best point is not at an open end of what was tried."""
    top = best(known)
    if top is None:
        return False
    below = any(point.learning_rate < top.learning_rate for point in known) or same(top.learning_rate, limits[0])
    above = any(point.learning_rate > top.learning_rate for point in known) or same(top.learning_rate, limits[1])
    return below and above


def competitive_verdicts(candidates: Sequence[Point], tolerance: float, noise: Noise) -> dict[float, Verdict]:
    """The same with the group's own best accuracy in place of the baseline's; the best itself holds."""
    top = best(candidates)
    if top is None:
        return {}
    found = verdicts(candidates, Reference(top.accuracy, len(top.accuracies)), tolerance, noise)
    return {**found, top.learning_rate: Verdict.HOLDS}


def why_it_stopped(
    outcomes: Iterable[Outcome], group: Group, yardstick: Baseline, tolerance: float, noise: Noise
) -> str:
    """Why a batch size does not scale, judged at its own best learning rate; empty where it does or may.

    Returns:
        "diverged", "optimisation gap" (training accuracy falls short too), "generalisation gap" (only validation
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
    short = top.train_accuracy < yardstick.train_accuracy - tolerance
    return "optimisation gap" if short else "generalisation gap"


def same(one: float, other: float) -> bool:
    """Whether two learning rates are the same up to rounding."""
    return math.isclose(one, other, rel_tol=1e-6)
