"""Looking for a group's edge: always the run after which its interval is expected to be narrowest."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from analysis.belief import belief, narrow, width
from analysis.edge import Judged, competitive, likely, surrounded, unsupported
from analysis.frontier import (
    Baseline,
    Group,
    Noise,
    Outcome,
    Point,
    Reference,
    Verdict,
    best,
    chosen_setting,
    margin,
    points,
    unbroken,
    with_run,
)
from search_spaces.best_search import around_best
from search_spaces.expectation import Expectation, expected_edge
from search_spaces.plan import Plan, Proposal

OPTIMUM_OCTAVES = 1.0
"""Between the runs that look for a group's own best."""

SHARES = (0.5, 0.35, 0.65, 0.2, 0.8, 0.08, 0.92)
"""Of the belief that lie below the rates that are considered."""

SURELY_INSIDE = 0.7
"""Probability of an edge inside the range below which the range's upper end is tried, where nothing has failed."""

SNAP = 0.25
"""A rate within this share of the resolution is run again rather than a new one beside it."""


@dataclass(frozen=True)
class Scene:
    """Everything the questions of a group depend on, once the baseline's score is known."""

    plan: Plan
    finished: Sequence[Outcome]
    running: Sequence[Proposal]
    yardstick: Baseline
    spread: Noise
    judged: Mapping[Group, Judged]

    def known(self, group: Group) -> list[Point]:
        return points(self.finished, group)

    def flying(self, group: Group) -> list[Proposal]:
        return [run for run in self.running if run.group == group]

    def expected(self, group: Group) -> Expectation:
        """Where the other groups' edges point."""
        views = {other: each.view for other, each in self.judged.items() if likely(each.chances) and other != group}
        return expected_edge(self.plan.question, group, self.yardstick.learning_rate, views)

    def measure(self, group: Group, learning_rate: float, seed: int = 1) -> Proposal:
        """A run that measures, with the setting the group chose."""
        return Proposal(group, learning_rate, seed, chosen_setting(self.finished, group))


def search(scene: Scene, group: Group) -> Iterator[Proposal]:
    """The next questions of a group that has begun."""
    question = scene.plan.question
    known, flying, found = scene.known(group), scene.flying(group), scene.judged[group]
    top = best(known)
    if top is None or any(run.seed == 0 for run in flying):
        return
    if likely(found.chances):
        if found.edge.flags == ("censored",):
            return
        if found.edge.upper is None and found.view.below(math.log2(question.learning_rates[1])) < SURELY_INSIDE:
            yield scene.measure(group, question.learning_rates[1])
        if not narrow(found.view, question.resolution):
            yield from _split(scene, group, scene.yardstick.reference, found, scene.expected(group))
        for learning_rate in unsupported(found.view, found.chances):
            yield scene.measure(group, question.inside(learning_rate))
        if Verdict.HOLDS not in found.found.values():
            yield from _again(scene, group, top)
        return
    if margin(top, scene.yardstick.reference, question.tolerance, scene.spread).verdict is Verdict.UNDECIDED:
        yield from _again(scene, group, top)
    for learning_rate in around_best(scene.plan, known, OPTIMUM_OCTAVES):
        yield scene.measure(group, learning_rate)
    if surrounded(known, question):
        own, own_best = competitive(question, known, scene.spread), best(unbroken(known))
        if own is not None and own_best is not None and not narrow(own.view, question.resolution):
            yield from _split(scene, group, Reference(own_best.score, len(own_best.scores)), own, None)


def _split(
    scene: Scene, group: Group, reference: Reference, found: Judged, expected: Expectation | None
) -> Iterator[Proposal]:
    """The run after which the interval is expected to be narrowest, runs in flight ending as is likely."""
    question, view, chances = scene.plan.question, found.view, found.chances
    mass = view.mass[:-1] * (expected.density(view.starts) if expected else 1.0)
    total = np.cumsum(mass) / mass.sum()

    def holds(learning_rate: float) -> float:
        """Probability that the edge lies above."""
        return 1.0 - float(np.interp(math.log2(learning_rate), view.starts, total))

    known = scene.known(group)
    breaks = 2 * sum(point.diverged > 0 for point in known) > sum(chance < 0.5 for chance in chances.values())

    def then(runs: list[Point], learning_rate: float, well: bool) -> list[Point]:
        """The points after a run that comes out well, or as those that fail do."""
        short = 0.0 if well else 5 * question.tolerance
        return with_run(runs, learning_rate, reference.score - short, diverged=breaks and not well)

    for run in scene.flying(group):
        known = then(known, run.learning_rate, holds(run.learning_rate) > 0.5)

    def width_after(proposal: Proposal) -> float:
        """Expected width of the interval, octaves."""
        chance = holds(proposal.learning_rate)
        widths = []
        for well in (True, False):
            runs = then(known, proposal.learning_rate, well)
            widths.append(width(belief(runs, reference, question.tolerance, scene.spread, question.learning_rates)))
        return chance * widths[0] + (1 - chance) * widths[1]

    rates = [float(view.starts[np.searchsorted(total, share)]) for share in SHARES]
    candidates = {candidate for rate in rates for candidate in _at(scene, group, rate)}
    yield from sorted(candidates, key=lambda proposal: (width_after(proposal), proposal))


def _at(scene: Scene, group: Group, rate: float) -> Iterator[Proposal]:
    """A run at a log2 learning rate, or with another seed at one close by."""
    snap = SNAP * math.log2(scene.plan.question.resolution)
    known = scene.known(group)
    near = {point.learning_rate for point in known} | {run.learning_rate for run in scene.flying(group)}
    distance = {each: abs(math.log2(each) - rate) for each in near if abs(math.log2(each) - rate) <= snap}
    for point in sorted(known, key=lambda point: distance.get(point.learning_rate, math.inf)):
        if point.learning_rate in distance and not point.futile:
            for again in _again(scene, group, point):
                yield again
                return
    if all(each > snap / 2 for each in distance.values()):
        yield scene.measure(group, scene.plan.question.inside(2.0**rate))


def _again(scene: Scene, group: Group, point: Point) -> Iterator[Proposal]:
    """Another seed at a rate, where it has one left."""
    flying = [run.seed for run in scene.flying(group) if run.learning_rate == point.learning_rate]
    seeds = [*point.seeds, *flying]
    if len(seeds) < scene.plan.seeds_near_margin:
        yield scene.measure(group, point.learning_rate, max(seeds) + 1)
