"""Searching for the edges: the next run is the one that is expected to tell most about where an edge lies.

A run of a batch size tells about its own edge. A run of the baseline at its best learning rate tells about A0, and so
about every edge; it is asked for where it tells more about all undecided edges than any other run about its own.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from analysis.edge import Judged, bar_floor, other_order
from analysis.expectation import Expectation, neighbours, weighted
from analysis.fit import Fit
from analysis.group_fits import best_rate, log_range
from analysis.outcomes import Group, Outcome, Setting, chosen_setting, points_of
from analysis.response_curve import Curves
from analysis.verdict import SURE, Baseline
from search_spaces.policy.best_search import around_best
from search_spaces.policy.information import cells, classes, information
from search_spaces.policy.plan import Plan, Proposal, asked_so_far

SHARES = (0.02, 0.08, 0.2, 0.35, 0.5, 0.65, 0.8, 0.92, 0.98)
"""The rates that are considered are those below which these shares of the edges lie."""
STEPS_IN_RESOLUTION = 4
"""Rates are rounded to this many steps in a factor of the resolution, counted from the rate at which tuning starts."""
AHEAD = 1
"""A batch size may have this many runs more than another undecided one."""
ON_ITS_OWN = 3
"""From so many runs on, a group is searched as its own runs suggest, as its interval is read off its own curves."""
OPTIMUM_OCTAVES = 1.0
"""The distance, in octaves, between the runs that search for a group's own best."""
BASELINE_SHARE = 1 / 3
"""The most runs that the baseline may take, of all."""


@dataclass(frozen=True)
class SearchState:
    """Everything that the next run depends on, once there is an A0."""

    plan: Plan
    finished: Sequence[Outcome]
    running: Sequence[Proposal]
    baseline: Baseline
    judged: Mapping[Group, Judged]

    @cached_property
    def asked_runs(self) -> list[Proposal]:
        """Every run that has been asked for."""
        return asked_so_far(self.finished, self.running)

    @cached_property
    def last_seeds(self) -> dict[tuple[Group, float], int]:
        """The highest seed that has been asked for, by group and learning rate."""
        last: dict[tuple[Group, float], int] = {}
        for run in self.asked_runs:
            point = run.group, run.learning_rate
            last[point] = max(run.seed, last.get(point, 0))
        return last

    @cached_property
    def settings(self) -> dict[Group, Setting]:
        """The setting that each group is measured with."""
        return {group: chosen_setting(self.finished, group) for group in self.plan.design.groups}

    def in_flight(self, group: Group) -> list[Proposal]:
        return [run for run in self.running if run.group == group]

    def asked(self, group: Group) -> int:
        return sum(run.group == group for run in self.asked_runs)

    def expected(self, group: Group) -> Expectation | None:
        """Where the edge of a group is expected, from the edges of the other groups."""
        beliefs = {other: each.belief for other, each in self.judged.items() if each.fit.runs}
        return neighbours(self.plan.design, group, self.baseline.learning_rate, beliefs)

    def undecided(self, group: Group) -> bool:
        return "undecided" in self.judged[group].edge.flags


def edge_runs(state: SearchState, turns: Sequence[Group]) -> Iterator[Proposal]:
    """The candidates for the next run of the groups that have begun, the most informative first."""
    open_groups = [group for group in turns if state.undecided(group)]
    if not open_groups:
        return
    for group in open_groups:
        if state.judged[group].belief.none >= SURE and not state.in_flight(group):  # its best has no neighbours yet
            points = points_of(state.finished, group)
            for rate in around_best(state.plan, points, OPTIMUM_OCTAVES):
                yield Proposal(group, rate, 1, state.settings[group])
    base, values = state.plan.design.baseline, dict[Proposal, float]()
    of_groups = {group: _information(state, group, [group]) for group in open_groups if group != base}
    least = min((state.asked(group) for group, found in of_groups.items() if found), default=0)
    for group, found in of_groups.items():
        if state.asked(group) <= least + AHEAD:
            values |= found
    of_baseline = _information(state, base, open_groups) if _baseline_may_run(state, state.plan.max_runs) else {}
    if _baseline_may_run(state, len(state.asked_runs) + 1):
        values, of_baseline = values | of_baseline, {}
    yield from _by_value(values)
    yield from _by_value(of_baseline)  # where nothing else can run


def _by_value(values: Mapping[Proposal, float]) -> list[Proposal]:
    return sorted(values, key=lambda proposal: (-values[proposal], proposal[:3]))


def _baseline_may_run(state: SearchState, runs: int) -> bool:
    """Whether one more run of the baseline leaves it within its share of so many runs."""
    base = state.plan.design.baseline
    return not state.in_flight(base) and state.asked(base) + 1 <= BASELINE_SHARE * runs


