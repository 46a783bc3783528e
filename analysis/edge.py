"""The edge of a group, its maximum learning rate: the 90 % interval, and the rates that were seen to hold and fail."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from analysis.belief import COVERED, SAFE, TYPICAL, Belief, Interval, Limits, last_fall
from analysis.fit import Fit
from analysis.group_fits import best_rate, log_range
from analysis.outcomes import Group, Outcome, Point, leading, points_of, same_rate
from analysis.response_curve import Curves
from analysis.study_design import StudyDesign
from analysis.verdict import LIKELY, SURE, Baseline, Verdict, verdicts
from trainables.history import DONE

SAFE_RUNS = 10
"""The fewest runs of a group that its safe rate is read off: of fewer, all may hold where only four in five do."""


@dataclass(frozen=True)
class Edge:
    """The maximum learning rate of a group.

    Attributes:
        lower, upper: the ends of its 90 % interval. Both are None where nothing holds or nothing may hold; upper is
            None where the edge may lie above the searched range.
        held: the highest learning rate that ran and is judged to hold; None where there is none.
        failed: the lowest learning rate above `held` that ran and is judged to fail; None where there is none.
        flags: "censored" (the edge may lie above the searched range), "none" (nothing holds), "undecided" (more runs
            may change the answer).
        safe: the 90 % interval of the safe learning rate, at which nine runs in ten hold; its upper end is None where
            it may lie above the range. None where it was not measured: where there are fewer than SAFE_RUNS runs, or
            none may be safe.
        failed_below: how many runs failed at rates from the best one up to the lower end, of how many.
    """

    lower: float | None
    upper: float | None
    held: float | None
    failed: float | None
    flags: tuple[str, ...]
    safe: Interval | None = None
    failed_below: tuple[int, int] = (0, 0)

    @property
    def finite(self) -> bool:
        """Whether both ends of the interval are known."""
        return self.lower is not None and self.upper is not None


class Judged(NamedTuple):
    """A group's runs, judged against a score.

    Attributes:
        fit: the curves fitted to the group's runs.
        verdicts: the verdict on each learning rate.
        chances: for each learning rate, the probability that it is scalable.
        belief: where the maximum learning rate may lie; where no run limits it from above, the prior does.
        safe: where the safe learning rate may lie.
        edge: the edge that is reported.
    """

    fit: Fit
    verdicts: dict[float, Verdict]
    chances: dict[float, float]
    belief: Belief
    safe: Belief
    edge: Edge


def bars(fit: Fit, baseline: Baseline, tolerance: float) -> np.ndarray:
    """The score that a run must reach for each of a group's curves, in tolerances, (curves, 1).

    The baseline's own curves are each judged against their own A0. The curves of another group are independent of
    them but for their shape, and are therefore paired with the A0s in another order.
    """
    a0 = baseline.a0 if fit == baseline.fit else baseline.a0[other_order(len(baseline.a0))]
    return (a0 / tolerance - 1)[:, None]


@lru_cache
def other_order(count: int) -> np.ndarray:
    """A fixed order that has nothing to do with the order of the curves."""
    return np.random.default_rng(1).permutation(count)


def times_as_high(edges: np.ndarray, others: np.ndarray) -> tuple[float, float, float]:
    """How many times as high one edge is as another: the median between the ends of the 90 % interval.

    Args:
        edges, others: log2 of both, one for each curve; curves where either is not finite are left out.
    """
    both = np.isfinite(edges) & np.isfinite(others)
    outside = (1 - COVERED) / 2
    lower, median, upper = 2.0 ** np.quantile((edges - others)[both], (outside, 0.5, 1 - outside))
    return float(lower), float(median), float(upper)


def bar_floor(design: StudyDesign, baseline: Baseline) -> float:
    """The standard deviation that the validation samples cause in a score near A0, in tolerances."""
    return design.floor(baseline.score) / design.tolerance


def scalable(design: StudyDesign, outcomes: Sequence[Outcome], group: Group, baseline: Baseline) -> Judged:
    """The maximum scalable learning rate: the group's runs are judged against A0."""
    fit, points = baseline.fits[group], points_of(outcomes, group)
    floor = bar_floor(design, baseline)
    found = _against_a0(fit, baseline, design.tolerance, floor, log_range(design), _rates(points))
    return _judged(design, points, fit, found)


def competitive(design: StudyDesign, outcomes: Sequence[Outcome], group: Group, baseline: Baseline) -> Judged | None:
    """The maximum competitive learning rate: the group's runs are judged against its own best score.

    It is None where no run of the group trained to its end, or none of those is better than a guess.
    """
    trained = [run.score for run in outcomes if run.group == group and run.status == DONE]
    if max(trained, default=-math.inf) <= design.guess:
        return None
    fit, points = baseline.fits[group], points_of(outcomes, group)
    found = _against_own(fit, bar_floor(design, baseline), log_range(design), _rates(points))
    return _judged(design, points, fit, found)


