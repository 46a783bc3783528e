"""The belief: where a group's edge lies, as a sample of edges, one for each curve of the fit to the group's runs.

The edge of a curve is the highest log2 learning rate in the searched range at which its hold probability falls through
a level: one half for the maximum scalable learning rate, nine tenths for the safe one. The bar that a run must reach is
A0 - tolerance, and each curve is given another A0 of those that the baseline's runs allow. So the error of A0 is part
of the belief. It assumes no law across batch sizes, so that a law can be fitted to its results.
"""

import math
from typing import NamedTuple

import numpy as np

from analysis.response_curve import Curves

CELLS_PER_OCTAVE = 8
"""Hold probabilities are computed at rates this far apart before the edge between two of them is narrowed down."""
HALVINGS = 5
COVERED = 0.90
"""The probability with which the interval of an edge contains it."""
SAMPLING = 0.04
"""By so many octaves each end of an interval varies with the draws of the curves, at the least. An interval is wider by
that at both ends, inside the range."""
MAY_BE_NONE = 0.07
"""An interval is given where the probability that nothing holds is at most this; it can then leave out some curves."""
TYPICAL, SAFE = 0.5, 0.9
"""The share of runs that reach the bar at the maximum scalable learning rate, and at the safe one."""


Interval = tuple[float, float | None]
"""The ends of an interval as learning rates; the upper end is None where it may lie above the searched range."""


class Limits(NamedTuple):
    """log2 of the lowest and the highest learning rate of the searched range."""

    low: float
    high: float


class Belief(NamedTuple):
    """Where an edge lies.

    Attributes:
        edges: log2 learning rates, (curves,): -inf where nothing holds, inf where the edge lies above the range.
        limits: of the range.
    """

    edges: np.ndarray
    limits: Limits

    @property
    def none(self) -> float:
        """The probability that nothing in the range holds."""
        return float(np.isneginf(self.edges).mean())

    @property
    def beyond(self) -> float:
        """The probability that the edge lies above the range."""
        return float(np.isposinf(self.edges).mean())

    def quantile(self, probability: float) -> float:
        """log2 of the rate below which the edge lies with this probability, if there is one; inf above the range."""
        edges = np.sort(self.edges[self.edges > -math.inf])
        return float(edges[min(int(probability * len(edges)), len(edges) - 1)]) if len(edges) else -math.inf

    def known_up_to(self, rate: float) -> "Belief":
        """The belief of which is only said that the edge lies above a log2 learning rate, where it does.

        The range then ends at that rate.
        """
        return Belief(np.where(self.edges > rate, math.inf, self.edges), Limits(self.limits.low, rate))

    @property
    def ends(self) -> tuple[float, float]:
        """log2 of the ends of the interval: the shortest that holds _share_of_sample of all curves, and SAMPLING more.

        The upper end is inf where none inside the range holds so many.
        """
        far = self.limits.high + 1000.0
        edges = np.minimum(np.sort(self.edges[self.edges > -math.inf]), far)
        inside = min(math.ceil(_share_of_sample(len(self.edges)) * len(self.edges)), len(edges))
        if not inside:
            return -math.inf, -math.inf
        first = int((edges[inside - 1 :] - edges[: len(edges) - inside + 1]).argmin())
        upper = float(edges[first + inside - 1])
        if upper == far:
            return max(float(edges[-inside]) - SAMPLING, self.limits.low), math.inf
        return max(float(edges[first]) - SAMPLING, self.limits.low), min(upper + SAMPLING, self.limits.high)

    @property
    def interval(self) -> Interval | None:
        """The 90 % interval as learning rates; its upper end is None where the edge may lie above the range.

        The interval is None where nothing may hold.
        """
        if self.none > MAY_BE_NONE:
            return None
        lower, upper = self.ends
        return 2.0 ** min(lower, self.limits.high), None if math.isinf(upper) else 2.0**upper

    @property
    def width(self) -> float:
        """The width in octaves of the part of the interval that lies inside the range."""
        lower, upper = (min(max(end, self.limits.low), self.limits.high) for end in self.ends)
        return upper - lower

    def narrow(self, resolution: float) -> bool:
        """Whether there is an edge, and its interval is no wider than the resolution, which is a factor."""
        found = self.interval
        return found is not None and found[1] is not None and self.width <= math.log2(resolution) + 1e-6


def _share_of_sample(count: int) -> float:
    """The share of a sample of curves that an interval takes: one standard error more than COVERED.

    The shortest of all windows that hold a share of a finite sample holds less of what the sample was drawn from. The
    error is that of independent curves, the smallest that it can be.
    """
    return COVERED + math.sqrt(COVERED * (1 - COVERED) / max(count, 1))


def last_fall(curves: Curves, bar: np.ndarray, floor: float, limits: Limits, levels: tuple[float, ...]) -> list[Belief]:
    """For each level, where the curves' hold probabilities fall through it for the last time.

    Args:
        bar: the score that a run must reach, in tolerances, (curves, 1).
        floor: the standard deviation of a score that its validation samples cause, in tolerances.
    """
    cells = max(1, math.ceil((limits.high - limits.low) * CELLS_PER_OCTAVE))
    grid = np.linspace(limits.low, limits.high, cells + 1)
    holding = curves.holding(grid, bar, floor)  # (curves, rates)
    beliefs = []
    for level in levels:
        holds = holding >= level
        last = cells - holds[:, ::-1].argmax(axis=1)
        low = grid[last][:, None]
        high = grid[np.minimum(last + 1, cells)][:, None]
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            inside = curves.holding(middle, bar, floor) >= level
            low, high = np.where(inside, middle, low), np.where(inside, high, middle)
        edges = np.where(last == cells, math.inf, ((low + high) / 2)[:, 0])
        beliefs.append(Belief(np.where(holds.any(axis=1), edges, -math.inf), limits))
    return beliefs
