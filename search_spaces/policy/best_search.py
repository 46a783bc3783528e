"""Searching for the best learning rate and setting, with runs of seed 0.

These are the baseline's tuning runs and, where a study searches further dimensions, runs of sampled settings.
"""

import math
from collections.abc import Collection, Iterator, Sequence

from analysis.outcomes import Group, Outcome, Point, Setting, best, chosen_setting, leading, points_of
from search_spaces.policy.plan import Plan, Proposal

ROUNDING = 1e-4
"""Distances between rates in octaves are as exact as this, because rates have six digits."""
TUNING_OCTAVES = 2.0
"""The distance between the first tuning runs. It is halved until the neighbours of the best are an octave away."""


def tuning_runs(plan: Plan, finished: Sequence[Outcome], asked: Collection[Proposal]) -> Iterator[Proposal]:
    """The baseline's tuning runs, of seed 0.

    First come three rates, then their best's neighbours. Where there are further dimensions, sampled settings follow,
    and then the neighbours of the best rate with the best setting.
    """
    group = plan.design.baseline
    yield from ladder(plan, (0.0, TUNING_OCTAVES, -TUNING_OCTAVES))
    tuning = [run for run in finished if run.group == group and run.seed == 0]
    own = own_setting(plan, group)
    yield from _pattern(plan, points_of([run for run in tuning if run.setting == own], group), own)
    top = best(points_of(tuning, group))
    if plan.sampled_settings and top is not None:
        yield from sampled_runs(plan, group, top.learning_rate, asked)
        yield from _pattern(plan, points_of(tuning, group), chosen_setting(tuning, group))


def ladder(plan: Plan, octaves: Sequence[float]) -> Iterator[Proposal]:
    """Tuning runs at these distances, in octaves, from the first learning rate."""
    group = plan.design.baseline
    for distance in octaves:
        yield Proposal(group, plan.design.inside(plan.first * 2.0**distance), 0, own_setting(plan, group))


def _pattern(plan: Plan, points: Sequence[Point], setting: Setting) -> Iterator[Proposal]:
    """Tuning runs around the best, at a step that is halved down to an octave."""
    step = TUNING_OCTAVES
    while step >= 1.0:
        for learning_rate in around_best(plan, points, step):
            yield Proposal(plan.design.baseline, learning_rate, 0, setting)
        step /= 2


def sampled_runs(plan: Plan, group: Group, around: float, asked: Collection[Proposal]) -> Iterator[Proposal]:
    """The next run of seed 0 whose setting is to be sampled, if any is left; at most an octave from a learning rate."""
    own = own_setting(plan, group)
    sampled = sum(run.group == group and run.seed == 0 and run.setting != own for run in asked)
    if sampled < plan.sampled_settings:
        yield Proposal(group, plan.design.inside(around * 2.0 ** (0, 1, -1)[sampled % 3]), 0, None)


def own_setting(plan: Plan, group: Group) -> Setting:
    return plan.own.get(group.technique, ())


def around_best(plan: Plan, points: Sequence[Point], step: float) -> Iterator[float]:
    """The learning rates `step` octaves above and below the best point, or the ends of the range that lie nearer.

    A side is left out where a rate half a step to one and a half steps away on it has run, or the end of the range.
    """
    top = leading(points, plan.design.guess)
    if top is None:
        return
    for octaves in (step, -step):
        neighbour = plan.design.inside(top.learning_rate * 2.0**octaves)
        nearest = min(step / 2, abs(math.log2(neighbour / top.learning_rate)))
        away = [math.log2(point.learning_rate / top.learning_rate) * octaves / step for point in points]
        if not any(nearest <= distance + ROUNDING and distance <= 1.5 * step + ROUNDING for distance in away):
            yield neighbour
