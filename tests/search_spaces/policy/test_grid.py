"""The grid covers every group at the resolution."""

from itertools import pairwise

from analysis.answer import answer
from search_spaces.policy import grid
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
