"""The forms that a scaling law may have, each with a height and parameters that shape it.

    power law          eta* = c * B^alpha
    saturating         eta* = eta_max / (1 + B_noise / B)
    rise and fall      eta* = c / ((B_turn / B)^up + (B / B_turn)^down)

Source: McCandlish et al. 2018, "An Empirical Model of Large-Batch Training", equation 2.6 (saturating); Li et al. 2024,
"Surge Phenomenon in Optimal Learning Rate and Batch Size Scaling" (rise and fall with up = down = 1/2, for Adam and its
like). Both are derived for the best learning rate, and are empirical for its maximum.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from analysis.expectation import SLOPE, SLOPE_DEVIATION

POWER, SATURATING, RISE_AND_FALL = "power law", "saturating", "rise and fall"
SLOPES = np.linspace(-2.0, 3.0, 201)
NOISE_SCALES, BEYOND = 61, 2.0
"""How many values of log2 B_noise are averaged over, and how far outside the batch sizes they reach, in octaves."""
TURNS = 25
"""How many values of log2 B_turn are averaged over; they reach as far."""
STEEPNESS = np.linspace(0.2, 1.2, 6)
"""The values of up and of down that are averaged over."""


class Form(NamedTuple):
    """Curves of log2 eta* over log2 B, up to their height.

    Attributes:
        parameters: alpha, log2 B_noise, or up, down and log2 B_turn, (curves, number of parameters).
        prior: the probability of each curve, (curves,); the sum is 1.
        rise: (parameters, log2 of batch sizes (sizes,)) -> octaves (curves, sizes), up to a constant for each curve.
    """

    parameters: np.ndarray
    prior: np.ndarray
    rise: Callable[[np.ndarray, np.ndarray], np.ndarray]


def forms(sizes: np.ndarray) -> dict[str, Form]:
    """The forms for edges at these batch sizes, given as log2."""
    slopes = np.exp(-0.5 * ((SLOPES - SLOPE) / SLOPE_DEVIATION) ** 2)
    noise, turns = (np.linspace(sizes.min() - BEYOND, sizes.max() + BEYOND, count) for count in (NOISE_SCALES, TURNS))
    bends = np.stack(np.meshgrid(STEEPNESS, STEEPNESS, turns, indexing="ij"), axis=-1).reshape(-1, 3)
    return {
        POWER: Form(SLOPES[:, None], slopes / slopes.sum(), lambda alpha, size: alpha * size),
        SATURATING: Form(noise[:, None], _even(NOISE_SCALES), lambda noise, size: -np.logaddexp2(0.0, noise - size)),
        RISE_AND_FALL: Form(bends, _even(len(bends)), _rise_and_fall),
    }


def _even(curves: int) -> np.ndarray:
    return np.full(curves, 1 / curves)


def _rise_and_fall(parameters: np.ndarray, size: np.ndarray) -> np.ndarray:
    up, down, turn = parameters.T[:, :, None]
    return -np.logaddexp2(up * (turn - size), down * (size - turn))
