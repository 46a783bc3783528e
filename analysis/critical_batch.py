"""The critical batch size: up to where larger batches save steps nearly for free.

The samples S that it takes to reach a target grow with the batch size B as

    S(B) = S_min * (1 + B / B_crit)        steps(B) = S(B) / B = steps_min * (1 + B_crit / B)

Far below B_crit twice the batch takes half the steps; far above it takes as many steps and twice the samples. Measured
samples scatter around that law by a factor that is about log-normal. The posterior is computed on a grid of S_min,
B_crit and the scatter. Runs that never reach the target say that S is more than they saw.

Source: McCandlish et al. 2018, "An Empirical Model of Large-Batch Training", equation 2.11 and appendix D; Zhang et al.
2024, "How Does Critical Batch Size Scale in Pre-training?", arXiv 2410.21676, for the overhead of 20 %.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import log_ndtr

from analysis.time_to_target import Fastest

OVERHEAD = 0.2
"""How many more samples than the smallest batch the largest one may take."""
COVERED = 0.9
SCATTER = np.geomspace(0.01, 0.5, 12)
"""The standard deviations of log S that are considered: from a hundredth to a factor 1.6 between runs."""
CRITICAL = np.arange(-4.0, 16.0, 0.125)
"""Log2 of B_crit, in multiples of the smallest batch size."""
SPREAD = np.linspace(-1.5, 1.5, 61)
"""Log S_min, against the smallest batch's mean."""


class CriticalBatch(NamedTuple):
    """The largest batch size that reaches a target with at most 20 % more samples than the smallest.

    Attributes:
        median: of the posterior.
        lower, upper: its 90 % interval; upper is None where the batch sizes that ran do not bound it.
        smallest, largest: the batch sizes that ran and reached the target, or might have.
    """

    median: float
    lower: float
    upper: float | None
    smallest: int
    largest: int


def critical_batch(points: Sequence[Fastest]) -> CriticalBatch | None:
    """The critical batch size of a technique, from its fastest runs at each batch size.

    Args:
        points: one for each batch size, by size.

    Returns:
        None where fewer than two batch sizes have runs, or the smallest one never reaches the target.
    """
    if len(points) < 2 or not all(map(math.isfinite, points[0].logs)):
        return None
    first = points[0].group.batch_size
    centre = float(np.mean(points[0].logs))
    critical = first * 2.0**CRITICAL
    log_posterior = np.zeros((len(CRITICAL), len(SPREAD), len(SCATTER)))
    for point in points:
        law = centre + SPREAD + np.log1p(point.group.batch_size / critical)[:, None]
        for value in point.logs:
            off = ((value if math.isfinite(value) else point.most) - law)[..., None] / SCATTER
            log_posterior += log_ndtr(-off) if math.isinf(value) else -0.5 * off**2 - np.log(SCATTER)
    weights = np.exp(log_posterior - log_posterior.max()).sum((1, 2))
    weights /= weights.sum()
    limit = (1 + OVERHEAD) * first + OVERHEAD * critical
    below = np.cumsum(weights)
    outside = (1 - COVERED) / 2
    lower, median, upper = (float(np.interp(share, below, limit)) for share in (outside, 0.5, 1 - outside))
    largest = points[-1].group.batch_size
    return CriticalBatch(min(median, largest), min(lower, largest), upper if upper <= largest else None, first, largest)
