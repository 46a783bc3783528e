"""Every search, on Optuna's storage."""

import pytest
from optuna.storages import JournalStorage

from analysis.answer import answer
from search_spaces.service.proposers import SEARCHES, proposer, runs_at_most
from tests.search_spaces.synthetic import MakePlan, run_search


@pytest.mark.parametrize("search", SEARCHES)
def test_a_search_ends_within_its_budget_and_judges_its_baseline(
    make_plan: MakePlan, search: str, storage: JournalStorage
) -> None:
    the_plan = make_plan(max_runs=30, resolution=2.0)
    outcomes = run_search(proposer(search, the_plan, storage, "s"))
    assert len(outcomes) <= runs_at_most(search, the_plan)
    found = answer(the_plan.design, outcomes)
    assert found.baseline.runs >= 3
    assert {outcome.group for outcome in outcomes} == set(the_plan.design.groups)
