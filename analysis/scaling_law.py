"""The scaling law: how the maximum scalable learning rate grows with the batch size."""

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from scipy import optimize, stats

from analysis.edge import Edge

FEWEST_EDGES = 3
LEAST_SCATTER = 0.05
"""The smallest scatter of edges around a law, in octaves. It keeps the likelihood of an exact fit finite."""


class PowerLaw(NamedTuple):
    """eta* = factor * B^exponent.

    Attributes:
        lower, upper: the ends of the 90 % interval of the exponent.
        edges: the number of edges that the law was fitted to.
        lines: the slope and the intercept, in log2, of every line whose slope lies in the interval of the exponent.
    """

    factor: float
    exponent: float
    lower: float
    upper: float
    edges: int
    lines: tuple[tuple[float, float], ...] = ()

    def band(self, batch_sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The lowest and the highest learning rate that any of the lines has at each batch size."""
        x = np.log2(batch_sizes)
        rates = 2.0 ** np.array([intercept + slope * x for slope, intercept in self.lines])  # (lines, batch sizes)
        return rates.min(axis=0), rates.max(axis=0)


def fit_power_law(edges: Mapping[int, Edge]) -> PowerLaw | str:
    """Fit log2 eta* = log2 c + alpha * log2 B to the intervals of edges, or return the reason why there is no fit.

    Each edge is known to lie between two learning rates, so its likelihood is the probability that a normal
    distribution around the law gives to the values between them (interval-censored regression). The scatter is fitted
    too. The interval of alpha holds all slopes whose profile log-likelihood is within 2.71 / 2 of the best.

    Args:
        edges: the edge at each batch size; edges with a missing end are left out.

    Returns:
        the law, or the reason in words where fewer than three edges have both ends.
    """
    finite = {batch_size: edge for batch_size, edge in edges.items() if edge.finite}
    if len(finite) < FEWEST_EDGES:
        return f"no exponent: it takes {FEWEST_EDGES} finite edges, and there are {len(finite)}"
    x = np.log2(list(finite))
    low = np.log2([edge.lower or 0.0 for edge in finite.values()])
    high = np.log2([edge.upper or 0.0 for edge in finite.values()])

    def fit(slope: float) -> tuple[float, float]:
        """The smallest negative log-likelihood for a slope, and the intercept at which it is reached."""
        middle = float(np.mean((low + high) / 2 - slope * x))
        result = optimize.minimize(
            lambda parameters: _surprise(x, low, high, slope, *parameters), (middle, -1.0), method="Nelder-Mead"
        )
        return float(result.fun), float(result.x[0])

    slopes = np.linspace(-2.0, 3.0, 251)
    fits = [fit(slope) for slope in slopes]
    surprises = np.array([surprise for surprise, _ in fits])
    near = surprises <= surprises.min() + stats.chi2.ppf(0.90, 1) / 2
    inside = slopes[near]
    lines = tuple((float(slope), fits[at][1]) for at, slope in enumerate(slopes) if near[at])
    # All slopes that pass through every interval are equally good, so the middle one of them is taken.
    flat = slopes[surprises <= surprises.min() + 1e-3]
    exponent = float(flat.mean())
    return PowerLaw(2.0 ** fit(exponent)[1], exponent, float(inside.min()), float(inside.max()), len(finite), lines)


def _surprise(
    x: np.ndarray, low: np.ndarray, high: np.ndarray, slope: float, intercept: float, log_scatter: float
) -> float:
    """Negative log-likelihood of the intervals."""
    scatter = LEAST_SCATTER + math.exp(min(log_scatter, 5.0))
    centre = intercept + slope * x
    mass = stats.norm.cdf((high - centre) / scatter) - stats.norm.cdf((low - centre) / scatter)
    return float(-np.log(np.maximum(mass, 1e-300)).sum())
