"""The search policy: probabilistic bisection of every edge.

A pure function of what has finished and what is running; it knows neither Ray nor torch. For each technique and batch
size the question is where, on the axis of log2 learning rate, runs stop holding.

1. Tune the baseline batch size: three rates two octaves apart, then the neighbours of the best at half the distance.
   Run its other seeds at the best.
2. At every batch size, in ascending order, run what the rules prescribe.
3. Where a rate holds, or may, run the median of where the edge may lie: what the group's own runs say of it
   (analysis.edge) times where the other batch sizes' edges point. Near a rate that ran already, that rate runs again
   with another seed. Runs in flight split what is left between them.
4. Where nothing holds, look for that batch size's own best, and for the edge against that instead.

A group is done when its interval, which knows nothing of the other batch sizes, is within the resolution.
"""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from analysis.edge import Belief, Judged, competitive, narrow, scalable, surrounded
from analysis.frontier import Baseline, Group, Noise, Outcome, Point, Verdict, baseline, best, margin, noise, points
from analysis.question import Question
from search_spaces.expectation import Expectation, expected_edge

TUNING_OCTAVES = 2.0
"""Between the first tuning runs; halved until neighbours of the best are an octave away."""

OPTIMUM_OCTAVES = 1.0
"""Between the runs that look for a group's own best."""

SNAP = 0.25
"""A rate within this share of the resolution is run again rather than a new one beside it."""


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
        asked = set(asked_so_far(finished, running))
        for proposal in _questions(plan, finished, running, asked):
            if proposal not in asked:
                return proposal
    return Answer.WAIT if running else Answer.OVER


def asked_so_far(finished: Sequence[Outcome], running: Sequence[Proposal]) -> list[Proposal]:
    """Every run, however it ended or stands."""
    return [*(Proposal(run.group, run.learning_rate, run.seed) for run in finished), *running]


def _questions(
    plan: Plan, finished: Sequence[Outcome], running: Sequence[Proposal], asked: Collection[Proposal]
) -> Iterator[Proposal]:
    """What to ask, most urgent first; some of it has been asked already."""
    question = plan.question
    yield from _tune(plan, finished)
    yardstick = baseline(finished, question.baseline)
    if yardstick is None:
        yield from _ladder(plan, (2 * TUNING_OCTAVES, -2 * TUNING_OCTAVES, 1.0, -1.0, 3.0, -3.0))
        return
    if yardstick.diverged:
        return  # nothing can be judged against it
    yield from (Proposal(question.baseline, yardstick.learning_rate, seed) for seed in range(1, 1 + plan.seeds))
    if any(run.group == question.baseline and run.seed == 0 for run in running):
        return  # what the rules prescribe depends on the best that tuning finds
    turns = list(_in_turn(plan, running, asked))
    if not yardstick.accuracies:
        for group in turns:
            yield from _prescriptions(plan, group, yardstick)
        return
    spread = noise(finished, yardstick, question.tolerance, question.validation_samples)
    judged = {
        group: scalable(question, points(finished, group), yardstick.reference, spread) for group in question.groups
    }
    for group in turns:
        yield from _prescriptions(plan, group, yardstick)
        yield from _search(plan, group, finished, running, yardstick, spread, judged)


def _prescriptions(plan: Plan, group: Group, yardstick: Baseline) -> Iterator[Proposal]:
    """What the rules prescribe; at the baseline that is its best rate, which has run."""
    for rule in plan.question.rules if group != plan.question.baseline else ():
        learning_rate = plan.question.prescription(rule, group, yardstick.learning_rate)
        if learning_rate is not None:
            yield Proposal(group, learning_rate, 1)


