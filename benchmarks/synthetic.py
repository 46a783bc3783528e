"""A synthetic trainer whose edge is known: runs whose final score is a formula with noise.

For a group of batch size B, with x = log2 of the learning rate minus a shift that is the run's own, and with all values
as scores (1 if all answers are right), a run

    diverges with the probability   q(x) = sigmoid((x - breakdown) / breakdown_width),   and always in an odd spot
    and else ends at                a(x) + noise,
        a(x) = top(B) - low * max(0, best - x)^2 - high * max(0, x - best)^2 - dip(x)
                      - (top(B) - chance) * sigmoid((x - cliff) / width)

The true edge is the highest x at which the share of runs that end at A0 - tolerance or better falls through one half,
and the true safe rate the highest at which it falls through nine tenths. A0 is the median score at the smallest batch
size at the learning rate where that is highest. All are computed from the formula on a fine grid.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from scipy import special

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
    "two humps",
    "cliff of the seed",
    "octave of divergence",
    "shallow decline",
    "heavy tails",
    "growing noise",
    "larger is better",
    "far edge",
)
"""The first nine were used to choose the constants of the model's first version, all of them for the present one's."""
BATCH_SIZES = (16, 32, 64, 128, 256)
CHANCE = 0.1
SCATTER = 0.15
"""The standard deviation of edges around their law, in octaves."""
EPOCHS = 10
LEARNING_RATES = (2.0**-8, 2.0**-8 * 1000)
"""The lowest and the highest learning rate, three decades apart."""
ODD_OCTAVES = 0.1
"""Width, in octaves, of an odd spot: there every run diverges, although the learning rates on both sides hold."""
FINE = 1 / 128
"""Spacing, in octaves, of the grid on which the truth is found."""
NODES = special.ndtri((np.arange(41) + 0.5) / 41)
"""Shifts of the cliff, in standard deviations, over which hold probabilities are averaged."""
TAILS = 3
"""Degrees of freedom of Student's t, where the noise has heavy tails."""


class Scale(NamedTuple):
    """How large a study's noise is compared with its tolerance.

    Attributes:
        tolerance: how far below A0 a score still holds.
        deviation: the lowest and the highest standard deviation of one run between seeds.
    """

    tolerance: float
    deviation: tuple[float, float]


STANDARD = Scale(0.01, (0.0015, 0.0035))
QUICK = Scale(0.03, (0.011, 0.017))


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
    dip: float
    dip_depth: float

    def cliff_share(self, x: np.ndarray) -> np.ndarray:
        return special.expit((x - self.cliff) / self.width)

    def finishing(self, x: np.ndarray) -> np.ndarray:
        """The expected score of runs that do not diverge."""
        fall = self.low * np.maximum(0, self.best - x) ** 2 + self.high * np.maximum(0, x - self.best) ** 2
        fall = fall + self.dip_depth * np.exp(-(((x - self.dip) / 0.15) ** 4))
        return np.maximum(CHANCE, self.top - fall - (self.top - CHANCE) * self.cliff_share(x))

    def diverging(self, x: np.ndarray) -> np.ndarray:
        odd = np.abs(x - self.odd) < ODD_OCTAVES / 2
        return np.where(odd, 1.0, special.expit((x - self.breakdown) / self.breakdown_width))


@dataclass(frozen=True)
class World:
    """One synthetic study.

    Attributes:
        deviation: standard deviation of a run's score between seeds; in the middle of the cliff it is three times this.
        growing: how many times the deviation grows with each octave of the learning rate and each doubling.
        tails: whether the noise has heavy tails.
        shift: standard deviation in octaves of the place of the cliff between seeds.
        late: whether runs may diverge in any epoch, and not only in the first two.
        slow: whether runs at high learning rates learn nothing for up to 40 % of their epochs.
        rate: number of epochs in which a learning curve covers about 63 % of its way.
    """

    family: str
    seed: int
    tolerance: float
    shapes: dict[Group, Shape]
    deviation: float
    growing: float
    tails: bool
    shift: float
    late: bool
    slow: bool
    rate: float

    @cached_property
    def a0(self) -> float:
        """The median score of the baseline's runs at its own best learning rate."""
        low, high = CHANCE, 1.0
        for _ in range(30):
            middle = (low + high) / 2
            if (self.holding(min(self.shapes), middle) >= 0.5).any():
                low = middle
            else:
                high = middle
        return low

    def holding(self, group: Group, bar: float) -> np.ndarray:
        """The share of runs that end at the bar or above, at every learning rate of the fine grid, (rates,)."""
        axis, shape = _axis(), self.shapes[group]
        result = np.zeros(len(axis))
        nodes = NODES * self.shift if self.shift else np.zeros(1)
        for shift in nodes:
            x = axis - shift
            away = (shape.finishing(x) - bar) / self.deviation_at(group, x)
            share = special.stdtr(TAILS, away) if self.tails else special.ndtr(away)
            result += (1 - shape.diverging(x)) * share / len(nodes)
        return result

    def deviation_at(self, group: Group, x: np.ndarray) -> np.ndarray:
        shape = self.shapes[group]
        share = shape.cliff_share(x)
        doublings = math.log2(group.batch_size / BATCH_SIZES[0])
        grown = self.growing ** (np.maximum(0, x - shape.best) + doublings / 2)
        return self.deviation * (1 + 8 * share * (1 - share)) * grown

    def edge(self, group: Group, level: float = 0.5) -> float | None:
        """Where the hold probability falls through a level for the last time, as log2 of the learning rate.

        None where nothing holds, inf where it holds up to the range's upper end.
        """
        axis = _axis()
        holds = np.flatnonzero(self.holding(group, self.a0 - self.tolerance) >= level)
        if not len(holds):
            return None
        return math.inf if holds[-1] == len(axis) - 1 else float(axis[holds[-1]]) + FINE / 2

    def train(self, group: Group, learning_rate: float, seed: int) -> Ended:
        """Train a run; the same arguments always give the same run."""
        key = (self.seed, FAMILIES.index(self.family), group.batch_size, round(learning_rate * 1e9), seed)
        draw = np.random.default_rng(key)
        shape, x = self.shapes[group], np.array(math.log2(learning_rate) - self.shift * draw.normal())
        deviation = float(self.deviation_at(group, x))
        final = float(shape.finishing(x)) + deviation * (draw.standard_t(TAILS) if self.tails else draw.normal())
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


