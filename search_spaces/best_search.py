"""Looking for the best: the baseline's tuning runs, of seed 0, and settings of a study's further dimensions."""

import math
from collections.abc import Collection, Iterator, Sequence

from analysis.frontier import Group, Outcome, Point, Setting, best, chosen_setting, leading, points
from search_spaces.plan import Plan, Proposal

TUNING_OCTAVES = 2.0
"""Between the first tuning runs; halved until neighbours of the best are an octave away."""


def tune(plan: Plan, finished: Sequence[Outcome], asked: Collection[Proposal]) -> Iterator[Proposal]:
    """The baseline's tuning runs, of seed 0: a ladder, a pattern search, settings, a pattern search with the best."""
    group = plan.question.baseline
    yield from ladder(plan, (0.0, TUNING_OCTAVES, -TUNING_OCTAVES))
    tuning = [run for run in finished if run.group == group and run.seed == 0]
    own = own_setting(plan, group)
    yield from _pattern(plan, points([run for run in tuning if run.setting == own], group), own)
    top = best(points(tuning, group))
    if plan.draws and top is not None:
        yield from draws(plan, group, top.learning_rate, asked)
        yield from _pattern(plan, points(tuning, group), chosen_setting(tuning, group))


def ladder(plan: Plan, octaves: Sequence[float]) -> Iterator[Proposal]:
    """Tuning runs so many octaves from the first."""
    group = plan.question.baseline
    for distance in octaves:
        yield Proposal(group, plan.question.inside(plan.first * 2.0**distance), 0, own_setting(plan, group))


def _pattern(plan: Plan, known: Sequence[Point], setting: Setting) -> Iterator[Proposal]:
    """Tuning runs around the best, at ever smaller steps."""
    step = TUNING_OCTAVES
    while step >= 1.0:
        for learning_rate in around_best(plan, known, step):
            yield Proposal(plan.question.baseline, learning_rate, 0, setting)
        step /= 2


def draws(plan: Plan, group: Group, around: float, asked: Collection[Proposal]) -> Iterator[Proposal]:
    """Runs of seed 0 whose settings are to be drawn, up to an octave from a learning rate."""
    own = own_setting(plan, group)
    drawn = sum(run.group == group and run.seed == 0 and run.setting != own for run in asked)
    if drawn < plan.draws:
        yield Proposal(group, plan.question.inside(around * 2.0 ** (0, 1, -1)[drawn % 3]), 0, None)


def own_setting(plan: Plan, group: Group) -> Setting:
    return plan.own.get(group.technique, ())


def around_best(plan: Plan, known: Sequence[Point], step: float) -> Iterator[float]:
    """The best point's neighbours so many octaves away, where nothing has run about there."""
    top = leading(known, plan.question.guess)
    if top is None:
        return
    for octaves in (step, -step):
        neighbour = plan.question.inside(top.learning_rate * 2.0**octaves)
        near = 0.0 if neighbour in plan.question.learning_rates else step / 2  # the range's ends are tried themselves
        if not any(abs(math.log2(neighbour / point.learning_rate)) <= max(near - 1e-9, 1e-6) for point in known):
            yield neighbour