def _information(state: SearchState, group: Group, about: Sequence[Group]) -> dict[Proposal, float]:
    """The candidate runs of a group, and what each is expected to tell about the edges of some groups, in bits.

    What the sample of curves tells by chance, because it is finite, is taken off.
    """
    design, judged, baseline = state.plan.design, state.judged[group], state.baseline
    floor, bar = bar_floor(design, baseline), float(baseline.a0.mean() / design.tolerance - 1)
    weights = _weights(state, group, judged.fit.curves, bar, floor)
    proposals: list[Proposal] = []
    for rates in (_rates(state, judged, weights), _all_rates(state)):
        if not proposals:  # the seeds of all rates that would tell most are used up
            proposals = sorted({each for rate in rates if (each := _run_at(state, group, rate))})
    if not proposals:
        return {}
    rates = tuple(math.log2(proposal.learning_rate) for proposal in proposals)
    of_edges = [_paired(cells(state.judged[other].belief, design.resolution), group == other) for other in about]
    bits = _told(judged.fit, bar, floor, rates, weights.tobytes(), tuple(each.tobytes() for each in of_edges))
    return dict(zip(proposals, map(float, bits), strict=True))


@lru_cache(maxsize=64)
def _told(
    fit: Fit, bar: float, floor: float, rates: tuple[float, ...], weights: bytes, edges: tuple[bytes, ...]
) -> np.ndarray:
    """What runs at these log2 rates tell about each of the edges together, in bits, (rates,).

    It is remembered for groups that no run has ended of since.

    Args:
        weights: the probability of each curve, as the bytes of floats.
        edges: the cell of each curve's edge, one after the other, as the bytes of integers.
    """
    of_classes = classes(fit.curves, np.array(rates), bar, floor)
    probable, bits = np.frombuffer(weights), np.zeros(len(rates))
    for each in edges:
        of_edges = np.frombuffer(each, dtype=np.int64)
        mixed = of_edges[np.random.default_rng(2).permutation(len(of_edges))]
        told, by_chance = (information(of_classes, cell, probable) for cell in (of_edges, mixed))
        bits += np.maximum(told - by_chance, 0.0)
    return bits


def _paired(of_edges: np.ndarray, own: bool) -> np.ndarray:
    """The cells of a group's edges in the order of the curves whose A0s they were judged against, (curves,)."""
    if own:
        return of_edges
    result = np.empty_like(of_edges)
    result[other_order(len(of_edges))] = of_edges
    return result


def _weights(state: SearchState, group: Group, curves: Curves, bar: float, floor: float) -> np.ndarray:
    """The probability of each curve, if the runs in flight end as is likely; at first as other edges suggest too."""
    belief = state.judged[group].belief
    expected = state.expected(group) if state.asked(group) < ON_ITS_OWN else None
    weights = np.ones(len(belief.edges)) if expected is None else weighted(belief, expected)
    for run in state.in_flight(group):
        ends = classes(curves, np.array([math.log2(run.learning_rate)]), bar, floor)[:, 0]
        weights = weights * ends[:, int((weights @ ends).argmax())]
    return weights / weights.sum()


def _rates(state: SearchState, judged: Judged, weights: np.ndarray) -> list[float]:
    """The log2 learning rates to consider: where the edge may lie, around the best, and the ends of what is open."""
    low, high = log_range(state.plan.design)
    edges = judged.belief.edges
    order = np.argsort(edges)
    total = np.cumsum(weights[order] * np.isfinite(edges[order]))
    rates = []
    if total[-1] > 0:
        rates = [float(edges[order][np.searchsorted(total, share * total[-1])]) for share in SHARES]
        rates += [rates[-1] + 0.5, rates[0] - 0.5]
    best = best_rate(judged.fit)
    rates += [best - 1.0, best, best + 1.0]
    if judged.belief.beyond > 0.05:
        rates.append(high)
    return [min(max(rate, low), high) for rate in rates]


def _all_rates(state: SearchState) -> Iterable[float]:
    """Every log2 learning rate that a run may have."""
    low, high = log_range(state.plan.design)
    step = math.log2(state.plan.design.resolution) / STEPS_IN_RESOLUTION
    return np.linspace(low, high, 1 + math.ceil((high - low) / step)).tolist()


def _run_at(state: SearchState, group: Group, rate: float) -> Proposal | None:
    """A run close to a log2 learning rate, with the first seed that is free; None where the seeds are used up."""
    plan = state.plan
    step = math.log2(plan.design.resolution) / STEPS_IN_RESOLUTION
    first = math.log2(plan.first)
    low, high = log_range(plan.design)
    end = low if rate - low < step / 2 else high if high - rate < step / 2 else None
    rounded = first + round((rate - first) / step) * step if end is None else end
    learning_rate = plan.design.inside(2.0**rounded)
    seed = 1 + state.last_seeds.get((group, learning_rate), 0)
    if seed > plan.seeds_near_margin and group != plan.design.baseline:
        return None
    return Proposal(group, learning_rate, seed, state.settings[group])
