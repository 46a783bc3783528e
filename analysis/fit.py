"""Fitting response curves to a group's runs: a sample of curves from the posterior, by sequential Monte Carlo.

The runs are added in steps, in the order in which they ended. In each step the likelihood of the new runs is raised
from the power 0 to 1 as fast as the sample allows; between the powers the curves are drawn again in proportion to their
weight, and moved by Metropolis steps whose proposals are differences of other curves (ter Braak 2006, "A Markov chain
Monte Carlo version of the genetic algorithm differential evolution").
"""

from dataclasses import dataclass, field
from functools import cached_property, lru_cache

import numpy as np

from analysis.response_curve import PLACES, SIZE, Curves, Data, Frame, Run, arrays, curves, log_likelihood

CURVES = 400
"""How many curves are drawn."""
MOVES, FEWEST_MOVES = 36, 18
"""How many Metropolis steps follow a power that leaves KEPT of the sample effective, and one that leaves all of it."""
FROM_PRIOR = 72
"""How many follow the last power of a fit that begins at the prior, because its curves have come from far away."""
JITTER = 0.01
"""The standard deviation of what is added to a difference of curves, compared with that of the sample."""
KEPT = 0.5
"""Each power is chosen so that this share of the sample remains effective."""
SURPRISE = -4.0
"""Where the logarithm of the density of a new run, by the curves so far, is below this, the curves are fitted anew.

Curves that agree on where the top is cannot move to another one, such as when runs that all failed are followed by one
that holds. From the prior, all runs are taken into account at once.
"""
BLOCKS = tuple(
    tuple(PLACES[name] for name in names)
    for names in (
        ("dips", "dip_below", "dip_depth"),
        ("offset", "onset", "diverging"),
        ("low", "low_power"),
        ("high", "power"),
    )
)
"""Parameters that are drawn from the prior again together: the dip, the failing, and each flank."""


@dataclass(frozen=True)
class Fit:
    """A sample of curves from the posterior, with equal weights. Equal runs, frames and others give equal fits.

    Attributes:
        runs: the runs that the curves were fitted to.
        frame: where the curves' top and edge are expected.
        latents: the curves' parameters, standard normal in the prior, (CURVES, SIZE); in single precision.
        others: the frame and the runs of the other groups' fits that the shape was also learnt from (analysis.shape).
    """

    runs: tuple[Run, ...]
    frame: Frame
    latents: np.ndarray = field(compare=False, repr=False)
    others: tuple[tuple[Frame, tuple[Run, ...]], ...] = ()

    @cached_property
    def curves(self) -> Curves:
        """The curves, in single precision as their latents."""
        return curves(self.latents, self.frame)

    @property
    def trained(self) -> list[Run]:
        """The runs that trained to their end."""
        return [run for run in self.runs if not run.diverged and not run.futile]

    @property
    def floor(self) -> float:
        """The standard deviation that the validation samples cause in the best scores, in tolerances."""
        return max(self.trained, key=lambda run: run.score).floor if self.trained else 0.0


@lru_cache(maxsize=512)
def fit(runs: tuple[Run, ...], frame: Frame) -> Fit:
    """The curves after these runs. A fit goes on from that of a beginning of the runs, which the cache may hold."""
    if not runs:
        return Fit((), frame, np.random.default_rng(0).standard_normal((CURVES, SIZE), np.float32))
    before = fit(runs[: _before(len(runs))], frame)
    return _extended(before if _expected(before, runs) else fit((), frame), runs)


