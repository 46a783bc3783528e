"""Where a learning rate stops working, as an interval.

The edge x* is the highest log2 learning rate at which the margin crosses zero downwards. What the runs say of it is a
probability over x*, a model of noisy verdicts:

    P(x* | runs)  ~  mean over A0 of  prod_i P(runs at x_i | x*, A0)

    P(runs at x_i | x*, A0) = h (1 - e) + (1 - h) e     where x_i lies between the lower edge and x*
                            = h l + (1 - h) (1 - l)     where it lies d octaves above x*, l = max(e, (exp(-d/w)/2)^n)
                            = h e + (1 - h) (1 - e)     below the lower edge: too few steps

with h the probability that the margin at x_i is above zero given its n runs there alone (Student's t), e the chance of
a spot that behaves against its surroundings, and w how far above the edge runs may still be lucky. The lower edge is
summed over, A0 is averaged over its own error, and x* is uniform over the searched range before the first run. No law
across batch sizes enters, so that a law can be fitted to what comes out.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from analysis.frontier import Noise, Point, Reference, Verdict, best, margin, same, verdicts
from analysis.question import Question

CELLS_PER_OCTAVE = 32
ODD_SPOT = 0.001
"""Chance that a learning rate behaves against its surroundings."""
LUCK_OCTAVES = 0.05
"""How far above an edge of falling accuracy a run may still come out well."""
LOTTERY = 0.7
LOTTERY_OCTAVES, LOTTERY_WIDTH = 0.35, 0.085
"""How far above an edge of divergence half of the runs still come out well, and how gradually that share falls: the
expected accuracy is lost where one run in fifty diverges, long before one in two does."""
ABOVE_BEST, ABOVE_BEST_SCALE = 1.0, 1.0
"""Octaves from a group's best rate up to where its edge is expected, and the scale of a Cauchy distribution there."""
LIKELY = 0.5
"""Probability of holding from which a rate is taken to have an edge above it."""
COVERED = 0.90
"""Of an edge's interval."""

_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(7)


class Belief(NamedTuple):
    """What runs say of the edge of a group, given that some learning rate holds there.

    Attributes:
        starts: log2 learning rate where each cell begins, (cells,).
        mass: probability of each cell, and last that the edge lies above the range, (cells + 1,).
    """

    starts: np.ndarray
    mass: np.ndarray

    def quantile(self, probability: float) -> float:
        """log2 of the learning rate below which the edge lies with this probability; inf above the range."""
        total = np.cumsum(self.mass)
        cell = int(np.searchsorted(total, probability * total[-1]))
        if cell >= len(self.starts):
            return math.inf
        before = total[cell - 1] if cell else 0.0
        share = (probability * total[-1] - before) / self.mass[cell]
        return float(self.starts[cell] + share / CELLS_PER_OCTAVE)

    def below(self, rate: float) -> float:
        """Probability that the edge lies below a log2 learning rate."""
        cells = np.clip((rate - self.starts) * CELLS_PER_OCTAVE, 0.0, 1.0)
        return float((self.mass[:-1] * cells).sum() / self.mass.sum())


