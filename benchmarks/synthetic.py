"""A synthetic trainer whose edge is known: learning curves whose expected final score is a formula.

For a group of batch size B, with x = log2 of the learning rate, and with all values as scores (1 if all answers are
right):

    expected(x) = (1 - q(x)) * a(x) + q(x) * chance
    a(x) = top(B) - low * max(0, best - x)^2 - high * max(0, x - best)^2
                  - (top(B) - chance) * sigmoid((x - cliff) / width)
    q(x) = sigmoid((x - breakdown) / breakdown_width),    the probability that a run diverges; 1 in an odd spot

The true edge is the highest x at which expected(x) falls below A0 - tolerance, where A0 is the highest expected score
at the smallest batch size. It is found on a fine grid.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from analysis.outcomes import Group
from trainables.history import DIVERGED, DONE

FAMILIES = (
    "power law",
    "saturating",
    "peaks and falls",
    "noisy",
    "sharp divergence",
    "late divergence",
    "slow start",
    "odd spots",
    "holds nowhere",
)
BATCH_SIZES = (16, 32, 64, 128, 256)
CHANCE = 0.1
EPOCHS = 10
TOLERANCE = 0.01
LEARNING_RATES = (2.0**-8, 2.0**-8 * 1000)
"""The lowest and the highest learning rate, three decades apart."""
ODD_OCTAVES = 0.1
"""Width, in octaves, of an odd spot: there every run diverges, although the learning rates on both sides hold."""
FINE = 1 / 512
"""Spacing, in octaves, of the grid on which the true edge is found."""


class Ended(NamedTuple):
    """How a run ended: its status and its score after each epoch it trained."""

    status: str
    curve: tuple[float, ...]


@dataclass(frozen=True)
class Shape:
    """The parameters of a group's score as a function of log2 of the learning rate; see the module's formula."""

    top: float
    best: float
    low: float
    high: float
    cliff: float
    width: float
    breakdown: float
    breakdown_width: float
    odd: float

    def cliff_share(self, x: np.ndarray) -> np.ndarray:
        return _sigmoid((x - self.cliff) / self.width)

    def finishing(self, x: np.ndarray) -> np.ndarray:
        """The expected score of runs that do not diverge."""
        fall = self.low * np.maximum(0, self.best - x) ** 2 + self.high * np.maximum(0, x - self.best) ** 2
        return np.maximum(CHANCE, self.top - fall - (self.top - CHANCE) * self.cliff_share(x))

    def diverging(self, x: np.ndarray) -> np.ndarray:
        return np.where(
            np.abs(x - self.odd) < ODD_OCTAVES / 2, 1.0, _sigmoid((x - self.breakdown) / self.breakdown_width)
        )

    def expected(self, x: np.ndarray) -> np.ndarray:
        diverging = self.diverging(x)
        return (1 - diverging) * self.finishing(x) + diverging * CHANCE


@dataclass(frozen=True)
class World:
    """One synthetic study.

    Attributes:
        deviation: standard deviation of a run's score between seeds; in the middle of the cliff it is three times this.
        late: whether runs may diverge in any epoch, and not only in the first two.
        slow: whether runs at high learning rates learn nothing for up to 40 % of their epochs.
        rate: number of epochs in which a learning curve covers about 63 % of its way.
    """

    family: str
    seed: int
    shapes: dict[Group, Shape]
    deviation: float
    late: bool
    slow: bool
    rate: float

    def a0(self) -> float:
        """The baseline's expected score at its own best learning rate."""
        return float(self.shapes[min(self.shapes)].expected(_axis()).max())

    def edge(self, group: Group) -> float | None:
        """The true edge as log2 of the learning rate; None where nothing holds, inf where it lies above the range."""
        axis = _axis()
        holds = np.flatnonzero(self.shapes[group].expected(axis) >= self.a0() - TOLERANCE)
        if not len(holds):
            return None
        return math.inf if holds[-1] == len(axis) - 1 else float(axis[holds[-1]]) + FINE / 2

    def train(self, group: Group, learning_rate: float, seed: int) -> Ended:
        """Train a run; the same arguments always give the same run."""
        key = (self.seed, FAMILIES.index(self.family), group.batch_size, round(learning_rate * 1e9), seed)
        draw = np.random.default_rng(key)
        shape, x = self.shapes[group], np.array(math.log2(learning_rate))
        deviation = self.deviation * (1 + 8 * float(shape.cliff_share(x) * (1 - shape.cliff_share(x))))
        final = float(shape.finishing(x)) + draw.normal(0, deviation)
        ends = EPOCHS
        diverged = draw.random() < float(shape.diverging(x))
        if diverged:
            ends = int(draw.integers(1, EPOCHS + 1)) if self.late and draw.random() < 0.5 else int(draw.integers(1, 3))
        lag = 0.4 * EPOCHS * float(np.clip(1 - (shape.cliff - x), 0, 1)) if self.slow else 0.0
        epochs = np.maximum(0.0, np.arange(1, EPOCHS + 1) - lag) * EPOCHS / (EPOCHS - lag)
        progress = (1 - np.exp(-epochs / self.rate)) / (1 - math.exp(-EPOCHS / self.rate))
        curve = CHANCE + (final - CHANCE) * progress + draw.normal(0, deviation, EPOCHS) * (progress < 1)
        curve[-1] = final
        curve = np.clip(curve[:ends], 0.0, 1.0)
        if diverged:
            curve[-1] = CHANCE
        return Ended(DIVERGED if diverged else DONE, tuple(curve.tolist()))


