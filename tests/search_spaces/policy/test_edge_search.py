"""The next run of groups that have begun: where it tells most, and nothing once all is decided."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from analysis.edge import scalable
from analysis.outcomes import Group, Outcome
from analysis.verdict import find_baseline
from search_spaces.policy.edge_search import AHEAD, SearchState, edge_runs
from search_spaces.policy.plan import Proposal
from tests.search_spaces.synthetic import MakePlan

BASE, GROUP, OTHER = Group("t", 16), Group("t", 64), Group("t", 128)
MakeState = Callable[..., SearchState]


def run(rate: float, score: float, seed: int = 1, group: Group = GROUP) -> Outcome:
    """One that ended well, or diverged where its score is chance."""
    return Outcome(group, rate, seed, "diverged" if score == 0.1 else "done", score, score)


BASE_EDGE = [
    run(rate, score, seed, BASE)
    for rate, score in ((0.05, 0.893), (0.1, 0.898), (0.2, 0.90), (0.35, 0.899), (0.42, 0.1), (0.8, 0.1))
    for seed in (0, 1, 2)
]
HOLDS_AND_FAILS = (run(0.2, 0.90), run(0.4, 0.90), run(1.6, 0.1), run(3.2, 0.1))


@pytest.fixture
def make_state(make_plan: MakePlan) -> MakeState:
    """A search whose baseline is decided, and other groups that have had these runs."""

    def make(*runs: Outcome, running: Sequence[Proposal] = (), base: Sequence[Outcome] = BASE_EDGE) -> SearchState:
        plan, finished = make_plan(), [*base, *runs]
        baseline = find_baseline(plan.design, finished)
        assert baseline is not None
        judged = {group: scalable(plan.design, finished, group, baseline) for group in plan.design.groups}
        return SearchState(plan, finished, running, baseline, judged)

    return make


def candidates(state: SearchState, *groups: Group) -> list[Proposal]:
    return list(edge_runs(state, [BASE, *(groups or (GROUP,))]))


def test_the_next_run_lies_between_a_rate_that_holds_and_one_that_fails(make_state: MakeState) -> None:
    first = candidates(make_state(*HOLDS_AND_FAILS))[0]
    assert first.group == GROUP
    assert 0.4 < first.learning_rate < 1.6


@pytest.mark.parametrize("score", [0.90, 0.1])
def test_the_run_asked_for_first_narrows_the_interval_however_it_ends(make_state: MakeState, score: float) -> None:
    before = make_state(*HOLDS_AND_FAILS)
    first = candidates(before)[0]
    after = make_state(*HOLDS_AND_FAILS, run(first.learning_rate, score))
    assert after.judged[GROUP].belief.width < 0.9 * before.judged[GROUP].belief.width


def test_what_is_in_flight_is_taken_to_end_as_is_likely(make_state: MakeState) -> None:
    first = candidates(make_state(*HOLDS_AND_FAILS))[0]
    second = candidates(make_state(*HOLDS_AND_FAILS, running=[first]))[0]
    assert (second.group, second.learning_rate, second.seed) != (first.group, first.learning_rate, first.seed)


def test_a_group_is_done_when_it_is_decided(make_state: MakeState) -> None:
    held = [run(rate, 0.90, seed) for rate in (0.4, 0.8, 1.3) for seed in (1, 2, 3)]
    assert candidates(make_state(*held)) != []
    fails = [run(rate, 0.1, seed) for rate in (1.6, 2.0) for seed in (1, 2, 3)]
    assert candidates(make_state(*held, *fails)) == []


def test_the_group_with_fewer_runs_has_its_turn_first(make_state: MakeState) -> None:
    behind = [run(0.4, 0.90, group=OTHER)]
    ahead = [*HOLDS_AND_FAILS, run(0.3, 0.90), run(0.5, 0.90)]
    state = make_state(*ahead, *behind)
    assert state.asked(GROUP) > state.asked(OTHER) + AHEAD
    groups = {proposal.group for proposal in candidates(state, GROUP, OTHER)}
    assert GROUP not in groups
    assert OTHER in groups


def test_the_ranges_end_is_a_candidate_where_the_edge_may_lie_above_it(make_state: MakeState) -> None:
    state = make_state(run(3.2, 0.90), run(6.4, 0.90))
    assert any(proposal.learning_rate == 12.8 for proposal in candidates(state))
    at_the_end = [run(rate, 0.90, seed) for rate in (3.2, 6.4, 12.8) for seed in (1, 2, 3)]
    assert candidates(make_state(*at_the_end)) == []


def test_where_nothing_holds_the_best_gets_neighbours_on_both_sides(make_state: MakeState) -> None:
    falling = [run(0.4, 0.80), run(0.8, 0.79), run(1.6, 0.77)]
    state = make_state(*falling)
    assert state.judged[GROUP].edge.flags == ("undecided",)
    assert candidates(state)[0].learning_rate < 0.4
    below = make_state(*falling, run(0.2, 0.79), run(0.1, 0.77))
    assert below.judged[GROUP].edge.flags == ("none",)
    assert candidates(below) == []


def test_no_rate_runs_with_more_seeds_than_it_may_have(make_state: MakeState) -> None:
    near = [run(0.8, 0.879 + 0.002 * seed, seed) for seed in (1, 2, 3)]
    assert all(proposal.learning_rate != 0.8 for proposal in candidates(make_state(*HOLDS_AND_FAILS, *near)))


def test_rates_lie_on_a_grid_so_that_they_meet_again(make_state: MakeState) -> None:
    steps = [
        math.log(proposal.learning_rate / 0.1) / math.log(1.5) * 4
        for proposal in candidates(make_state(*HOLDS_AND_FAILS))
        if proposal.learning_rate not in (0.01, 12.8)
    ]
    assert steps == pytest.approx(np.round(steps), abs=1e-3)


def test_the_baseline_runs_where_its_error_is_what_keeps_others_open(make_state: MakeState) -> None:
    """A0 from three scattered runs, and a group whose slow fall is known much better."""
    scattered = [run(rate, score, 0, BASE) for rate, score in ((0.05, 0.87), (0.2, 0.90), (0.8, 0.85))]
    known = [
        run(rate, 0.90 - 0.01 * octaves, seed)
        for octaves, rate in ((0, 0.2), (1, 0.4), (2, 0.8), (3, 1.6))
        for seed in (1, 2, 3)
    ]
    first = next(edge_runs(make_state(*known, base=scattered), [GROUP]))
    assert first.group == BASE
    certain = [*scattered, *(run(0.2, 0.90 + 0.001 * (-1) ** seed, seed, BASE) for seed in range(1, 20))]
    assert all(proposal.group == GROUP for proposal in edge_runs(make_state(*known, base=certain), [GROUP]))
