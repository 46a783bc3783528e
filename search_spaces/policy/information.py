"""How much a run is expected to tell about an edge: the expected fall of the entropy of where it lies, in bits.

The range is cut into cells, and each curve of a fit has its edge in one of them. A run ends in one of several classes:
it diverges, or its score lies between two of CUTS. The curves say how probable each class is, and each class says which
curves remain. This is the Psi method for the thresholds of psychometric functions.

Source: Kontsevich and Tyler 1999, "Bayesian adaptive estimation of psychometric slope and threshold", section 2.
"""

import math

import numpy as np

from analysis.belief import Belief
from analysis.response_curve import Curves, student4

CUTS = np.array((-6.0, -3.0, -1.5, -0.75, -0.25, 0.25, 0.75, 1.5))
"""The limits of the classes of scores, in tolerances from the bar."""
CELLS_IN_RESOLUTION = 2
"""How many cells there are in an interval as wide as the resolution."""


def classes(curves: Curves, rates: np.ndarray, bar: float, floor: float) -> np.ndarray:
    """P(class of a run | curve), (curves, rates, classes).

    Args:
        rates: log2 learning rates, (rates,).
        bar: the score that a run must reach, in tolerances.
        floor: the standard deviation that the validation samples cause, in tolerances.
    """
    loss, (failing, surviving) = curves.loss(rates), curves.failing(rates)
    ends, cuts = (curves.top - loss)[:, :, None], (bar + CUTS).astype(loss.dtype)  # where runs end that do not fail
    usual = student4((cuts - ends) / curves.spread(loss, floor)[:, :, None])
    collapsed = curves.collapsed(cuts, ends)
    diverging = failing * curves.diverging
    below = surviving[:, :, None] * usual + (failing - diverging)[:, :, None] * collapsed
    cumulative = np.concatenate([np.zeros_like(below[:, :, :1]), below, (1 - diverging)[:, :, None]], axis=2)
    return np.concatenate([diverging[:, :, None], np.diff(cumulative, axis=2)], axis=2)


def cells(belief: Belief, resolution: float) -> np.ndarray:
    """The cell of each curve's edge, (curves,). There is one for no edge, and one for all above the range."""
    low, high = belief.limits
    count = max(1, math.ceil((high - low) * CELLS_IN_RESOLUTION / math.log2(resolution)))
    inside = np.clip(np.nan_to_num((belief.edges - low) / (high - low) * count, neginf=0, posinf=0), 0, count - 1)
    return np.where(
        np.isneginf(belief.edges), count, np.where(np.isposinf(belief.edges), count + 1, inside.astype(int))
    )


def information(of_classes: np.ndarray, of_edges: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The information in bits that a run is expected to give about an edge, (rates,).

    Args:
        of_classes: P(class | curve) at every rate, (curves, rates, classes).
        of_edges: the cell of each curve's edge, (curves,).
        weights: the probability of each curve, (curves,).
    """
    count, rates, kinds = of_classes.shape
    _, places = np.unique(of_edges, return_inverse=True)
    belongs = np.zeros((places.max() + 1, count), of_classes.dtype)
    belongs[places, np.arange(count)] = weights / weights.sum()
    joint = (belongs @ of_classes.reshape(count, -1)).reshape(-1, rates, kinds)  # P(cell and class)
    of_cell, of_class = belongs.sum(axis=1), joint.sum(axis=0)
    expected = of_cell[:, None, None] * of_class
    share = np.divide(joint, expected, out=np.ones_like(joint), where=expected > 1e-12)
    return (joint * np.log2(np.maximum(share, 1e-12))).sum(axis=(0, 2))