def world(family: str, seed: int) -> World:
    """The synthetic study of this family that is drawn with this seed."""
    draw = np.random.default_rng((seed, FAMILIES.index(family)))
    law = family if family in ("power law", "saturating", "peaks and falls") else str(draw.choice(FAMILIES[:3]))
    doublings = np.log2(np.array(BATCH_SIZES) / BATCH_SIZES[0])
    start = draw.uniform(-5.0, -3.0)
    if law == "power law":
        cliffs = start + draw.uniform(0.2, 1.0) * doublings
    elif law == "saturating":
        noise_scale = 2 ** draw.uniform(4.5, 8.0)
        cliffs = start + np.log2((1 + noise_scale / BATCH_SIZES[0]) / (1 + noise_scale / np.array(BATCH_SIZES)))
    else:
        peak = draw.integers(1, 4)
        up, down = draw.uniform(0.5, 1.0), draw.uniform(0.3, 1.0)
        cliffs = start + up * np.minimum(doublings, peak) - down * np.maximum(doublings - peak, 0)
    cliffs = cliffs + draw.normal(0, 0.15, len(cliffs))
    top, loss = draw.uniform(0.85, 0.95), draw.uniform(0, 0.4) * TOLERANCE / doublings[-1]
    first_without = int(draw.integers(2, 5)) if family == "holds nowhere" else len(BATCH_SIZES)
    short = draw.uniform(2, 6) * TOLERANCE
    low, high = draw.uniform(0.003, 0.008), draw.uniform(0.0, 0.002)
    late = family == "late divergence"
    shapes = {}
    for position, (size, cliff) in enumerate(zip(BATCH_SIZES, cliffs, strict=True)):
        width = draw.uniform(0.03, 0.12)
        breakdown_width = draw.uniform(0.05, 0.12) if late else 0.04
        breakdown = float(cliff + (draw.uniform(-0.2, 0.2) if late else 2 * width))
        if family == "sharp divergence":
            breakdown, breakdown_width = float(cliff - 6 * width), 0.005
        shapes[Group("synthetic", size)] = Shape(
            top=top - loss * doublings[position] - (short if position >= first_without else 0.0),
            best=cliff - draw.uniform(0.8, 1.8),
            low=low,
            high=high,
            cliff=float(cliff),
            width=width,
            breakdown=breakdown,
            breakdown_width=breakdown_width,
            odd=float(cliff - draw.uniform(0.8, 1.5)) if family == "odd spots" else math.inf,
        )
    deviation = draw.uniform(0.004, 0.006) if family == "noisy" else draw.uniform(0.0015, 0.0035)
    return World(family, seed, shapes, deviation, late, family == "slow start", draw.uniform(1.5, 3.5))


def _axis() -> np.ndarray:
    low, high = (math.log2(rate) for rate in LEARNING_RATES)
    return np.arange(low, high, FINE)


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 0.5 * (1 + np.tanh(0.5 * np.asarray(x)))
