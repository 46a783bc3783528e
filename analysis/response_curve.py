"""The response curve: how the score of a group's runs depends on the peak learning rate.

With x = log2 of the learning rate and all scores in units of the tolerance, a run at x

    fails with the probability   r(x) = ODD + (1 - ODD) * logistic((x - b) / v):
        it diverges with the share d, and otherwise ends at f(x) less COLLAPSE times a Lomax(1) variable or, where there
        are classes to guess among, with the probability GUESSING at g + NEAR_GUESS * (frame.top - g) * t;
    and else ends at             f(x) + s(x) * t,    t from Student's distribution with 4 degrees of freedom, with
        f(x) = T - ((m - x) / low)^j - ((x - m) / high)^k - dip(x)      (below m the second, above m the third term)
        s(x)^2 = floor^2 + s^2 + (UNEVEN * (T - f(x)))^2
    where g is the score of a guess. f(x) is no lower than g, unless T is within SHALLOWEST of it.

The best rate is m. Too few steps cost one tolerance at m - low, too high a rate costs one tolerance at m + high, and at
b half of all runs fail. The dip lies below m + high and is there in two curves of five; where it is deep enough, some
rates fail and higher ones hold again. floor is what the limited number of validation samples adds to the noise.

The share of runs that reach a bar is the hold probability. Kontsevich and Tyler (1999, "Bayesian adaptive estimation of
psychometric slope and threshold") estimate a threshold from such a curve trial by trial.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

ODD = 0.01
"""The probability that a run fails wherever its learning rate lies."""
COLLAPSE = 8.0
"""The typical depth, in tolerances, by which a run that fails without diverging ends below the curve."""
UNEVEN = 0.15
"""The noise grows by this share of what the curve has lost."""
DEEPEST = 60.0
"""No run that trains to its end is expected further below the top than this, in tolerances, nor below a guess."""
SHALLOWEST = 1.0
"""A guess is taken to lie at least so many tolerances below the top."""
GUESSING = 0.5
"""Where there are classes to guess among, the share of the runs that fail without diverging which end at a guess."""
NEAR_GUESS = 0.2
"""They end around it by this share of its distance from frame.top, times Student's t."""
SMALL, FAR = 20.0, 60.0
"""Exponents are cut off at -SMALL where a loss that small is nothing, and at FAR in the odds of not failing, because
exponentials that underflow are slow."""
T4 = 0.375
"""The density of Student's t with 4 degrees of freedom at 0."""
DIPS = -0.25
"""A curve has a dip where its parameter `dips` lies below this: two curves in five."""


class Prior(NamedTuple):
    """A parameter is centre + spread * z, or its exponential, with z standard normal."""

    centre: float
    spread: float


PRIORS = {
    "power": Prior(math.log(5.0), 1.0),  # k
    "high": Prior(math.log(1.5), 0.6),  # octaves
    "low": Prior(math.log(1.5), 0.6),  # octaves
    "low_power": Prior(math.log(2.5), 0.4),  # j
    "offset": Prior(0.1, 1.3),  # from m + high up to b, octaves
    "onset": Prior(math.log(0.2), 1.0),  # v, octaves
    "diverging": Prior(0.0, 1.5),  # the logit of d
    "noise": Prior(math.log(0.3), 0.8),  # s, tolerances
    "dips": Prior(0.0, 1.0),
    "dip_below": Prior(math.log(0.6), 0.4),  # octaves from the dip's centre up to e
    "dip_depth": Prior(math.log(3.0), 0.6),  # tolerances
}
TOP, EDGE = 0, 1
TOP_SPREAD, TOP_TAIL = 3.0, 1.5
"""The prior of T is frame.top + TOP_SPREAD * sinh(TOP_TAIL * z): close to it as a rule, and anywhere at times."""
FIRST = 2
SIZE = FIRST + len(PRIORS)
PLACES = {name: FIRST + at for at, name in enumerate(PRIORS)}
"""The place of each parameter among the latents; the top and the edge are the first two."""


class Run(NamedTuple):
    """A run as the curve sees it.

    Attributes:
        x: log2 of its learning rate.
        score: in tolerances; for a run that was given up, the score that it could no longer reach.
        floor: the standard deviation that the validation samples cause, in tolerances.
        diverged, futile: how it ended, where it did not run to its end.
    """

    x: float
    score: float
    floor: float
    diverged: bool
    futile: bool


