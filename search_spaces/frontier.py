"""The search policy: climb until a failure, then bisect.

A pure function of what has finished and what is running; it knows neither Ray nor torch. For each technique and batch
size the question is where, on the axis of log2 learning rate, runs stop holding.

1. Tune the baseline batch size: three rates a factor 4 apart, then the neighbours of the best at half the distance,
   down to the resolution. Run its other seeds at the best.
2. At every batch size, in ascending order, run what the rules prescribe.
3. Climb from the highest rate that holds until one fails, then bisect; measure again, with another seed, what is
   undecided.
4. Where nothing holds, look for that batch size's own best, and for the edge against that instead.
"""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise
from typing import NamedTuple

from analysis.frontier import (
    Baseline,
    Group,
    Outcome,
    Point,
    Verdict,
    baseline,
    best,
    competitive_verdicts,
    edge,
    noise,
    points,
    same,
    verdicts,
)
from analysis.question import Question

TUNING_STEP = 2.0
"""Octaves between the first tuning runs."""

LONGEST_CLIMB = 2.0
"""Octaves that one step of the climb may take."""


class Proposal(NamedTuple):
    """A run to make next."""

    group: Group
    learning_rate: float
    seed: int


class Answer(Enum):
    """What a policy says when it proposes nothing."""

    WAIT = "wait for what is running"
    OVER = "nothing is left to ask"


@dataclass(frozen=True)
class Plan:
    """What a policy needs to know of a study.

    Attributes:
        question: what is asked.
        first: the learning rate where tuning starts.
        seeds: baseline runs behind A0, besides the tuning run.
        seeds_near_margin: most runs at one learning rate elsewhere.
        max_runs: all runs together.
    """

    question: Question
    first: float
    seeds: int
    seeds_near_margin: int
    max_runs: int


def propose(plan: Plan, finished: Sequence[Outcome], running: Sequence[Proposal]) -> Proposal | Answer:
    """The next run, given every run so far."""
    if len(finished) + len(running) < plan.max_runs:
        for proposal in _questions(plan, finished, running):
            return proposal
    return Answer.WAIT if running else Answer.OVER


def asked_so_far(finished: Sequence[Outcome], running: Sequence[Proposal]) -> list[Proposal]:
    """Every run, however it ended or stands."""
    return [*(Proposal(run.group, run.learning_rate, run.seed) for run in finished), *running]


