"""Where a group's edge is expected before its own runs show it: on a straight line through the nearest edges.

    log2 eta*(B) = a + alpha * log2 B + scatter

Before the first edge is known, alpha is taken to be 0.5 with a standard deviation of 0.5. The scatter is about a third
of an octave. The line says where to look first, and it gives the joint interval that is reported beside the one from
the group's own curves. The scaling law is fitted to the latter.
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from analysis.belief import Belief
from analysis.fit import resampled
from analysis.outcomes import Group
from analysis.study_design import StudyDesign
from analysis.verdict import LIKELY

SLOPE, SLOPE_DEVIATION = 0.5, 0.5
"""The expected value of alpha, between no growth (0) and the linear rule (1), and its standard deviation."""
SCATTER = 0.35
"""The standard deviation, in octaves, of an edge around the line through its neighbours."""
ABOVE_BEST, ABOVE_BEST_DEVIATION = 1.5, 1.5
"""The expected distance, in octaves, from the baseline's best rate up to its edge, and its standard deviation."""
NEAREST = 3
"""How many edges the line is fitted to. Far edges are left out, because the growth of edges may stop or reverse."""
ELSEWHERE = 0.05
"""The weight of an edge that lies nowhere near the line, relative to one on it."""


class Expectation(NamedTuple):
    """A normal distribution over log2 learning rate, mixed with a small uniform one."""

    mean: float
    deviation: float

    def relative(self, rates: np.ndarray) -> np.ndarray:
        """The probability density of log2 learning rates, (rates,), relative to its peak."""
        return (1 - ELSEWHERE) * np.exp(-0.5 * ((rates - self.mean) / self.deviation) ** 2) + ELSEWHERE


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
    return min(belief.quantile(probability), belief.limits.high + 1.0)


def neighbours(design: StudyDesign, group: Group, base: float, beliefs: Mapping[Group, Belief]) -> Expectation | None:
    """The expectation of a group's edge from the groups that scale; None where there is no other one.

    Args:
        base: the baseline's best learning rate.
        beliefs: the beliefs of all groups that have runs.
    """
    others = {other: each for other, each in beliefs.items() if other != group and each.none < LIKELY}
    return expected_edge(design, group, base, others) if others else None


def joint(belief: Belief, expected: Expectation) -> Belief:
    """The belief of an edge when what the other groups' edges lead one to expect is taken into account."""
    weights = weighted(belief, expected)
    order = np.argsort(belief.edges)
    return Belief(belief.edges[order[resampled(weights[order], 0.5)]], belief.limits)


def weighted(belief: Belief, expected: Expectation) -> np.ndarray:
    """The probability of each curve's edge, in proportion to how much it is expected, (curves,); the sum is 1.

    How probable it is that there is no edge is left as it is.
    """
    edges = np.minimum(belief.edges, belief.limits.high)
    there = np.isfinite(edges)
    weights = np.ones(len(edges))
    if there.any():
        weights[there] = expected.relative(edges[there])
        weights[there] /= weights[there].mean()
    return weights / len(weights)
