"""Searching for a group's edge: the next run is the one after which its interval is expected to be narrowest."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from analysis.belief import edge_belief
from analysis.edge import Judged, competitive, likely, surrounded, unsupported
from analysis.outcomes import Group, Outcome, Point, best, chosen_setting, points_of, unbroken, with_run
from analysis.verdict import Reference, Standard, Verdict, margin
from search_spaces.policy.best_search import around_best
from search_spaces.policy.expectation import Expectation, expected_edge
from search_spaces.policy.plan import Plan, Proposal

OPTIMUM_OCTAVES = 1.0
"""The distance, in octaves, between the runs that search for a group's own best."""

SHARES = (0.5, 0.35, 0.65, 0.2, 0.8, 0.08, 0.92)
"""The rates that are considered are those below which these shares of the belief lie."""

SURELY_INSIDE = 0.7
"""The upper end of the range is tried where no run limits the edge from above, and the edge lies inside the range with
less than this probability."""

SNAP = 0.25
"""Where a rate lies within this share of the resolution of a rate that ran, that rate gets another seed instead."""


@dataclass(frozen=True)
class SearchState:
    """Everything that the next run of a group depends on, once there is an A0."""

    plan: Plan
    finished: Sequence[Outcome]
    running: Sequence[Proposal]
    standard: Standard
    judged: Mapping[Group, Judged]

    def points(self, group: Group) -> list[Point]:
        return points_of(self.finished, group)

    def in_flight(self, group: Group) -> list[Proposal]:
        return [run for run in self.running if run.group == group]

    def expected(self, group: Group) -> Expectation:
        """Where the edge of a group is expected, from the edges of the other groups."""
        beliefs = {other: each.belief for other, each in self.judged.items() if likely(each.chances) and other != group}
        return expected_edge(self.plan.design, group, self.standard.baseline.learning_rate, beliefs)

    def measuring_run(self, group: Group, learning_rate: float, seed: int = 1) -> Proposal:
        """A run that measures, with the chosen setting of the group."""
        return Proposal(group, learning_rate, seed, chosen_setting(self.finished, group))


def search_edge(state: SearchState, group: Group) -> Iterator[Proposal]:
    """The candidates for the next run of a group that has points, most urgent first."""
    design, baseline, spread = state.plan.design, *state.standard
    points, judged = state.points(group), state.judged[group]
    top = best(points)
    if top is None or any(run.seed == 0 for run in state.in_flight(group)):
        return
    if likely(judged.chances):
        if judged.edge.flags == ("censored",):
            return
        below_the_end = judged.belief.below(math.log2(design.learning_rates[1]))
        if judged.edge.upper is None and below_the_end < SURELY_INSIDE:
            yield state.measuring_run(group, design.learning_rates[1])
        if not judged.belief.narrow(design.resolution):
            yield from _split(state, group, baseline.reference, judged, state.expected(group))
        for learning_rate in unsupported(judged.belief, judged.chances):
            yield state.measuring_run(group, design.inside(learning_rate))
        if Verdict.HOLDS not in judged.verdicts.values():
            yield from _again(state, group, top)
        return
    if margin(top, baseline.reference, design.tolerance, spread).verdict is Verdict.UNDECIDED:
        yield from _again(state, group, top)
    for learning_rate in around_best(state.plan, points, OPTIMUM_OCTAVES):
        yield state.measuring_run(group, learning_rate)
    if surrounded(points, design):
        own, own_best = competitive(design, points, spread), best(unbroken(points))
        if own is not None and own_best is not None and not own.belief.narrow(design.resolution):
            yield from _split(state, group, Reference(own_best.score, len(own_best.scores)), own, None)


def _split(
    state: SearchState, group: Group, reference: Reference, judged: Judged, expected: Expectation | None
) -> Iterator[Proposal]:
    """Candidate runs, first the one after which the interval is expected to be narrowest.

    A run in flight is taken to end in the more likely way.
    """
    design, spread, belief, chances = state.plan.design, state.standard.spread, judged.belief, judged.chances
    mass = belief.mass[:-1] * (expected.density(belief.starts) if expected else 1.0)
    total = np.cumsum(mass) / mass.sum()

    def holds(learning_rate: float) -> float:
        """The probability that the edge lies above a learning rate."""
        return 1.0 - float(np.interp(math.log2(learning_rate), belief.starts, total))

    points = state.points(group)
    breaks = 2 * sum(point.diverged > 0 for point in points) > sum(chance < 0.5 for chance in chances.values())

    def then(before: list[Point], learning_rate: float, well: bool) -> list[Point]:
        """The points after one more run, which comes out well or fails as most failing points of the group do."""
        short = 0.0 if well else 5 * design.tolerance
        return with_run(before, learning_rate, reference.score - short, diverged=breaks and not well)

    for run in state.in_flight(group):
        points = then(points, run.learning_rate, holds(run.learning_rate) > 0.5)

    def width_after(proposal: Proposal) -> float:
        """The expected width of the interval after a run, in octaves."""
        chance = holds(proposal.learning_rate)
        widths = []
        for well in (True, False):
            after = then(points, proposal.learning_rate, well)
            widths.append(edge_belief(after, reference, design.tolerance, spread, design.learning_rates).width)
        return chance * widths[0] + (1 - chance) * widths[1]

    rates = [float(belief.starts[np.searchsorted(total, share)]) for share in SHARES]
    candidates = {candidate for rate in rates for candidate in _at(state, group, rate)}
    yield from sorted(candidates, key=lambda proposal: (width_after(proposal), proposal))


def _at(state: SearchState, group: Group, rate: float) -> Iterator[Proposal]:
    """A run at a log2 learning rate, or another seed at a rate close to it that has run."""
    snap = SNAP * math.log2(state.plan.design.resolution)
    points = state.points(group)
    near = {point.learning_rate for point in points} | {run.learning_rate for run in state.in_flight(group)}
    distance = {each: abs(math.log2(each) - rate) for each in near if abs(math.log2(each) - rate) <= snap}
    for point in sorted(points, key=lambda point: distance.get(point.learning_rate, math.inf)):
        if point.learning_rate in distance and not point.futile:
            for again in _again(state, group, point):
                yield again
                return
    if all(each > snap / 2 for each in distance.values()):
        yield state.measuring_run(group, state.plan.design.inside(2.0**rate))


def _again(state: SearchState, group: Group, point: Point) -> Iterator[Proposal]:
    """Another seed at the rate of a point, where it has one left."""
    in_flight = [run.seed for run in state.in_flight(group) if run.learning_rate == point.learning_rate]
    seeds = [*point.seeds, *in_flight]
    if len(seeds) < state.plan.seeds_near_margin:
        yield state.measuring_run(group, point.learning_rate, max(seeds) + 1)
