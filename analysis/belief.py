"""The belief: the probability of where a group's edge lies, over log2 learning rate, computed from the group's runs.

The edge x* is the highest log2 learning rate at which the margin falls through zero. A model of noisy verdicts gives
the probability of each place of x*, given the runs of a group:

    P(x* | runs) ~ prior(x*) * mean over A0 of  prod_i P(runs at x_i | x*, A0)

    P(runs at x_i | x*, A0) = h (1 - e) + (1 - h) e     between the lower edge and x*
                            = h e + (1 - h) (1 - e)     below the lower edge: too few steps
                            = h l + (1 - h) (1 - l)     above x*, times the chance of ending in the way it did

Here h is the probability that the margin at x_i is above zero, given only the n runs at x_i (Student's t); e is the
probability that a learning rate behaves differently from its neighbours; and l is the probability that n runs above the
edge come out well by luck. The lower edge is the learning rate below which a run makes too little progress. The ways in
which a run above x* can end are that it comes out well, falls short, or diverges.

There are two kinds of edges: at one the score falls, and runs come out well by luck only just above it; at the other
runs begin to diverge, at first only some of them. The model averages over both kinds, over the place of the lower edge,
and over the error of A0. It assumes no law across batch sizes, so that a law can be fitted to its results.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from analysis.outcomes import Point, best
from analysis.verdict import LIKELY, Reference, Spread, margin

CELLS_PER_OCTAVE = 32
ODD_SPOT = 0.002
"""The probability that a learning rate behaves differently from its neighbours."""
ABOVE_BEST, ABOVE_BEST_SCALE = 1.0, 1.0
"""The prior of the edge is a Cauchy distribution: the distance of its centre above the group's best learning rate, and
its scale, both in octaves."""
LUCK_OCTAVES = 0.05
"""The distance above an edge where the score falls, in octaves, over which the probability that a run still comes out
well falls by a factor of e."""
LOTTERY = 0.3
"""The probability that an edge is one where runs begin to diverge. Where one run in fifty diverges, the expected score
has already lost more than a usual tolerance."""
LOTTERY_WIDTHS = (0.05, 0.085, 0.12)
"""The share of runs that diverge rises above such an edge along a logistic function. These are the widths, in octaves,
that it may have; they are equally likely."""
LOTTERY_FOOT = 4.4
"""The distance from such an edge up to the middle of the logistic function, in widths of that function. At the edge one
run in eighty diverges, which costs a usual tolerance."""
FALLS_SHORT = 0.3
"""The probability that a run above such an edge falls short although it does not diverge."""
COVERED = 0.90
"""The probability with which the interval of an edge contains it."""

_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(7)


class Belief(NamedTuple):
    """The probability of where the edge of a group lies, given that some learning rate of the group holds.

    Attributes:
        starts: the log2 learning rate where each cell begins, (cells,).
        mass: the probability of each cell, and last the probability that the edge lies above the range, (cells + 1,).
        falling: the part of mass that belongs to edges where the score falls, (cells + 1,).
    """

    starts: np.ndarray
    mass: np.ndarray
    falling: np.ndarray

    def quantile(self, probability: float) -> float:
        """log2 of the learning rate below which the edge lies with this probability; inf if it is above the range."""
        return self._quantile(self.mass, probability)

    @property
    def top(self) -> float:
        """log2 of the range's upper end."""
        return float(self.starts[-1]) + 1 / CELLS_PER_OCTAVE

    @property
    def ends(self) -> tuple[float, float]:
        """log2 of the ends of the 90 % interval; inf for an end above the range.

        From the same runs, an edge where the score falls is expected higher than an edge where runs begin to diverge.
        The upper end is therefore at least as high as if the edge were one where the score falls.
        """
        lower, upper = (1 - COVERED) / 2, (1 + COVERED) / 2
        return self.quantile(lower), max(self.quantile(upper), self._quantile(self.falling, upper))

    @property
    def interval(self) -> tuple[float, float | None]:
        """The 90 % interval of the edge, as learning rates; no upper end (None) if it may lie above the range."""
        lower, upper = self.ends
        return 2.0 ** min(lower, self.top), None if math.isinf(upper) else 2.0**upper

    @property
    def width(self) -> float:
        """The width in octaves of the part of the interval that lies inside the range."""
        lower, upper = self.ends
        return min(upper, self.top) - min(lower, self.top)

    def narrow(self, resolution: float) -> bool:
        """Whether the interval is no wider than the resolution, which is a factor."""
        return math.isfinite(self.ends[1]) and self.width <= math.log2(resolution) + 1e-6

    def _quantile(self, mass: np.ndarray, probability: float) -> float:
        total = np.cumsum(mass)
        cell = int(np.searchsorted(total, probability * total[-1]))
        if cell >= len(self.starts):
            return math.inf
        before = total[cell - 1] if cell else 0.0
        share = (probability * total[-1] - before) / mass[cell]
        return float(self.starts[cell] + share / CELLS_PER_OCTAVE)

    def below(self, rate: float) -> float:
        """The probability that the edge lies below a log2 learning rate."""
        cells = np.clip((rate - self.starts) * CELLS_PER_OCTAVE, 0.0, 1.0)
        return float((self.mass[:-1] * cells).sum() / self.mass.sum())