class Reading(NamedTuple):
    """What a group's curves say against a bar.

    Attributes:
        bar: the mean of the score that a run must reach, in tolerances.
        belief, safe: where the maximum and the safe learning rate may lie; where no run limits them from above, the
            prior does.
        chances: for each learning rate that ran, the probability that it is scalable.
    """

    bar: float
    belief: Belief
    safe: Belief
    chances: dict[float, float]


@lru_cache(maxsize=512)
def _against_a0(
    fit: Fit, baseline: Baseline, tolerance: float, floor: float, limits: Limits, rates: tuple[float, ...]
) -> Reading:
    return _reading(fit.curves, bars(fit, baseline, tolerance), floor, limits, rates)


@lru_cache(maxsize=512)
def _against_own(fit: Fit, floor: float, limits: Limits, rates: tuple[float, ...]) -> Reading:
    """The bar lies below the score of a typical run at the group's best learning rate, for each curve."""
    tops = fit.curves.typical(np.array([best_rate(fit)]), floor)
    return _reading(fit.curves, tops - 1, floor, limits, rates)


def _reading(curves: Curves, bar: np.ndarray, floor: float, limits: Limits, rates: tuple[float, ...]) -> Reading:
    belief, safe = last_fall(curves, bar, floor, limits, (TYPICAL, SAFE))
    return Reading(float(bar.mean()), belief, safe, scalable_chances(curves, rates, bar, floor))


def _rates(points: Sequence[Point]) -> tuple[float, ...]:
    return tuple(point.learning_rate for point in points)


def _judged(design: StudyDesign, points: Sequence[Point], fit: Fit, found: Reading) -> Judged:
    known, safe = found.belief, found.safe
    if points:
        highest = points[-1].learning_rate
        if found.chances[highest] > LIKELY:  # no run limits the edge from above, only the prior does
            known, safe = (each.known_up_to(math.log2(highest)) for each in (known, safe))
    of_rates = verdicts(found.chances)
    edge = find_edge(design, points, fit, of_rates, known, safe, found.bar)
    return Judged(fit, of_rates, found.chances, found.belief, safe, edge)


def scalable_chances(curves: Curves, rates: Sequence[float], bar: np.ndarray, floor: float) -> dict[float, float]:
    """For each learning rate, the probability that a typical run there holds."""
    if not rates:
        return {}
    share = (curves.holding(np.log2(np.array(rates)), bar, floor) >= TYPICAL).mean(axis=0)
    return dict(zip(rates, map(float, share), strict=True))


def find_edge(
    design: StudyDesign,
    points: Sequence[Point],
    fit: Fit,
    of_rates: dict[float, Verdict],
    belief: Belief,
    safe: Belief,
    bar: float,
) -> Edge:
    """The edge that the verdicts and the beliefs describe.

    Args:
        design: gives the searched range and the resolution. An interval wider than the resolution is "undecided".
        points: the group's points.
        fit: of the group's runs.
        of_rates: the verdict on each learning rate.
        belief, safe: where the maximum and the safe learning rate may lie.
        bar: the score that a run must reach, in tolerances.
    """
    held = max((rate for rate, verdict in of_rates.items() if verdict is Verdict.HOLDS), default=None)
    above = [rate for rate, verdict in of_rates.items() if verdict is Verdict.FAILS and rate > (held or 0.0)]
    interval = belief.interval if of_rates else None
    if interval is None:
        none = belief.none >= SURE and surrounded(points, design)
        return Edge(None, None, held, None, ("none",) if none else ("undecided",))
    lower, upper = interval
    at_top = upper is None and held is not None and same_rate(held, design.learning_rates[1])
    decided = at_top or (upper is not None and belief.narrow(design.resolution))
    best = best_rate(fit)
    below = [run for run in fit.runs if best <= run.x < math.log2(lower)]
    fails = sum(run.diverged or run.futile or run.score < bar for run in below)
    flags = [*(["censored"] if upper is None else []), *([] if decided else ["undecided"])]
    of_safe = _capped(safe.interval, upper) if len(fit.runs) >= SAFE_RUNS else None
    return Edge(lower, upper, held, min(above, default=None), tuple(flags), of_safe, (fails, len(below)))


def _capped(safe: Interval | None, upper: float | None) -> Interval | None:
    """The interval of the safe rate, which is no higher than the edge."""
    if safe is None or upper is None:
        return safe
    return min(safe[0], upper), min(safe[1] or upper, upper)


def surrounded(points: Sequence[Point], design: StudyDesign) -> bool:
    """Whether learning rates on both sides of the best point have run, or the best point lies at an end of the range.

    Where no point is better than a guess, the highest rate must have diverged or lie at the end of the range, because
    all rates so far may be too low.
    """
    top = leading(points, design.guess)
    if top is None:
        return False
    low, high = design.learning_rates
    highest = max(points, key=lambda point: point.learning_rate)
    below = any(point.learning_rate < top.learning_rate for point in points) or same_rate(top.learning_rate, low)
    above = highest is not top and (top.score > design.guess or highest.diverged > 0)
    return below and (above or same_rate(highest.learning_rate, high))