def belief(
    known: Sequence[Point], reference: Reference, tolerance: float, noise: Noise, limits: tuple[float, float]
) -> Belief:
    """What a group's points say of its edge.

    Args:
        known: in ascending order of the learning rate.
        limits: the searched range; before the first run the edge is as likely in every octave of it, and in one above.
    """
    low, high = math.log2(limits[0]), math.log2(limits[1])
    count = max(1, math.ceil((high - low) * CELLS_PER_OCTAVE))
    starts = low + np.arange(count) / CELLS_PER_OCTAVE
    edges = np.append(starts + 0.5 / CELLS_PER_OCTAVE, high + 0.5)
    rates = np.array([math.log2(point.learning_rate) for point in known])
    errors = _NODES * noise.deviation / math.sqrt(reference.runs)  # (nodes,) of A0
    holds = np.array([[margin(p, reference, tolerance, noise).holds(error) for error in errors] for p in known])
    holds = holds.reshape(len(known), len(errors))

    above = np.stack([_above_cliff(known, rates, holds, edges), _above_lottery(known, rates, holds, edges)])
    likelihood = (np.array([1 - LOTTERY, LOTTERY])[:, None, None] * above).sum(axis=0) * _prior(known, edges)
    inside = holds * (1 - ODD_SPOT) + (1 - holds) * ODD_SPOT
    lower = holds * ODD_SPOT + (1 - holds) * (1 - ODD_SPOT)
    top = best(known)
    lower[[top is not None and point.learning_rate > top.learning_rate for point in known]] = ODD_SPOT
    bounds = np.concatenate(([low - 1.0], rates))
    for n_below in range(len(known) + 1):
        here = (edges >= bounds[n_below]) & (edges < (rates[n_below] if n_below < len(known) else math.inf))
        total = np.zeros((len(errors), int(here.sum())))
        for gap in range(n_below + 1):  # the lower edge lies between the points gap - 1 and gap
            end = bounds[gap + 1] if gap < n_below else edges[here]
            runs = lower[:gap].prod(axis=0) * inside[gap:n_below].prod(axis=0)
            total += runs[:, None] * (end - bounds[gap])
        likelihood[:, here] *= total / (edges[here] - bounds[0])
    mass = _WEIGHTS @ likelihood
    mass[-1] *= CELLS_PER_OCTAVE
    return Belief(starts, mass / mass.sum())


def _prior(known: Sequence[Point], edges: np.ndarray) -> np.ndarray:
    """How likely an edge is at log2 learning rates before the verdicts."""
    top = best(known)
    if top is None:
        return np.ones_like(edges)
    return 1 / (1 + ((edges - math.log2(top.learning_rate) - ABOVE_BEST) / ABOVE_BEST_SCALE) ** 2)


def _above_cliff(known, rates, holds, edges) -> np.ndarray:
    likelihood = np.ones((len(_NODES), len(edges)))
    for point, rate, hold in zip(known, rates, holds[:, :, None], strict=True):
        distance = np.maximum(rate - edges, 0)
        luck = np.maximum(ODD_SPOT, (0.5 * np.exp(-distance / LUCK_OCTAVES)) ** len(point.seeds))
        diverges = 0.3 + 0.7 * (1 - np.exp(-distance / 0.5))
        share = np.broadcast_to((1 - luck) * diverges, likelihood.shape) if point.diverged else hold * luck + (1 - hold) * (1 - luck) * (1 - diverges)
        likelihood *= np.where(rate > edges, share, 1.0)
    return likelihood


def _above_lottery(known, rates, holds, edges) -> np.ndarray:
    likelihood = np.ones((len(_NODES), len(edges)))
    for point, rate, hold in zip(known, rates, holds[:, :, None], strict=True):
        passes = 1 / (1 + np.exp((rate - edges - LOTTERY_OCTAVES) / LOTTERY_WIDTH))
        passed, diverged = len(point.seeds) - point.diverged, point.diverged
        share = np.maximum(ODD_SPOT, passes**passed * (1 - passes) ** diverged)
        share = share if diverged else share * (0.7 * hold + 0.3 * (1 - hold))
        likelihood *= np.where(rate > edges, share, 1.0)
    return likelihood


@dataclass(frozen=True)
class Edge:
    """The maximum learning rate of a group.

    Attributes:
        lower, upper: its 90 % interval; None where nothing holds, upper None where it may lie above the range.
        held: highest learning rate seen to hold; None where none did.
        failed: lowest seen to fail above it; None where none did.
        flags: "censored" (no failure inside the searched range), "none" (nothing holds), "undecided".
    """

    lower: float | None
    upper: float | None
    held: float | None
    failed: float | None
    flags: tuple[str, ...]

    @property
    def finite(self) -> bool:
        """Whether both ends of the interval are known."""
        return self.lower is not None and self.upper is not None