def _before(count: int) -> int:
    """The number of runs of the fit that one of `count` runs goes on from: fewer runs are added at once to few."""
    milestone = 0
    while milestone + max(1, milestone // 5) < count:
        milestone += max(1, milestone // 5)
    return milestone


def milestone_of(latest: Fit) -> Fit:
    """The fit that later ones go on from: to all runs of a few, and to most of many."""
    return fit(latest.runs[: _before(len(latest.runs) + 1)], latest.frame)


def _expected(before: Fit, runs: tuple[Run, ...]) -> bool:
    """Whether the curves of a fit allow for the runs that come after its own, so that they can be gone on from."""
    frame, data = _from_top(before.frame, runs[len(before.runs) :])
    new = log_likelihood(curves(before.latents, frame), data).sum(axis=1)
    highest = new.max()
    return bool(highest + np.log(np.exp(new - highest).mean()) > SURPRISE * (len(runs) - len(before.runs)))


def _from_top(frame: Frame, runs: tuple[Run, ...]) -> tuple[Frame, Data]:
    """The frame and the runs with scores counted from the frame's top, where single precision is enough."""
    return frame._replace(top=0.0), arrays(runs, frame.top)


def _extended(before: Fit, runs: tuple[Run, ...]) -> Fit:
    """The fit after more runs."""
    draw = np.random.default_rng(len(runs))
    (frame, data), old = _from_top(before.frame, runs), len(before.runs)

    def likelihood(latents: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        each = log_likelihood(curves(latents, frame), data)
        return each[:, :old].sum(axis=1), each[:, old:].sum(axis=1)

    latents = before.latents.copy()
    known, fresh = likelihood(latents)
    power = 0.0
    while power < 1.0:
        step = largest_step(fresh, 1.0 - power)
        power = 1.0 if power + step > 1 - 1e-9 else power + step
        weights = _weights(fresh, step)
        lost = min(1.0, (1 - _effective(weights)) / (1 - KEPT))
        moves = FROM_PRIOR if power == 1.0 and not old else max(FEWEST_MOVES, round(MOVES * lost))
        chosen = resampled(weights, draw.random())
        latents, known, fresh = latents[chosen], known[chosen], fresh[chosen]
        jitter = JITTER * latents.std(axis=0)
        for move in range(moves):
            proposed, prior_gain = _proposal(latents, jitter, move, draw)
            known_then, fresh_then = likelihood(proposed)
            gain = known_then - known + power * (fresh_then - fresh) + prior_gain
            better = np.log(draw.random(len(latents))) < gain
            latents[better] = proposed[better]
            known[better], fresh[better] = known_then[better], fresh_then[better]
    return Fit(runs, before.frame, latents)


def _proposal(
    latents: np.ndarray, jitter: np.ndarray, move: int, draw: np.random.Generator
) -> tuple[np.ndarray, np.ndarray | float]:
    """Where each curve is proposed to move, and by how much the logarithm of the prior counts for the acceptance.

    Every third move draws a block of parameters from the prior again, which leaves the prior out of the acceptance. The
    others add a difference of two other curves, either to all parameters, with some jitter, or to some of them.
    """
    count = len(latents)
    if move % 3 == 2:
        proposed = latents.copy()
        block = list(BLOCKS[int(draw.integers(len(BLOCKS)))])
        proposed[:, block] = draw.standard_normal((count, len(block)), np.float32)
        return proposed, 0.0
    share, scale = ((1.0, 0.5), (0.4, 0.9))[move % 3]
    one, other = draw.integers(count, size=(2, count))
    step = np.float32(scale) * (latents[one] - latents[other])
    if share < 1:
        step *= draw.random((count, SIZE), np.float32) < share
    else:
        step += jitter * draw.standard_normal((count, SIZE), np.float32)
    proposed = latents + step
    return proposed, -(step * (latents + step / 2)).sum(axis=1)


def largest_step(fresh: np.ndarray, most: float, kept: float = KEPT) -> float:
    """The largest step of the power, at most `most`, that keeps this share of the sample effective."""
    if _effective(_weights(fresh, most)) >= kept:
        return most
    low, high = 0.0, most
    for _ in range(20):
        middle = (low + high) / 2
        low, high = (middle, high) if _effective(_weights(fresh, middle)) >= kept else (low, middle)
    return max(low, 1e-4)


def _weights(fresh: np.ndarray, step: float) -> np.ndarray:
    """How much each curve counts where the power of the new runs' likelihood grows by a step; the largest is 1."""
    return np.exp(step * (fresh - fresh.max()))


def _effective(weights: np.ndarray) -> float:
    """The share of the sample that remains effective: the effective sample size by the number of curves."""
    return float(weights.sum() ** 2 / (weights**2).sum()) / len(weights)


def resampled(weights: np.ndarray, first: float) -> np.ndarray:
    """Which curves to go on with, in proportion to their weight (systematic resampling).

    Args:
        weights: of the curves, (curves,).
        first: where the first of the evenly spaced places lies in its step, from 0 to 1.
    """
    places = (np.arange(len(weights)) + first) / len(weights)
    return np.minimum(np.searchsorted(np.cumsum(weights / weights.sum()), places), len(weights) - 1)