def world(family: str, seed: int, scale: Scale = STANDARD) -> World:
    """The synthetic study of this family that is drawn with this seed."""
    draw = np.random.default_rng((seed, FAMILIES.index(family)))
    unit = scale.tolerance
    law = family if family in FAMILIES[:3] else str(draw.choice(FAMILIES[:3]))
    doublings = np.log2(np.array(BATCH_SIZES) / BATCH_SIZES[0])
    start = draw.uniform(-5.0, -3.0)
    if family == "far edge":
        start += 2.0
    if family == "larger is better":
        cliffs = start + 3.0 - draw.uniform(0.2, 0.6) * doublings
    elif law == "power law":
        cliffs = start + draw.uniform(0.2, 1.0) * doublings
    elif law == "saturating":
        noise_scale = 2 ** draw.uniform(4.5, 8.0)
        cliffs = start + np.log2((1 + noise_scale / BATCH_SIZES[0]) / (1 + noise_scale / np.array(BATCH_SIZES)))
    else:
        peak = draw.integers(1, 4)
        up, down = draw.uniform(0.5, 1.0), draw.uniform(0.3, 1.0)
        cliffs = start + up * np.minimum(doublings, peak) - down * np.maximum(doublings - peak, 0)
    cliffs = cliffs + draw.normal(0, SCATTER, len(cliffs))
    top, loss = draw.uniform(0.85, 0.95), draw.uniform(0, 0.4) * unit / doublings[-1]
    if family == "larger is better":
        loss = -draw.uniform(0.3, 1.5) * unit / doublings[-1]
    first_without = int(draw.integers(2, 5)) if family == "holds nowhere" else len(BATCH_SIZES)
    short = draw.uniform(2, 6) * unit
    low, high = draw.uniform(0.3, 0.8) * unit, draw.uniform(0.0, 0.2) * unit
    late = family == "late divergence"
    shapes = {}
    for position, (size, cliff) in enumerate(zip(BATCH_SIZES, cliffs, strict=True)):
        width = draw.uniform(0.03, 0.12)
        breakdown_width = draw.uniform(0.05, 0.12) if late else 0.04
        breakdown = float(cliff + (draw.uniform(-0.2, 0.2) if late else 2 * width))
        best = float(cliff - draw.uniform(0.8, 1.8))
        if family == "sharp divergence":
            breakdown, breakdown_width = float(cliff - 6 * width), 0.005
        if family == "octave of divergence":  # from a tenth to nine tenths of the runs
            breakdown, breakdown_width, cliff = float(cliff), draw.uniform(0.8, 1.2) / 4.4, cliff + 3.0
        if family == "shallow decline":
            cliff, breakdown, high = cliff + 20.0, float(cliff + 20.0), draw.uniform(0.1, 0.4) * unit
        if family == "far edge":
            best = float(cliff - draw.uniform(3.5, 4.5))
            high = draw.uniform(0.0, 0.03) * unit
        two = family == "two humps"  # it falls below the bar, and recovers half an octave higher
        shapes[Group("synthetic", size)] = Shape(
            top=top - loss * doublings[position] - (short if position >= first_without else 0.0),
            best=best,
            low=low,
            high=high,
            cliff=float(cliff),
            width=width,
            breakdown=breakdown,
            breakdown_width=breakdown_width,
            odd=float(cliff - draw.uniform(0.8, 1.5)) if family == "odd spots" else math.inf,
            dip=float(cliff - draw.uniform(0.5, 0.9)) if two else math.inf,
            dip_depth=draw.uniform(2.0, 6.0) * unit if two else 0.0,
        )
    deviation = draw.uniform(*scale.deviation) * (1.8 if family == "noisy" else 1.0)
    return World(
        family,
        seed,
        scale.tolerance,
        shapes,
        deviation * (0.6 if family == "heavy tails" else 1.0),
        1.5 if family == "growing noise" else 1.0,
        family == "heavy tails",
        0.3 if family == "cliff of the seed" else 0.0,
        late,
        family == "slow start",
        draw.uniform(1.5, 3.5),
    )


def _axis() -> np.ndarray:
    low, high = (math.log2(rate) for rate in LEARNING_RATES)
    return np.arange(low, high, FINE)
