"""What runs say of where the edge lies: a probability over log2 learning rate.

The edge x* is the highest log2 learning rate at which the margin crosses zero downwards. A model of noisy verdicts says
where the runs of a group leave it:

    P(x* | runs) ~ prior(x*) * mean over A0 of  prod_i P(runs at x_i | x*, A0)

    P(runs at x_i | x*, A0) = h (1 - e) + (1 - h) e     between the lower edge and x*
                            = h e + (1 - h) (1 - e)     below the lower edge: too few steps
                            = h l + (1 - h) (1 - l)     above x*, times the chance of ending in the way it did

with h the probability that the margin at x_i is above zero given its n runs there alone (Student's t), e the chance of
a spot that behaves against its surroundings, and l that n runs come out well above the edge by luck. An edge is either
one where the score falls, and luck ends at once, or one where runs begin to diverge, now and then at first; both are
averaged over, as are the place of the lower edge and the error of A0. No law across batch sizes enters, so that a law
can be fitted to what comes out.
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
"""Chance that a learning rate behaves against its surroundings."""
ABOVE_BEST, ABOVE_BEST_SCALE = 1.0, 1.0
"""Octaves from a group's best rate up to where its edge is expected, and the scale of a Cauchy distribution there."""
LUCK_OCTAVES = 0.05
"""How far above an edge of falling scores a run may still come out well."""
LOTTERY = 0.3
"""Chance that an edge is one of divergence: the expected score is lost where one run in fifty diverges."""
LOTTERY_WIDTHS = (0.05, 0.085, 0.12)
"""Octaves, of the logistic by which the share of runs that diverge rises above such an edge; all are possible."""
LOTTERY_FOOT = 4.4
"""Of the logistic, in its widths from the edge: there one run in eighty diverges, which costs a usual tolerance."""
FALLS_SHORT = 0.3
"""Chance that a run above it which does not diverge falls short all the same."""
COVERED = 0.90
"""The probability that an edge's interval is to contain it."""

_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(7)


class Belief(NamedTuple):
    """What runs say of the edge of a group, given that some learning rate holds there.

    Attributes:
        starts: log2 learning rate where each cell begins, (cells,).
        mass: probability of each cell, and last that the edge lies above the range, (cells + 1,).
        falling: the same if the edge is one where the score falls.
    """

    starts: np.ndarray
    mass: np.ndarray
    falling: np.ndarray

    def quantile(self, probability: float) -> float:
        """log2 of the learning rate below which the edge lies with this probability; inf above the range."""
        return self._quantile(self.mass, probability)

    @property
    def top(self) -> float:
        """log2 of the range's upper end."""
        return float(self.starts[-1]) + 1 / CELLS_PER_OCTAVE

    @property
    def ends(self) -> tuple[float, float]:
        """log2 of the ends of the 90 % interval; inf above the range.

        Given the same runs, a sharp edge lies higher than an edge of divergence by luck. The upper end allows for it.
        """
        lower, upper = (1 - COVERED) / 2, (1 + COVERED) / 2
        return self.quantile(lower), max(self.quantile(upper), self._quantile(self.falling, upper))

    @property
    def interval(self) -> tuple[float, float | None]:
        """The 90 % interval of the edge, as learning rates; no upper end where the edge may lie above the range."""
        lower, upper = self.ends
        return 2.0 ** min(lower, self.top), None if math.isinf(upper) else 2.0**upper

    @property
    def width(self) -> float:
        """The width of the interval in octaves, as far as it lies inside the range."""
        lower, upper = self.ends
        return min(upper, self.top) - min(lower, self.top)

    def narrow(self, resolution: float) -> bool:
        """Whether the interval is no wider than the resolution, a factor."""
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
        """Probability that the edge lies below a log2 learning rate."""
        cells = np.clip((rate - self.starts) * CELLS_PER_OCTAVE, 0.0, 1.0)
        return float((self.mass[:-1] * cells).sum() / self.mass.sum())


