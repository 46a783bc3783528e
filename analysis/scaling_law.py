"""The scaling law: how the maximum scalable learning rate grows with the batch size, and which form this growth has.

    power law          eta* = c * B^alpha
    saturating form    eta* = eta_max / (1 + B_noise / B)
    rise and fall      eta* = 2 * eta_max / (sqrt(B_noise / B) + sqrt(B / B_noise))

Source: McCandlish et al. 2018, "An Empirical Model of Large-Batch Training", equation 2.6 (saturating); Li et al. 2024,
"Surge Phenomenon in Optimal Learning Rate and Batch Size Scaling" (rise and fall, for Adam and its like). Both are
derived for the best learning rate, and are empirical for its maximum.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy import special

from analysis.belief import COVERED, MAY_BE_NONE, Belief
from analysis.expectation import SLOPE, SLOPE_DEVIATION

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
POWER, SATURATING, RISE_AND_FALL = "power law", "saturating", "rise and fall"
"""The forms of a law."""
NOISE_SCALES, BEYOND = 61, 2.0
"""How many values of log2 B_noise are averaged over, and how far outside the batch sizes they reach, in octaves."""


class PowerLaw(NamedTuple):
    """eta* = factor * B^exponent.

    Attributes:
        lower, upper: the ends of the 90 % interval of the exponent.
        edges: the number of edges that the law was fitted to.
        lines: slopes and intercepts, in log2, drawn from the posterior, (LINES, 2).
        forms: the probability of each form, where all were equally likely before.
    """

    factor: float
    exponent: float
    lower: float
    upper: float
    edges: int
    lines: np.ndarray
    forms: Mapping[str, float]

    def band(self, batch_sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The ends of the 90 % interval of the law's learning rate at each batch size."""
        rates = self.lines[:, :1] * np.log2(batch_sizes) + self.lines[:, 1:]  # (lines, batch sizes)
        outside = (1 - COVERED) / 2
        low, high = np.quantile(rates, (outside, 1 - outside), axis=0)
        return 2.0**low, 2.0**high


def fit_power_law(beliefs: Mapping[int, Belief]) -> PowerLaw | str:
    """Fit log2 eta* = log2 c + alpha * log2 B + scatter to beliefs of edges, or return the reason for no fit.

    How probable the other forms are beside it is told by the same likelihood, summed over each form's curves.

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
    near = _near(list(used.values()), heights)
    shapes = _shapes(sizes, middle)
    likely = {form: _likelihood(rises, near, heights) for form, (rises, _) in shapes.items()}
    evidence = {form: float(prior @ likely[form].sum(axis=1)) for form, (_, prior) in shapes.items()}
    posterior = likely[POWER] / likely[POWER].sum()
    of_slopes = np.cumsum(posterior.sum(axis=1))
    outside = (1 - COVERED) / 2
    lower, exponent, upper = (float(np.interp(each, of_slopes, SLOPES)) for each in (outside, 0.5, 1 - outside))
    cells = np.random.default_rng(0).choice(posterior.size, LINES, p=posterior.ravel())
    slopes, levels = SLOPES[cells // len(heights)], heights[cells % len(heights)]
    lines = np.stack([slopes, levels - slopes * middle], axis=1)
    factor = 2.0 ** (float(np.median(levels)) - exponent * middle)
    forms = {form: each / sum(evidence.values()) for form, each in evidence.items()}
    return PowerLaw(factor, exponent, lower, upper, len(used), lines, forms)


def _shapes(sizes: np.ndarray, middle: float) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """For each form, how far its curves rise from the middle to each batch size, and how probable each curve is.

    Args:
        sizes: log2 of the batch sizes.
        middle: log2 of the batch size at which all curves have the same height.

    Returns:
        octaves, (curves, batch sizes), and probabilities, (curves,).
    """
    slopes = np.exp(-0.5 * ((SLOPES - SLOPE) / SLOPE_DEVIATION) ** 2)
    noise = np.linspace(sizes.min() - BEYOND, sizes.max() + BEYOND, NOISE_SCALES)[:, None]
    even = np.full(NOISE_SCALES, 1 / NOISE_SCALES)

    def saturating(size: np.ndarray | float) -> np.ndarray:
        return -np.logaddexp2(0.0, noise - size)

    def rise_and_fall(size: np.ndarray | float) -> np.ndarray:
        return 1.0 - np.logaddexp2((noise - size) / 2, (size - noise) / 2)

    return {
        POWER: (SLOPES[:, None] * (sizes - middle), slopes / slopes.sum()),
        SATURATING: (saturating(sizes) - saturating(middle), even),
        RISE_AND_FALL: (rise_and_fall(sizes) - rise_and_fall(middle), even),
    }


def _near(beliefs: Sequence[Belief], heights: np.ndarray) -> np.ndarray:
    """The logarithm of the density of each belief's edge around each height, (scatters, beliefs, heights)."""
    near = [[_around(belief, heights, float(scatter)) for belief in beliefs] for scatter in SCATTERS]
    return np.log(np.maximum(near, 1e-12))


def _likelihood(rises: np.ndarray, near: np.ndarray, heights: np.ndarray) -> np.ndarray:
    """The likelihood of curves with these rises and heights, averaged over the scatter, (curves, heights).

    Args:
        rises: how far each curve rises from the middle to each belief's batch size, in octaves, (curves, beliefs).
        near: what _near returns.
        heights: log2 of the learning rate in the middle, (heights,).
    """
    total = np.zeros((len(rises), len(heights)))
    for of_scatter, weight in zip(near, _scatter_weights(), strict=True):
        log = np.zeros_like(total)
        for rise, of_belief in zip(rises.T, of_scatter, strict=True):
            log += np.interp(heights + rise[:, None], heights, of_belief)
        total += weight * np.exp(log)
    return total


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
