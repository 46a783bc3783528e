"""Where a batch size's edge is expected before its own runs say so: a straight line through the nearest edges.

    log2 eta*(B) = a + alpha * log2 B + scatter

with alpha about 0.5, give or take 0.5, before the first edge, and a scatter of about a third of an octave. It says
where to look first, never what is reported: the interval of an edge comes from its own runs alone.
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from analysis.belief import Belief
from analysis.outcomes import Group
from analysis.study_design import StudyDesign

SLOPE, SLOPE_DEVIATION = 0.5, 0.5
"""Between no growth and the linear rule."""
SCATTER = 0.35
"""Octaves by which an edge strays from the line through its neighbours."""
ABOVE_BEST, ABOVE_BEST_DEVIATION = 1.5, 1.5
"""Octaves from the baseline's best learning rate up to its edge."""
NEAREST = 3
"""Edges that count: what grows at first may saturate, or fall."""
ELSEWHERE = 0.1
"""Probability that the line is of no use, and the edge anywhere in the range."""


class Expectation(NamedTuple):
    """A normal distribution over log2 learning rate, and a little of everywhere."""

    mean: float
    deviation: float

    def density(self, rates: np.ndarray) -> np.ndarray:
        """At log2 learning rates that span the range evenly, (cells,); sums to 1."""
        normal = np.exp(-0.5 * ((rates - self.mean) / self.deviation) ** 2)
        total = normal.sum()
        near = normal / total if total > 0 else np.zeros_like(rates)
        return (1 - ELSEWHERE) * near + ELSEWHERE / len(rates)


def expected_edge(design: StudyDesign, group: Group, base: float, beliefs: Mapping[Group, Belief]) -> Expectation:
    """Where a group's edge should lie.

    Args:
        base: the baseline's best learning rate.
        beliefs: what is known of other groups' edges; those of the same technique are used where there are any.
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
    """A quantile, at most an octave above the range."""
    return min(belief.quantile(probability), float(belief.starts[-1]) + 1.0)
