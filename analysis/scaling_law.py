"""The law behind the edges: how the maximum scalable learning rate grows with the batch size."""

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from scipy import optimize, stats

from analysis.edge import Edge

FEWEST_EDGES = 3
LEAST_SCATTER = 0.05
"""Octaves by which edges are taken to scatter around a law at least; keeps the likelihood of exact fits finite."""


class PowerLaw(NamedTuple):
    """eta* = factor * B^exponent.

    Attributes:
        lower, upper: 90 % interval of the exponent.
        edges: how many it was fitted to.
    """

    factor: float
    exponent: float
    lower: float
    upper: float
    edges: int


def fit_power_law(edges: Mapping[int, Edge]) -> PowerLaw | str:
    """Fit log2 eta* = log2 c + alpha * log2 B to intervals, or say why not.

    Each edge is known to lie between two learning rates, so its likelihood is the mass that a normal distribution
    around the law puts between them (interval-censored regression); the scatter is fitted too. The interval of alpha
    holds all slopes whose profile likelihood is within 2.71 / 2 of the best.

    Args:
        edges: by batch size; those with an end missing are left out.

    Returns:
        the law, or the reason in words where fewer than three edges are finite.
    """
    finite = {batch_size: edge for batch_size, edge in edges.items() if edge.finite}
    if len(finite) < FEWEST_EDGES:
        return f"no exponent: it takes {FEWEST_EDGES} finite edges, and there are {len(finite)}"
    x = np.log2(list(finite))
    low = np.log2([edge.lower or 0.0 for edge in finite.values()])
    high = np.log2([edge.upper or 0.0 for edge in finite.values()])

    def fit(slope: float) -> tuple[float, float]:
        """The least negative log-likelihood at a slope, and the intercept it is reached at."""
        middle = float(np.mean((low + high) / 2 - slope * x))
        result = optimize.minimize(
            lambda parameters: _surprise(x, low, high, slope, *parameters), (middle, -1.0), method="Nelder-Mead"
        )
        return float(result.fun), float(result.x[0])

    slopes = np.linspace(-2.0, 3.0, 251)
    surprises = np.array([fit(slope)[0] for slope in slopes])
    inside = slopes[surprises <= surprises.min() + stats.chi2.ppf(0.90, 1) / 2]
    flat = slopes[
        surprises <= surprises.min() + 1e-3
    ]  # every slope through all intervals is equally good: the middle one
    exponent = float(flat.mean())
    return PowerLaw(2.0 ** fit(exponent)[1], exponent, float(inside.min()), float(inside.max()), len(finite))


def _surprise(
    x: np.ndarray, low: np.ndarray, high: np.ndarray, slope: float, intercept: float, log_scatter: float
) -> float:
    """Negative log-likelihood of the intervals."""
    scatter = LEAST_SCATTER + math.exp(min(log_scatter, 5.0))
    centre = intercept + slope * x
    mass = stats.norm.cdf((high - centre) / scatter) - stats.norm.cdf((low - centre) / scatter)
    return float(-np.log(np.maximum(mass, 1e-300)).sum())
