"""Where a group's edge is expected before its own runs show it: on a straight line through the nearest edges.

    log2 eta*(B) = a + alpha * log2 B + scatter

Before the first edge is known, alpha is taken to be 0.5 with a standard deviation of 0.5. The scatter is about a third
of an octave. The line only says where to look first. It does not change what is reported: the interval of an edge comes
from the group's own runs alone.
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from analysis.belief import Belief
from analysis.outcomes import Group
from analysis.study_design import StudyDesign

SLOPE, SLOPE_DEVIATION = 0.5, 0.5
"""The expected value of alpha, between no growth (0) and the linear rule (1), and its standard deviation."""
SCATTER = 0.35
"""The standard deviation, in octaves, of an edge around the line through its neighbours."""
ABOVE_BEST, ABOVE_BEST_DEVIATION = 1.5, 1.5
"""The expected distance, in octaves, from the baseline's best rate up to its edge, and its standard deviation."""
NEAREST = 3
"""How many edges the line is fitted to. Far edges are left out, because the growth of edges may stop or reverse."""
ELSEWHERE = 0.1
"""The probability that the line is wrong and the edge lies anywhere in the range."""


class Expectation(NamedTuple):
    """A normal distribution over log2 learning rate, mixed with a small uniform one over the range."""

    mean: float
    deviation: float

    def density(self, rates: np.ndarray) -> np.ndarray:
        """The probability of each of the log2 learning rates, which span the range evenly, (cells,); the sum is 1."""
        normal = np.exp(-0.5 * ((rates - self.mean) / self.deviation) ** 2)
        total = normal.sum()
        near = normal / total if total > 0 else np.zeros_like(rates)
        return (1 - ELSEWHERE) * near + ELSEWHERE / len(rates)


def expected_edge(design: StudyDesign, group: Group, base: float, beliefs: Mapping[Group, Belief]) -> Expectation:
    """The expectation of where a group's edge lies.

    Args:
        base: the baseline's best learning rate.
        beliefs: the beliefs of other groups' edges. Where there are any of the same technique, only these are used.
    """
    same = {other: belief for other, belief in beliefs.items() if other.technique == group.technique} or beliefs
    size = math.log2(group.batch_size)
    nearest = sorted(same, key=lambda other: abs(math.log2(other.batch_size) - size))[:NEAREST]
    rows, values, deviations = [(0.0, 1.0)], [SLOPE], [SLOPE_DEVIATION]
    rows.append((1.0, math.log2(design.baseline.batch_size) - size))
    values.append(math.log2(base) + ABOVE_BEST)
    deviations.append(ABOVE_BEST_DEVIATION)
    for other in nearest:
        low, middle, high = (_finite(same[other], share) for share in (0.05, 0.5, 0.95))
        rows.append((1.0, math.log2(other.batch_size) - size))
        values.append(middle)
        deviations.append(math.hypot((high - low) / 3.29, SCATTER))
    weights = 1 / np.array(deviations)
    matrix = np.array(rows) * weights[:, None]
    covariance = np.linalg.inv(matrix.T @ matrix)
    mean = covariance @ matrix.T @ (np.array(values) * weights)
    return Expectation(float(mean[0]), math.sqrt(covariance[0, 0] + SCATTER**2))


def _finite(belief: Belief, probability: float) -> float:
    """A quantile of a belief, at most an octave above the range."""
    return min(belief.quantile(probability), float(belief.starts[-1]) + 1.0)
