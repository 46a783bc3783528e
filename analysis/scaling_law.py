"""The scaling law: how the maximum scalable learning rate grows with the batch size, and which form this growth has."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy import special

from analysis.belief import COVERED, MAY_BE_NONE, Belief
from analysis.law_forms import POWER, SLOPES, Form, forms

FEWEST_EDGES = 3
SCATTERS = 0.05 * 2.0 ** np.arange(0.0, 5.1, 0.5)
"""The standard deviations of edges around a law, in octaves, that are averaged over."""
USUAL_SCATTER = 0.15
"""The scale, in octaves, of their prior, a half-Cauchy distribution, whose tail widens the interval from few edges."""
STEP = 1 / 16
"""Spacing, in octaves, of the grid of edges and of heights of the line."""
MARGIN = 4.0
"""How far outside the range a line may pass, in octaves."""
ABOVE = 0.2
"""How much room the prior of an edge leaves above the range, as a share of the range's width."""
LINES = 2000
TAILS = 4
"""Degrees of freedom of the distribution of an edge that did not run around its law."""


class Drawn(NamedTuple):
    """Curves of one form, drawn from the posterior; an array is (curves,) where nothing else is said.

    Attributes:
        form: gives the curves' shapes.
        parameters: of the shapes, (curves, number of parameters).
        heights: log2 of the learning rate at the batch size whose log2 is `middle`.
        scatters: the standard deviations of edges around the curves, in octaves.
    """

    form: Form
    middle: float
    parameters: np.ndarray
    heights: np.ndarray
    scatters: np.ndarray

    def edges(self, size: float) -> np.ndarray:
        """log2 of an edge at a batch size that did not run, given as log2, (curves,).

        It lies around the curve with the tails of a t distribution, because no form has to hold so far.
        """
        at, from_here = self.form.rise(self.parameters, np.array([size, self.middle])).T
        rise = at - from_here
        return self.heights + rise + self.scatters * np.random.default_rng(1).standard_t(TAILS, len(self.heights))


class PowerLaw(NamedTuple):
    """eta* = factor * B^exponent.

    Attributes:
        lower, upper: the ends of the 90 % interval of the exponent.
        edges: the number of edges that the law was fitted to.
        lines: slopes and intercepts, in log2, drawn from the posterior, (LINES, 2).
        forms: the probability of each form of analysis.law_forms, where all were equally likely before.
        drawn: curves of every form, as many of each as it is probable; LINES in all, but for rounding.
    """

    factor: float
    exponent: float
    lower: float
    upper: float
    edges: int
    lines: np.ndarray
    forms: Mapping[str, float]
    drawn: Sequence[Drawn]

    def band(self, batch_sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The ends of the 90 % interval of the law's learning rate at each batch size."""
        rates = self.lines[:, :1] * np.log2(batch_sizes) + self.lines[:, 1:]  # (lines, batch sizes)
        outside = (1 - COVERED) / 2
        low, high = np.quantile(rates, (outside, 1 - outside), axis=0)
        return 2.0**low, 2.0**high

    def edges_at(self, batch_size: int) -> np.ndarray:
        """log2 of where the edge may lie at a batch size that did not run, in whatever form the law has, (curves,)."""
        return np.concatenate([each.edges(math.log2(batch_size)) for each in self.drawn])


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
        there = "there is" if finite == 1 else "there are"
        return f"no exponent: it takes {FEWEST_EDGES} finite edges, and {there} {finite}"
    sizes = np.log2(list(used))
    middle = float(sizes.mean())
    low, high = next(iter(used.values())).limits
    heights = np.arange(low - MARGIN, high + MARGIN, STEP)
    near = _near(list(used.values()), heights)
    of_forms = forms(sizes)
    likely = {name: _likelihood(form, sizes, middle, near, heights) for name, form in of_forms.items()}
    weighted = {name: likely[name] * form.prior[:, None] for name, form in of_forms.items()}
    evidence = {name: float(each.sum()) for name, each in weighted.items()}
    shares = {name: each / sum(evidence.values()) for name, each in evidence.items()}
    posterior = likely[POWER].sum(axis=0)
    posterior /= posterior.sum()
    of_slopes = np.cumsum(posterior.sum(axis=1))
    outside = (1 - COVERED) / 2
    lower, exponent, upper = (float(np.interp(each, of_slopes, SLOPES)) for each in (outside, 0.5, 1 - outside))
    cells = np.random.default_rng(0).choice(posterior.size, LINES, p=posterior.ravel())
    slopes, levels = SLOPES[cells // len(heights)], heights[cells % len(heights)]
    lines = np.stack([slopes, levels - slopes * middle], axis=1)
    factor = 2.0 ** (float(np.median(levels)) - exponent * middle)
    drawn = [
        _drawn(form, middle, weighted[name], heights, round(LINES * shares[name])) for name, form in of_forms.items()
    ]
    return PowerLaw(factor, exponent, lower, upper, len(used), lines, shares, drawn)


def _drawn(form: Form, middle: float, weighted: np.ndarray, heights: np.ndarray, count: int) -> Drawn:
    """Curves of one form, drawn in proportion to their weights, (scatters, curves, heights)."""
    cells = np.random.default_rng(0).choice(weighted.size, count, p=(weighted / weighted.sum()).ravel())
    scatters, parameters, levels = np.unravel_index(cells, weighted.shape)
    return Drawn(form, middle, form.parameters[parameters], heights[levels], SCATTERS[scatters])


def _near(beliefs: Sequence[Belief], heights: np.ndarray) -> np.ndarray:
    """The logarithm of the density of each belief's edge around each height, (scatters, beliefs, heights)."""
    near = [[_around(belief, heights, float(scatter)) for belief in beliefs] for scatter in SCATTERS]
    return np.log(np.maximum(near, 1e-12))


def _likelihood(form: Form, sizes: np.ndarray, middle: float, near: np.ndarray, heights: np.ndarray) -> np.ndarray:
    """The likelihood of a form's curves, times the prior of the scatter, (scatters, curves, heights).

    Args:
        sizes: log2 of the batch sizes of the beliefs, (beliefs,).
        middle: log2 of the batch size at which a curve has its height.
        near: what _near returns.
        heights: log2 of the learning rate there, (heights,).
    """
    rises = form.rise(form.parameters, sizes) - form.rise(form.parameters, np.array([middle]))  # (curves, beliefs)
    log = np.zeros((len(SCATTERS), len(rises), len(heights)))
    for of_scatter, total in zip(near, log, strict=True):
        for rise, of_belief in zip(rises.T, of_scatter, strict=True):
            total += np.interp(heights + rise[:, None], heights, of_belief)
    return _scatter_weights()[:, None, None] * np.exp(log)


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
