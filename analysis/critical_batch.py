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
from typing import Any, NamedTuple

import numpy as np
from scipy.special import log_ndtr

from analysis.belief import COVERED
from analysis.time_to_target import Fastest

OVERHEAD = 0.2
"""How many more samples than the smallest batch the largest one may take."""
SCATTER = np.geomspace(0.03, 0.5, 12)
"""The standard deviations of log S that are considered: from 3 % to a factor 1.6 between runs."""
FEWEST_SIZES = 3
"""So many batch sizes are needed: any two lie on a law."""
CRITICAL = np.arange(-4.0, 16.0, 1 / 16)
"""Log2 of B_crit, in multiples of the smallest batch size."""
ERRORS = np.linspace(-8.0, 8.0, 33)
"""Log S_min, in its standard errors from what the runs that reached the target say, for each B_crit and scatter."""


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


def at_overhead(first: int, critical: Any) -> Any:
    """The batch size that takes 20 % more samples than the smallest, given B_crit, both in samples."""
    return (1 + OVERHEAD) * first + OVERHEAD * critical


def critical_batch(points: Sequence[Fastest]) -> CriticalBatch | None:
    """The critical batch size of a technique, from its fastest runs at each batch size.

    Args:
        points: one for each batch size, by size.

    Returns:
        None where fewer than FEWEST_SIZES batch sizes have runs, or no run of the smallest one says when it reached the
        target: none did, or all did in their first epoch.
    """
    if len(points) < FEWEST_SIZES or all(run.known != "exactly" for run in points[0].runs):
        return None
    first = points[0].group.batch_size
    critical = first * 2.0**CRITICAL
    told = [(point.group.batch_size, run) for point in points for run in point.runs]
    exact = [(size, run) for size, run in told if run.known == "exactly"]
    centre = np.mean([run.log - np.log1p(size / critical) for size, run in exact], axis=0)
    error = SCATTER / math.sqrt(len(exact))
    smallest = centre[:, None, None] + error[:, None] * ERRORS  # log S_min: (critical, scatter, errors)
    log_posterior = np.zeros_like(smallest) + np.log(error)[:, None]
    for size, run in told:
        off = (run.log - smallest - np.log1p(size / critical)[:, None, None]) / SCATTER[:, None]
        if run.known == "exactly":
            log_posterior += -0.5 * off**2 - np.log(SCATTER)[:, None]
        else:
            log_posterior += log_ndtr(off if run.known == "at most" else -off)
    weights = np.exp(log_posterior - log_posterior.max()).sum((1, 2))
    weights /= weights.sum()
    limit = at_overhead(first, critical)
    below = np.cumsum(weights) - weights / 2
    outside = (1 - COVERED) / 2
    lower, median, upper = (float(np.interp(share, below, limit)) for share in (outside, 0.5, 1 - outside))
    largest = points[-1].group.batch_size
    return CriticalBatch(min(median, largest), min(lower, largest), upper if upper <= largest else None, first, largest)