def edge(
    known: Sequence[Point],
    found: Mapping[float, Verdict],
    view: Belief,
    likely: bool,
    resolution: float,
    limits: tuple[float, float],
) -> Edge:
    """The edge that the verdicts and the belief describe.

    Args:
        known: the group's points.
        found: the verdict on each of them.
        view: the belief they give.
        likely: whether some rate is more likely to hold than not.
        resolution: a wider interval, as a factor, is flagged undecided.
        limits: the searched range. Where nothing holds, the answer is none only if all fail and the best point has a
            neighbour on either side, or lies at the range's end.
    """
    held = max((rate for rate, verdict in found.items() if verdict is Verdict.HOLDS), default=None)
    if held is None:
        failed_all = bool(found) and all(verdict is Verdict.FAILS for verdict in found.values())
        if failed_all or not likely:
            none = failed_all and surrounded(known, limits)
            return Edge(None, None, None, None, ("none",) if none else ("undecided",))
    above = [rate for rate, verdict in found.items() if verdict is Verdict.FAILS and (held is None or rate > held)]
    failed = min(above, default=None) if held is not None else None
    lower, upper = interval(view)
    flags = ["censored"] if upper is None else []
    at_top = upper is None and held is not None and same(held, limits[1])
    if held is None or not (narrow(view, resolution) or at_top):
        flags.append("undecided")
    return Edge(lower, upper, held, failed, tuple(flags))


class Judged(NamedTuple):
    """A group's points against a reference.

    Attributes:
        found: the verdict on each learning rate.
        likely: whether some rate is more likely to hold than not.
        view: where the edge may lie, if there is one.
        edge: what is reported.
    """

    found: dict[float, Verdict]
    likely: bool
    view: Belief
    edge: Edge


def scalable(question: Question, known: Sequence[Point], reference: Reference, noise: Noise) -> Judged:
    """The maximum scalable learning rate: judged against A0."""
    return _judge(question, known, reference, noise, verdicts(known, reference, question.tolerance, noise))


def competitive(question: Question, known: Sequence[Point], noise: Noise) -> Judged | None:
    """The maximum competitive learning rate: against the group's own best accuracy; the best itself holds."""
    top = best(known)
    if top is None:
        return None
    reference = Reference(top.accuracy, len(top.accuracies))
    found = verdicts(known, reference, question.tolerance, noise)
    return _judge(question, known, reference, noise, {**found, top.learning_rate: Verdict.HOLDS})


def _judge(
    question: Question, known: Sequence[Point], reference: Reference, noise: Noise, found: dict[float, Verdict]
) -> Judged:
    chances = [margin(point, reference, question.tolerance, noise).holds(0.0) for point in known]
    likely = max(chances, default=0.0) > LIKELY
    view = belief(known, reference, question.tolerance, noise, question.learning_rates)
    found_edge = edge(known, found, view, likely, question.resolution, question.learning_rates)
    return Judged(found, likely, view, found_edge)


def interval(view: Belief) -> tuple[float, float | None]:
    """The 90 % interval of the edge, as learning rates; no upper end where it may lie above the range."""
    lower, upper = view.quantile((1 - COVERED) / 2), view.quantile((1 + COVERED) / 2)
    top = float(view.starts[-1]) + 1 / CELLS_PER_OCTAVE
    return 2.0 ** min(lower, top), None if math.isinf(upper) else 2.0**upper


def narrow(view: Belief, resolution: float) -> bool:
    """Whether the interval is no wider than the resolution, a factor."""
    lower, upper = interval(view)
    return upper is not None and upper / lower <= resolution * (1 + 1e-6)


def surrounded(known: Sequence[Point], limits: tuple[float, float]) -> bool:
    """Whether the best point is not at an open end of what was tried."""
    top = best(known)
    if top is None:
        return False
    below = any(point.learning_rate < top.learning_rate for point in known) or same(top.learning_rate, limits[0])
    above = any(point.learning_rate > top.learning_rate for point in known) or same(top.learning_rate, limits[1])
    return below and above
