"""The forms that a scaling law may have, each with one parameter that shapes it and a height.

    power law          eta* = c * B^alpha
    saturating         eta* = eta_max / (1 + B_noise / B)
    rise and fall      eta* = 2 * eta_max / (sqrt(B_noise / B) + sqrt(B / B_noise))

Source: McCandlish et al. 2018, "An Empirical Model of Large-Batch Training", equation 2.6 (saturating); Li et al. 2024,
"Surge Phenomenon in Optimal Learning Rate and Batch Size Scaling" (rise and fall, for Adam and its like). Both are
derived for the best learning rate, and are empirical for its maximum.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from analysis.expectation import SLOPE, SLOPE_DEVIATION

POWER, SATURATING, RISE_AND_FALL = "power law", "saturating", "rise and fall"
SLOPES = np.linspace(-2.0, 3.0, 201)
NOISE_SCALES, BEYOND = 61, 2.0
"""How many values of log2 B_noise are averaged over, and how far outside the batch sizes they reach, in octaves."""


class Form(NamedTuple):
    """Curves of log2 eta* over log2 B, up to their height.

    Attributes:
        parameters: alpha or log2 B_noise, (curves,).
        prior: the probability of each, (curves,); the sum is 1.
        rise: (parameters, log2 batch size) -> octaves, up to a constant for each parameter; arrays are broadcast.
    """

    parameters: np.ndarray
    prior: np.ndarray
    rise: Callable[[np.ndarray, np.ndarray | float], np.ndarray]


def forms(sizes: np.ndarray) -> dict[str, Form]:
    """The forms for edges at these batch sizes, given as log2."""
    slopes = np.exp(-0.5 * ((SLOPES - SLOPE) / SLOPE_DEVIATION) ** 2)
    noise = np.linspace(sizes.min() - BEYOND, sizes.max() + BEYOND, NOISE_SCALES)
    even = np.full(NOISE_SCALES, 1 / NOISE_SCALES)
    return {
        POWER: Form(SLOPES, slopes / slopes.sum(), lambda alpha, size: alpha * size),
        SATURATING: Form(noise, even, lambda noise, size: -np.logaddexp2(0.0, noise - size)),
        RISE_AND_FALL: Form(noise, even, lambda noise, size: -np.logaddexp2((noise - size) / 2, (size - noise) / 2)),
    }
