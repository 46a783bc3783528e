"""The scaling law: how the maximum scalable learning rate grows with the batch size."""

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from scipy import special

from analysis.belief import COVERED, MAY_BE_NONE, Belief

FEWEST_EDGES = 3
SCATTERS = 0.05 * 2.0 ** np.arange(0.0, 5.1, 0.5)
"""The standard deviations of edges around a law, in octaves, that are averaged over."""
USUAL_SCATTER = 0.15
"""The scale, in octaves, of their prior, a half-Cauchy distribution, whose tail widens the interval from few edges."""
SLOPES = np.linspace(-2.0, 3.0, 201)
STEP = 1 / 16
"""Spacing, in octaves, of the grid of edges and of heights of the line."""
MARGIN = 4.0
"""How far outside the range a line may pass, in octaves."""
ABOVE = 0.2
"""How much room the prior of an edge leaves above the range, as a share of the range's width."""
LINES = 2000


class PowerLaw(NamedTuple):
    """eta* = factor * B^exponent.

    Attributes:
        lower, upper: the ends of the 90 % interval of the exponent.
        edges: the number of edges that the law was fitted to.
        lines: slopes and intercepts, in log2, drawn from the posterior, (LINES, 2).
    """

    factor: float
    exponent: float
    lower: float
    upper: float
    edges: int
    lines: np.ndarray

    def band(self, batch_sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The ends of the 90 % interval of the law's learning rate at each batch size."""
        rates = self.lines[:, :1] * np.log2(batch_sizes) + self.lines[:, 1:]  # (lines, batch sizes)
        outside = (1 - COVERED) / 2
        low, high = np.quantile(rates, (outside, 1 - outside), axis=0)
        return 2.0**low, 2.0**high


def fit_power_law(beliefs: Mapping[int, Belief]) -> PowerLaw | str:
    """Fit log2 eta* = log2 c + alpha * log2 B + scatter to beliefs of edges, or return the reason for no fit.

    The likelihood of a line is the probability of every belief around it: a wide belief counts for little, the part
    above the searched range as "somewhere above", and the part where nothing holds says nothing about the line. The
    priors of the slope and of the height are flat; the scatter is normal, and its standard deviation is averaged over.
    The exponent is the posterior's median.

    Args:
        beliefs: the belief at each batch size, from its own curves. Where more likely nothing holds, it is left out.

    Returns:
        the law, or the reason in words where fewer than three beliefs have an interval with both ends.
    """
    used = {size: belief for size, belief in beliefs.items() if belief.none < 0.5}
    finite = sum(belief.none <= MAY_BE_NONE and math.isfinite(belief.ends[1]) for belief in used.values())
    if finite < FEWEST_EDGES:
        return f"no exponent: it takes {FEWEST_EDGES} finite edges, and there are {finite}"
    sizes = np.log2(list(used))
    middle = float(sizes.mean())
    low, high = next(iter(used.values())).limits
    heights = np.arange(low - MARGIN, high + MARGIN, STEP)
    posterior = np.zeros((len(SLOPES), len(heights)))
    for scatter, weight in zip(SCATTERS, _scatter_weights(), strict=True):
        log = np.zeros_like(posterior)
        for size, belief in zip(sizes, used.values(), strict=True):
            near = np.log(np.maximum(_around(belief, heights, float(scatter)), 1e-12))
            log += np.interp(heights + SLOPES[:, None] * (size - middle), heights, near)
        posterior += weight * np.exp(log)
    posterior /= posterior.sum()
    of_slopes = np.cumsum(posterior.sum(axis=1))
    outside = (1 - COVERED) / 2
    lower, exponent, upper = (float(np.interp(each, of_slopes, SLOPES)) for each in (outside, 0.5, 1 - outside))
    cells = np.random.default_rng(0).choice(posterior.size, LINES, p=posterior.ravel())
    slopes, levels = SLOPES[cells // len(heights)], heights[cells % len(heights)]
    lines = np.stack([slopes, levels - slopes * middle], axis=1)
    factor = 2.0 ** (float(np.median(levels)) - exponent * middle)
    return PowerLaw(factor, exponent, lower, upper, len(used), lines)


def _scatter_weights() -> np.ndarray:
    """The prior of SCATTERS, which are evenly spaced in the logarithm, (scatters,)."""
    weights = SCATTERS / (1 + (SCATTERS / USUAL_SCATTER) ** 2)
    return weights / weights.sum()


def _around(belief: Belief, heights: np.ndarray, scatter: float) -> np.ndarray:
    """The probability density of a belief's edge around each height of the line, (heights,).

    Where nothing holds, the edge might have been anywhere.
    """
    edges = belief.edges[np.isfinite(belief.edges)]
    low, high = belief.limits
    flat = np.exp(0.5 * ((edges - (low + high) / 2) / ((high - low) / 2)) ** 2)  # takes the prior of an edge off
    cells, places = np.histogram(edges, bins=np.arange(low, high + STEP, STEP), weights=flat)
    centres = (places[:-1] + places[1:]) / 2
    normal = np.exp(-0.5 * ((centres - heights[:, None]) / scatter) ** 2) / (scatter * math.sqrt(2 * math.pi))
    above = 1 - special.ndtr((high - heights) / scatter)
    beyond = int(np.isposinf(belief.edges).sum()) / (ABOVE * (high - low))
    anywhere = int(np.isneginf(belief.edges).sum()) / ((1 + ABOVE) * (high - low))
    return (normal @ cells + beyond * above + anywhere) / len(belief.edges)