def _questions(plan: Plan, finished: Sequence[Outcome], running: Sequence[Proposal]) -> Iterator[Proposal]:
    """What has not been asked yet, most urgent first."""
    question = plan.question
    asked = asked_so_far(finished, running)

    def fresh(proposals: Iterator[Proposal]) -> Iterator[Proposal]:
        return (proposal for proposal in proposals if proposal not in asked)

    yield from fresh(_tune(plan, finished))
    yardstick = baseline(finished, question.baseline)
    if yardstick is None:
        return
    yield from fresh(Proposal(question.baseline, yardstick.learning_rate, seed) for seed in range(1, 1 + plan.seeds))
    if any(run.group == question.baseline and run.seed == 0 for run in running):
        return  # what the rules prescribe depends on the best that tuning finds
    tuning = sum(run.group == question.baseline and run.seed == 0 for run in asked) + plan.seeds
    fair = max(1, (plan.max_runs - tuning) // len(question.groups))
    for patient in (True, False):  # first every group its fair share, then what is left in ascending order
        for group in question.groups:
            spent = sum(run.group == group for run in asked)
            if patient and spent >= fair + (tuning if group == question.baseline else 0):
                continue
            wanted = [question.prescription(rule, group, yardstick.learning_rate) for rule in question.rules]
            if group != question.baseline:
                yield from fresh(Proposal(group, rate, 1) for rate in wanted if rate is not None)
            busy = any(run.group == group for run in running)
            if yardstick.accuracies and not busy:
                yield from fresh(_search(plan, group, finished, yardstick))


def _tune(plan: Plan, finished: Sequence[Outcome]) -> Iterator[Proposal]:
    """The baseline's tuning runs, of seed 0: a ladder, then a pattern search around the best, at ever smaller steps."""
    group = plan.question.baseline
    for octaves in (0.0, TUNING_STEP, -TUNING_STEP):
        yield Proposal(group, plan.question.inside(plan.first * 2.0**octaves), 0)
    tuning = [run for run in finished if run.seed == 0]
    for learning_rate in _around_best(plan, points(tuning, group), TUNING_STEP):
        yield Proposal(group, learning_rate, 0)


def _around_best(plan: Plan, known: Sequence[Point], step: float) -> Iterator[float]:
    """Neighbours of the best point so far, the far ones first; stops refining at the resolution."""
    top = best(known)
    if top is None:
        return
    while True:
        for octaves in (step, -step):
            neighbour = plan.question.inside(top.learning_rate * 2.0**octaves)
            if not any(_near(neighbour, point.learning_rate, step / 2) for point in known):
                yield neighbour
        if step / 2 < math.log2(plan.question.resolution) - 1e-9:
            return
        step /= 2


def _search(plan: Plan, group: Group, finished: Sequence[Outcome], yardstick: Baseline) -> Iterator[Proposal]:
    """The next questions of one group, all of whose runs have finished."""
    spread = noise(finished, yardstick, plan.question.tolerance, plan.question.validation_samples)
    known = points(finished, group)
    scalable = verdicts(known, yardstick.reference, plan.question.tolerance, spread)
    if Verdict.HOLDS in scalable.values():
        yield from _refine(plan, group, known, scalable)
        return
    yield from _again(plan, group, known, scalable, set(_promising(known, scalable)))
    for learning_rate in _around_best(plan, known, max(1.0, math.log2(plan.question.resolution))):
        yield Proposal(group, learning_rate, 1)
    competitive = competitive_verdicts(known, plan.question.tolerance, spread)
    yield from _refine(plan, group, known, competitive)


def _refine(plan: Plan, group: Group, known: Sequence[Point], found: Mapping[float, Verdict]) -> Iterator[Proposal]:
    """Narrow the interval between the highest rate that holds and the lowest that fails above it."""
    interval = edge(known, found, plan.question.resolution, plan.question.learning_rates)
    held, failed = interval.held, interval.failed
    if held is None:
        return
    between = [rate for rate in found if held < rate < (failed or math.inf)]
    yield from _again(plan, group, known, found, between)
    top = max([held, *between])
    if failed is None:
        if not same(top, plan.question.learning_rates[1]):
            yield Proposal(group, plan.question.inside(top * 2.0 ** _climb(plan, found, held)), 1)
        return
    rates = [held, *sorted(between), failed]
    for low, high in pairwise(rates):
        if failed / held > plan.question.resolution * (1 + 1e-6) and high / low > plan.question.resolution * (1 + 1e-6):
            yield Proposal(group, plan.question.inside(math.sqrt(low * high)), 1)


def _climb(plan: Plan, found: Mapping[float, Verdict], held: float) -> float:
    """Octaves to the next rate: twice the distance of the two highest that hold, at least the resolution."""
    below = [rate for rate, verdict in found.items() if rate < held and verdict is Verdict.HOLDS]
    least = math.log2(plan.question.resolution)
    return min(max(least, 2 * math.log2(held / max(below))), max(least, LONGEST_CLIMB)) if below else max(least, 1.0)


def _again(
    plan: Plan, group: Group, known: Sequence[Point], found: Mapping[float, Verdict], rates: Collection[float]
) -> Iterator[Proposal]:
    """Another seed for each of these rates that is undecided and has one left."""
    for point in known:
        undecided = point.learning_rate in rates and found[point.learning_rate] is Verdict.UNDECIDED
        if undecided and len(point.seeds) < plan.seeds_near_margin:
            yield Proposal(group, point.learning_rate, max(point.seeds) + 1)


def _promising(known: Sequence[Point], found: Mapping[float, Verdict]) -> list[float]:
    """Where nothing holds yet: the best rate, if it may."""
    top = best(known)
    return [top.learning_rate] if top and found[top.learning_rate] is Verdict.UNDECIDED else []


def _near(one: float, other: float, octaves: float) -> bool:
    """Whether two learning rates are less than that many octaves apart."""
    return abs(math.log2(one / other)) < octaves - 1e-9