class Frame(NamedTuple):
    """Where the first two parameters are expected, and where runs end that learn nothing.

    Attributes:
        top: the score that runs must reach, or for the baseline the best score so far, in whole tolerances.
        middle, reach: the middle of the searched range and half of its width, in octaves.
        depth: how far the score of a guess lies below `top`, in tolerances; inf where there are no classes to guess
            among.
    """

    top: float
    middle: float
    reach: float
    depth: float = math.inf


class Guesses(NamedTuple):
    """Where runs end that fail and learn nothing: at `score`, by `spread` times Student's t, in tolerances.

    Of the runs that fail without diverging, `share` end there.
    """

    score: float
    spread: float
    share: float

    def density(self, score: np.ndarray) -> np.ndarray:
        return student4_density((score - self.score) / self.spread) / self.spread

    def below(self, score: np.ndarray) -> np.ndarray:
        """The probability of ending below a score."""
        return student4((score - self.score) / self.spread)


NO_GUESSES = Guesses(-1e6, 1.0, 0.0)
"""Where there are no classes to guess among: below every score, and no run ends there."""


class Curves(NamedTuple):
    """Parameters of many curves, each an array (curves, 1); what is known of guesses is the same for all."""

    top: np.ndarray
    edge: np.ndarray
    power: np.ndarray
    high: np.ndarray
    low: np.ndarray
    low_power: np.ndarray
    breaks: np.ndarray
    onset: np.ndarray
    diverging: np.ndarray
    noise: np.ndarray
    dip_at: np.ndarray
    dip_depth: np.ndarray
    dip_width: np.ndarray
    deepest: np.ndarray
    guesses: Guesses

    def loss(self, x: np.ndarray) -> np.ndarray:
        """T - f(x), (curves, rates)."""
        away = np.asarray(x, self.edge.dtype) - (self.edge - self.high)
        share = np.maximum(np.maximum(away / self.high, away / -self.low), 1e-9)  # of the two flanks, one is positive
        power = self.low_power + (self.power - self.low_power) * (away > 0)
        flank = np.exp(np.clip(power * np.log(share), -SMALL, 5.0))
        from_dip = (away + (self.edge - self.high - self.dip_at)) / self.dip_width
        dip = self.dip_depth * np.exp(-np.minimum(from_dip * from_dip, SMALL))
        return np.minimum(flank + dip, self.deepest)

    def failing(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """r(x) and 1 - r(x), each (curves, rates); both keep their precision where they are small."""
        away = self.breaks - np.asarray(x, self.breaks.dtype)
        odds = np.exp(np.clip(away / self.onset, -FAR, FAR))
        share = (1 - ODD) / (1 + odds)
        return ODD + share, odds * share

    def spread(self, loss: np.ndarray, floor: np.ndarray | float) -> np.ndarray:
        return np.sqrt(self.noise**2 + floor**2 + (UNEVEN * loss) ** 2)

    def typical(self, x: np.ndarray, floor: float) -> np.ndarray:
        """The median score of runs, (curves, rates).

        Where more than half of them fail, it is as deep as runs collapse, but no deeper than a guess.
        """
        loss, (failing, surviving) = self.loss(x), self.failing(x)
        share = (0.5 - failing) / np.maximum(surviving, 1e-6)
        usual = self.top - loss + self.spread(loss, floor) * student4_quantile(np.clip(share, 1e-3, 0.5))
        return np.where(share > 0, usual, np.maximum(self.top - loss - COLLAPSE, self.guesses.score))

    def collapsed(self, score: np.ndarray, ends: np.ndarray) -> np.ndarray:
        """The probability that a run that fails without diverging ends below a score, where others end at `ends`."""
        short = falling_short(ends - score)
        return short + self.guesses.share * (self.guesses.below(score) - short)

    def collapsed_density(self, score: np.ndarray, ends: np.ndarray) -> np.ndarray:
        """The density of the same at a score."""
        short = falling_short(ends - score)
        below = short * short * (ends > score) / COLLAPSE
        return below + self.guesses.share * (self.guesses.density(score) - below)

    def holding(self, x: np.ndarray, bar: np.ndarray, floor: float) -> np.ndarray:
        """The hold probability: the share of runs that reach the bar, (curves, rates).

        Args:
            x: log2 learning rates, (rates,) or (curves, rates).
            bar: in tolerances, (curves, 1).
        """
        loss, (failing, surviving) = self.loss(x), self.failing(x)
        ends, bar = self.top - loss, np.asarray(bar, loss.dtype)
        collapsed = failing * (1 - self.diverging) * (1 - self.collapsed(bar, ends))
        return surviving * student4((ends - bar) / self.spread(loss, floor)) + collapsed


def falling_short(depth: np.ndarray) -> np.ndarray:
    """The probability that COLLAPSE times a Lomax(1) variable is more than a depth."""
    return COLLAPSE / (COLLAPSE + np.maximum(depth, 0.0))


def student4(t: np.ndarray) -> np.ndarray:
    """The distribution function of Student's t with 4 degrees of freedom."""
    share = 1 / (1 + t * t / 4)
    return 0.5 + T4 * t * np.sqrt(share) * (1 - t * t * share / 12)


def student4_density(t: np.ndarray) -> np.ndarray:
    """The density of Student's t with 4 degrees of freedom."""
    share = 1 + t * t / 4
    return T4 / (share * share * np.sqrt(share))


def student4_quantile(probability: np.ndarray) -> np.ndarray:
    """The quantile of Student's t with 4 degrees of freedom, for probabilities of at most one half."""
    root = np.sqrt(4 * probability * (1 - probability))
    return -2 * np.sqrt(np.maximum(np.cos(np.arccos(np.minimum(root, 1.0)) / 3) / root - 1, 0.0))


def curves(latents: np.ndarray, frame: Frame) -> Curves:
    """The curves with these latents, (curves, SIZE)."""
    values = _CENTRES.astype(latents.dtype) + _SPREADS.astype(latents.dtype) * latents[:, FIRST:]
    raised = np.exp(values)
    value, power = ({name: each[:, at - FIRST, None] for name, at in PLACES.items()} for each in (values, raised))
    edge = frame.middle + frame.reach * latents[:, EDGE, None]
    above = TOP_SPREAD * np.sinh(TOP_TAIL * latents[:, TOP, None])
    return Curves(
        top=frame.top + above,
        edge=edge,
        power=power["power"],
        high=power["high"],
        low=power["low"],
        low_power=power["low_power"],
        breaks=edge + value["offset"],
        onset=power["onset"],
        diverging=1 / (1 + 1 / power["diverging"]),
        noise=power["noise"],
        dip_at=edge - power["dip_below"],
        dip_depth=np.where(value["dips"] < DIPS, power["dip_depth"], np.zeros_like(edge)),
        dip_width=0.45 * power["dip_below"],
        deepest=np.clip(above + frame.depth, SHALLOWEST, DEEPEST),
        guesses=_guesses(frame),
    )


def _guesses(frame: Frame) -> Guesses:
    if math.isinf(frame.depth):
        return NO_GUESSES
    return Guesses(frame.top - frame.depth, NEAR_GUESS * max(frame.depth, SHALLOWEST), GUESSING)


_CENTRES, _SPREADS = np.array(list(PRIORS.values())).T


class Data(NamedTuple):
    """Runs as arrays, (runs,)."""

    x: np.ndarray
    score: np.ndarray
    floor: np.ndarray
    diverged: np.ndarray
    futile: np.ndarray


def arrays(runs: Sequence[Run], top: float = 0.0) -> Data:
    """The runs as arrays, with scores from `top` on; in single precision, which is enough from there."""
    x, score, floor, diverged, futile = (np.array(column) for column in zip(*runs, strict=True))
    single = np.float32
    return Data(x.astype(single), (score - top).astype(single), floor.astype(single), diverged, futile)


def log_likelihood(of: Curves, data: Data) -> np.ndarray:
    """log P(runs | curve), (curves, runs)."""
    loss, (failing, surviving) = of.loss(data.x), of.failing(data.x)
    spread, ends = of.spread(loss, data.floor), of.top - loss
    t = (data.score - ends) / spread
    collapsing = failing * (1 - of.diverging)
    density = surviving * student4_density(t) / spread + collapsing * of.collapsed_density(data.score, ends)
    diverged, futile = data.diverged, data.futile
    if diverged.any():
        density[:, diverged] = failing[:, diverged] * of.diverging
    if futile.any():
        usual = surviving[:, futile] * student4(t[:, futile])
        density[:, futile] = usual + collapsing[:, futile] * of.collapsed(data.score[futile], ends[:, futile])
    return np.log(np.maximum(density, np.finfo(density.dtype).tiny))