def edge_belief(
    points: Sequence[Point], reference: Reference, tolerance: float, spread: Spread, limits: tuple[float, float]
) -> Belief:
    """The belief of where a group's edge lies, from the group's points.

    Args:
        points: the group's points, in ascending order of the learning rate.
        reference: the score that they are judged against: A0 or the group's own best.
        tolerance: how far below the reference a score still holds, in the score's unit.
        spread: the variation of one run between seeds.
        limits: the lowest and the highest learning rate of the searched range.
    """
    low, high = math.log2(limits[0]), math.log2(limits[1])
    starts = low + np.arange(max(1, math.ceil((high - low) * CELLS_PER_OCTAVE))) / CELLS_PER_OCTAVE
    edges = np.append(starts + 0.5 / CELLS_PER_OCTAVE, high + 0.5)  # (cells + 1,): last is above the range
    errors = _NODES * spread.deviation / math.sqrt(reference.runs)  # (nodes,): errors of A0
    margins = [margin(point, reference, tolerance, spread) for point in points]
    holds = np.array([[each.holds(error) for error in errors] for each in margins]).reshape(len(points), len(errors))
    below, prior = _below(points, holds, edges, low), _prior(points, edges)
    prior[-1] *= CELLS_PER_OCTAVE
    fall = partial(_fall, diverges=_share_diverged(points, holds))
    falling = (1 - LOTTERY) * (_WEIGHTS @ (_above(points, holds, edges, fall) * below)) * prior
    lotteries = [_above(points, holds, edges, partial(_lottery, width=width)) for width in LOTTERY_WIDTHS]
    diverging = LOTTERY * (_WEIGHTS @ (sum(lotteries) / len(lotteries) * below)) * prior
    total = (falling + diverging).sum()
    return Belief(starts, (falling + diverging) / total, falling / total)


def _prior(points: Sequence[Point], edges: np.ndarray) -> np.ndarray:
    """The prior of an edge at log2 learning rates, up to a factor. It depends only on the group's best rate."""
    top = best(points)
    if top is None:
        return np.ones_like(edges)
    return 1 / (1 + ((edges - math.log2(top.learning_rate) - ABOVE_BEST) / ABOVE_BEST_SCALE) ** 2)


def _below(points: Sequence[Point], holds: np.ndarray, edges: np.ndarray, low: float) -> np.ndarray:
    """P(runs at rates below the edge), (nodes, cells + 1), averaged over the place of the lower edge."""
    rates = [math.log2(point.learning_rate) for point in points]
    top = best(points)
    inside = holds * (1 - ODD_SPOT) + (1 - holds) * ODD_SPOT  # (points, nodes)
    slow = holds * ODD_SPOT + (1 - holds) * (1 - ODD_SPOT)
    slow[[top is not None and point.learning_rate > top.learning_rate for point in points]] = ODD_SPOT
    bounds = np.array([low - 1.0, *rates])
    result = np.empty((holds.shape[1] if len(points) else len(_NODES), len(edges)))
    for count in range(len(points) + 1):  # `count` points lie below the edge
        here = (edges >= bounds[count]) & (edges < (rates[count] if count < len(points) else math.inf))
        total = np.zeros((len(result), int(here.sum())))
        for first in range(count + 1):  # the lower edge lies just below the point `first`
            end = bounds[first + 1] if first < count else edges[here]
            runs = slow[:first].prod(axis=0) * inside[first:count].prod(axis=0)
            total += runs[:, None] * (end - bounds[first])
        result[:, here] = total / (edges[here] - bounds[0])
    return result


Above = Callable[[Point, np.ndarray, np.ndarray], np.ndarray]
"""A function: (point, its probability of holding, its distance above the edge in octaves) -> P(its runs)."""


def _above(points: Sequence[Point], holds: np.ndarray, edges: np.ndarray, runs: Above) -> np.ndarray:
    """P(runs at rates above the edge), (nodes, cells + 1)."""
    result = np.ones((len(_NODES), len(edges)))
    for point, hold in zip(points, holds, strict=True):
        distance = math.log2(point.learning_rate) - edges
        result *= np.where(distance > 0, runs(point, hold[:, None], np.maximum(distance, 0)), 1.0)
    return result


def _share_diverged(points: Sequence[Point], holds: np.ndarray) -> float:
    """The share of failing points at which a run diverged, estimated with one more point of each kind."""
    fails = [point for point, hold in zip(points, holds, strict=True) if hold.mean() < LIKELY]
    return (sum(point.diverged > 0 for point in fails) + 1) / (len(fails) + 2)


def _fall(point: Point, hold: np.ndarray, distance: np.ndarray, diverges: float) -> np.ndarray:
    """P(runs) of a point above an edge where scores fall or all runs diverge: runs come out well only close to it."""
    luck = np.maximum(ODD_SPOT, 0.5 * np.exp(-distance / LUCK_OCTAVES))
    if point.diverged:
        return luck ** (len(point.seeds) - point.diverged) * (1 - luck) * diverges + 0 * hold
    luck = np.maximum(ODD_SPOT, luck ** len(point.seeds))
    return hold * luck + (1 - hold) * (1 - luck) * (1 - diverges)


def _lottery(point: Point, hold: np.ndarray, distance: np.ndarray, width: float) -> np.ndarray:
    """P(runs) of a point above an edge where runs begin to diverge: some diverge by chance, and most others hold."""
    passes = 1 / (1 + np.exp(distance / width - LOTTERY_FOOT))
    finished = len(point.seeds) - point.diverged
    chance = np.maximum(ODD_SPOT, passes**finished * (1 - passes) ** point.diverged)
    return chance + 0 * hold if point.diverged else chance * (FALLS_SHORT + (1 - 2 * FALLS_SHORT) * hold)
