"""The grid covers every group at the resolution."""

from itertools import pairwise

from analysis.answer import answer
from search_spaces.policy import grid
from search_spaces.policy.plan import Proposal
from tests.search_spaces.synthetic import SIZES, MakePlan, search, sharp


def test_the_grid_covers_every_group_at_the_resolution(make_plan: MakePlan) -> None:
    the_plan = make_plan(resolution=2.0)
    rates = grid.learning_rates(the_plan)
    assert rates[0] == 0.01
    assert rates[-1] == 12.8
    assert all(high / low <= 2.0 * (1 + 1e-5) for low, high in pairwise(rates))
    outcomes = search(the_plan, sharp, proposing=grid.propose)
    assert len(outcomes) == grid.size(the_plan) == len(SIZES) * len(rates) * 3 + 1
    assert all(each.scalable.finite for each in answer(the_plan.design, outcomes).groups)


def test_the_baselines_rate_does_not_depend_on_what_the_other_batch_sizes_show(make_plan: MakePlan) -> None:
    the_plan = make_plan(resolution=2.0)
    outcomes = search(the_plan, sharp, proposing=grid.propose)
    base = the_plan.design.baseline
    of_grid = [run for run in outcomes if run.seed < the_plan.seeds_near_margin]
    alone = grid.propose(the_plan, of_grid, [])
    loud = [run._replace(score=run.score - 0.1 * (-1) ** run.seed) if run.group != base else run for run in of_grid]
    assert isinstance(alone, Proposal)
    assert grid.propose(the_plan, loud, []) == alone
