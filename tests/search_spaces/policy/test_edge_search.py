"""The next run of a group that has begun: between what holds and what fails, and nothing once that is narrow."""

from collections.abc import Callable, Sequence

import pytest

from analysis.edge import scalable
from analysis.outcomes import Group, Outcome, points_of
from analysis.verdict import standard
from search_spaces.policy.edge_search import SearchState, search_edge
from search_spaces.policy.plan import Proposal
from tests.search_spaces.synthetic import MakePlan

BASE, GROUP = Group("t", 16), Group("t", 64)
MakeState = Callable[..., SearchState]


def run(rate: float, score: float, seed: int = 1, group: Group = GROUP) -> Outcome:
    """One that ended well, or diverged where its score is chance."""
    return Outcome(group, rate, seed, "diverged" if score == 0.1 else "done", score, score)


TUNED = [run(rate, score, 0, BASE) for rate, score in ((0.05, 0.88), (0.2, 0.90), (0.8, 0.1))]
MEASURED = [run(0.2, score, seed, BASE) for seed, score in ((1, 0.899), (2, 0.900), (3, 0.901))]


@pytest.fixture
def make_state(make_plan: MakePlan) -> MakeState:
    """A search whose baseline has been measured at 0.2, and a group that has had these runs."""

    def make(*runs: Outcome, running: Sequence[Proposal] = ()) -> SearchState:
        plan, finished = make_plan(), [*TUNED, *MEASURED, *runs]
        against = standard(plan.design, finished)
        assert against is not None
        judged = {group: scalable(plan.design, points_of(finished, group), against) for group in plan.design.groups}
        return SearchState(plan, finished, running, against, judged)

    return make


HOLDS_AND_FAILS = (run(0.4, 0.90), run(1.6, 0.1))


def test_the_next_run_lies_between_a_rate_that_holds_and_one_that_fails(make_state: MakeState) -> None:
    candidates = list(search_edge(make_state(*HOLDS_AND_FAILS), GROUP))
    assert len(candidates) >= 3
    assert all(0.4 <= run.learning_rate <= 1.6 for run in candidates)
    assert 0.4 < candidates[0].learning_rate < 1.6


@pytest.mark.parametrize("score", [0.90, 0.1])
def test_the_run_asked_for_first_narrows_the_interval_however_it_ends(make_state: MakeState, score: float) -> None:
    before = make_state(*HOLDS_AND_FAILS)
    first = next(search_edge(before, GROUP))
    after = make_state(*HOLDS_AND_FAILS, run(first.learning_rate, score))
    assert after.judged[GROUP].belief.width < 0.8 * before.judged[GROUP].belief.width


def test_what_is_in_flight_is_taken_to_end_as_is_likely_and_not_asked_for_again(make_state: MakeState) -> None:
    """The first run more probably fails than holds, so the second is sought below it."""
    first = next(search_edge(make_state(*HOLDS_AND_FAILS), GROUP))
    candidates = list(search_edge(make_state(*HOLDS_AND_FAILS, running=[first]), GROUP))
    assert 0.4 < candidates[0].learning_rate < first.learning_rate
    assert first.learning_rate not in [proposal.learning_rate for proposal in candidates]


def test_a_group_without_runs_and_one_whose_setting_is_being_looked_for_wait(make_state: MakeState) -> None:
    assert list(search_edge(make_state(), GROUP)) == []
    assert list(search_edge(make_state(*HOLDS_AND_FAILS, running=[Proposal(GROUP, 0.4, 0)]), GROUP)) == []
    elsewhere = make_state(*HOLDS_AND_FAILS, running=[Proposal(BASE, 0.4, 0)])
    assert list(search_edge(elsewhere, GROUP)) != []


def test_a_group_is_done_when_its_interval_is_narrow(make_state: MakeState) -> None:
    held = [run(rate, 0.90, seed) for rate in (0.4, 0.8, 1.5) for seed in (1, 2, 3)]
    assert list(search_edge(make_state(*held), GROUP)) != []
    assert list(search_edge(make_state(*held, run(1.6, 0.1), run(1.6, 0.1, 2)), GROUP)) == []


def test_the_ranges_end_is_tried_where_the_edge_may_lie_above_it_and_ends_the_search_where_it_holds(
    make_state: MakeState,
) -> None:
    assert next(search_edge(make_state(run(6.4, 0.90)), GROUP)) == Proposal(GROUP, 12.8, 1)
    assert next(search_edge(make_state(run(0.4, 0.90)), GROUP)).learning_rate < 6.4, "five octaves below the end"
    at_the_end = [run(12.8, 0.90, seed) for seed in (1, 2, 3)]
    assert list(search_edge(make_state(*at_the_end), GROUP)) == []


def test_where_nothing_holds_the_best_gets_neighbours_before_its_own_edge_is_sought(make_state: MakeState) -> None:
    alone = list(search_edge(make_state(run(0.4, 0.5)), GROUP))
    assert [proposal.learning_rate for proposal in alone] == [0.8, 0.2]
    surrounded = make_state(run(0.2, 0.45), run(0.4, 0.5), run(0.8, 0.3))
    candidates = list(search_edge(surrounded, GROUP))
    assert 0.4 < candidates[0].learning_rate < 0.8, "between its own best and what falls short of that"


def test_a_rate_near_the_margin_runs_again_and_never_with_more_seeds_than_it_may_have(make_state: MakeState) -> None:
    near = [run(0.4, 0.8795, seed) for seed in (1, 2, 3)]
    for count in (1, 2):
        assert next(search_edge(make_state(*near[:count]), GROUP)) == Proposal(GROUP, 0.4, count + 1)
    assert all(proposal.learning_rate != 0.4 for proposal in search_edge(make_state(*near), GROUP))