def edge_belief(
    points: Sequence[Point], reference: Reference, tolerance: float, spread: Spread, limits: tuple[float, float]
) -> Belief:
    """What a group's points say of its edge.

    Args:
        points: in ascending order of the learning rate.
        reference: what they are judged against, A0 or the group's own best.
        tolerance: in the score's unit.
        spread: of one run between seeds.
        limits: the searched range, learning rates.
    """
    low, high = math.log2(limits[0]), math.log2(limits[1])
    starts = low + np.arange(max(1, math.ceil((high - low) * CELLS_PER_OCTAVE))) / CELLS_PER_OCTAVE
    edges = np.append(starts + 0.5 / CELLS_PER_OCTAVE, high + 0.5)  # (cells + 1,), the middles; above the range last
    errors = _NODES * spread.deviation / math.sqrt(reference.runs)  # (nodes,), of A0
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
    """How likely an edge is at log2 learning rates, as far as the group's best rate tells."""
    top = best(points)
    if top is None:
        return np.ones_like(edges)
    return 1 / (1 + ((edges - math.log2(top.learning_rate) - ABOVE_BEST) / ABOVE_BEST_SCALE) ** 2)


def _below(points: Sequence[Point], holds: np.ndarray, edges: np.ndarray, low: float) -> np.ndarray:
    """P(runs at rates below the edge), (nodes, cells + 1), summed over where the lower edge lies."""
    rates = [math.log2(point.learning_rate) for point in points]
    top = best(points)
    inside = holds * (1 - ODD_SPOT) + (1 - holds) * ODD_SPOT  # (points, nodes)
    slow = holds * ODD_SPOT + (1 - holds) * (1 - ODD_SPOT)
    slow[[top is not None and point.learning_rate > top.learning_rate for point in points]] = ODD_SPOT
    bounds = np.array([low - 1.0, *rates])
    result = np.empty((holds.shape[1] if len(points) else len(_NODES), len(edges)))
    for count in range(len(points) + 1):  # so many points lie below the edge
        here = (edges >= bounds[count]) & (edges < (rates[count] if count < len(points) else math.inf))
        total = np.zeros((len(result), int(here.sum())))
        for first in range(count + 1):  # the lower edge lies just below the point `first`
            end = bounds[first + 1] if first < count else edges[here]
            runs = slow[:first].prod(axis=0) * inside[first:count].prod(axis=0)
            total += runs[:, None] * (end - bounds[first])
        result[:, here] = total / (edges[here] - bounds[0])
    return result


Above = Callable[[Point, np.ndarray, np.ndarray], np.ndarray]
"""(point, its probability of holding, its distance above the edge in octaves) -> P(its runs)"""


def _above(points: Sequence[Point], holds: np.ndarray, edges: np.ndarray, runs: Above) -> np.ndarray:
    """P(runs at rates above the edge), (nodes, cells + 1)."""
    result = np.ones((len(_NODES), len(edges)))
    for point, hold in zip(points, holds, strict=True):
        distance = math.log2(point.learning_rate) - edges
        result *= np.where(distance > 0, runs(point, hold[:, None], np.maximum(distance, 0)), 1.0)
    return result


def _share_diverged(points: Sequence[Point], holds: np.ndarray) -> float:
    """Share of the points that clearly fail where runs diverged, as far as it is points."""
    fails = [point for point, hold in zip(points, holds, strict=True) if hold.mean() < LIKELY]
    return (sum(point.diverged > 0 for point in fails) + 1) / (len(fails) + 2)


def _fall(point: Point, hold: np.ndarray, distance: np.ndarray, diverges: float) -> np.ndarray:
    """Above an edge where the score falls, or where every run diverges: runs come out well hardly beyond it."""
    luck = np.maximum(ODD_SPOT, 0.5 * np.exp(-distance / LUCK_OCTAVES))
    if point.diverged:
        return luck ** (len(point.seeds) - point.diverged) * (1 - luck) * diverges + 0 * hold
    luck = np.maximum(ODD_SPOT, luck ** len(point.seeds))
    return hold * luck + (1 - hold) * (1 - luck) * (1 - diverges)


def _lottery(point: Point, hold: np.ndarray, distance: np.ndarray, width: float) -> np.ndarray:
    """Above an edge of divergence: each run diverges or comes out well, by chance; few just fall short."""
    passes = 1 / (1 + np.exp(distance / width - LOTTERY_FOOT))
    finished = len(point.seeds) - point.diverged
    chance = np.maximum(ODD_SPOT, passes**finished * (1 - passes) ** point.diverged)
    return chance + 0 * hold if point.diverged else chance * (FALLS_SHORT + (1 - 2 * FALLS_SHORT) * hold)