def _in_turn(plan: Plan, running: Sequence[Proposal], asked: Collection[Proposal]) -> Iterator[Group]:
    """The groups with the fewest runs in flight first, ascending among equals; past its share a group waits."""
    groups, base = plan.question.groups, plan.question.baseline
    tuning = sum(run.group == base and run.seed == 0 for run in asked) + plan.seeds
    fair = max(1, (plan.max_runs - tuning) // len(groups))
    spent = {group: sum(run.group == group for run in asked) - (tuning if group == base else 0) for group in groups}
    busy = {group: sum(run.group == group for run in running) for group in groups}
    yield from sorted(groups, key=lambda group: (spent[group] >= fair, busy[group]))


def _tune(plan: Plan, finished: Sequence[Outcome]) -> Iterator[Proposal]:
    """The baseline's tuning runs, of seed 0: a ladder, then a pattern search around the best, at ever smaller steps."""
    group = plan.question.baseline
    yield from _ladder(plan, (0.0, TUNING_OCTAVES, -TUNING_OCTAVES))
    known = points((run for run in finished if run.seed == 0), group)
    step = TUNING_OCTAVES
    while step >= 1.0:
        for learning_rate in _around_best(plan, known, step):
            yield Proposal(group, learning_rate, 0)
        step /= 2


def _ladder(plan: Plan, octaves: Sequence[float]) -> Iterator[Proposal]:
    """Tuning runs so many octaves from the first."""
    for distance in octaves:
        yield Proposal(plan.question.baseline, plan.question.inside(plan.first * 2.0**distance), 0)


def _around_best(plan: Plan, known: Sequence[Point], step: float) -> Iterator[float]:
    """The best point's neighbours so many octaves away, where nothing has run about there."""
    top = best(known)
    if top is None:
        return
    for octaves in (step, -step):
        neighbour = plan.question.inside(top.learning_rate * 2.0**octaves)
        if not any(abs(math.log2(neighbour / point.learning_rate)) < step / 2 - 1e-9 for point in known):
            yield neighbour


def _search(
    plan: Plan,
    group: Group,
    finished: Sequence[Outcome],
    running: Sequence[Proposal],
    yardstick: Baseline,
    spread: Noise,
    judged: Mapping[Group, Judged],
) -> Iterator[Proposal]:
    """The next questions of one group."""
    known = points(finished, group)
    flying = [run for run in running if run.group == group]
    found = judged[group]
    top = best(known)
    if top is None:
        return
    if found.likely:
        if not narrow(found.view, plan.question.resolution):
            others = {each: judge.view for each, judge in judged.items() if judge.likely and each != group}
            expected = expected_edge(plan.question, group, yardstick.learning_rate, others)
            yield from _split(plan, group, found.view, expected, known, flying)
        elif Verdict.HOLDS not in found.found.values():
            yield from _again(plan, group, top, flying)
        return
    against_a0 = margin(top, yardstick.reference, plan.question.tolerance, spread)
    if against_a0.verdict is Verdict.UNDECIDED:
        yield from _again(plan, group, top, flying)
    for learning_rate in _around_best(plan, known, OPTIMUM_OCTAVES):
        yield Proposal(group, learning_rate, 1)
    if surrounded(known, plan.question.learning_rates) and not flying:
        own = competitive(plan.question, known, spread)
        if own is not None and not narrow(own.view, plan.question.resolution):
            yield from _split(plan, group, own.view, None, known, flying)


def _split(
    plan: Plan,
    group: Group,
    view: Belief,
    expected: Expectation | None,
    known: Sequence[Point],
    flying: Sequence[Proposal],
) -> Iterator[Proposal]:
    """The median of where the edge may lie, between those in flight: a rate near it again, or itself."""
    mass = view.mass[:-1] * (expected.density(view.starts) if expected else 1.0)
    taken = sorted(math.log2(run.learning_rate) for run in flying)
    cuts = [0, *np.searchsorted(view.starts, taken), len(mass)]
    first, last = max(pairwise(cuts), key=lambda cut: mass[cut[0] : cut[1]].sum())
    total = np.cumsum(mass[first:last])
    if not len(total) or total[-1] <= 0:
        return
    snap = SNAP * math.log2(plan.question.resolution)
    rates = {point.learning_rate for point in known} | {run.learning_rate for run in flying}
    for share in (0.5, 0.3, 0.7):
        middle = float(view.starts[first + np.searchsorted(total, share * total[-1])])
        near = {rate: abs(math.log2(rate) - middle) for rate in rates if abs(math.log2(rate) - middle) <= snap}
        for point in sorted((point for point in known if point.learning_rate in near), key=lambda p: near[p.learning_rate]):
            if not point.diverged and not point.futile:
                yield from _again(plan, group, point, flying)
        if all(distance > snap / 2 for distance in near.values()):
            yield Proposal(group, plan.question.inside(2.0**middle), 1)


def _again(plan: Plan, group: Group, point: Point, flying: Sequence[Proposal]) -> Iterator[Proposal]:
    """Another seed at a rate, where it has one left."""
    seeds = [*point.seeds, *(run.seed for run in flying if run.learning_rate == point.learning_rate)]
    if len(seeds) < plan.seeds_near_margin:
        yield Proposal(group, point.learning_rate, max(seeds) + 1)
