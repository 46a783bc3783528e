"""Tuning: ladders, neighbours of the best, and settings that are sampled."""

import math
from dataclasses import replace

import pytest
from optuna.distributions import FloatDistribution

from analysis.outcomes import Group, Outcome, points_of
from search_spaces.policy.best_search import around_best, ladder, own_setting, sampled_runs, tuning_runs
from search_spaces.policy.plan import Plan, Proposal, asked_so_far
from tests.search_spaces.synthetic import MakePlan, edge_at, sharp

BASE = Group("t", 16)
NAME = "optimizer.momentum"
OWN = ((NAME, 0.5),)


def run(rate: float, score: float, setting: tuple[tuple[str, float], ...] = ()) -> Outcome:
    return Outcome(BASE, rate, 0, "done", score, score, setting)


@pytest.fixture
def with_settings(make_plan: MakePlan) -> Plan:
    """A plan that tries three settings of the momentum besides the technique's own."""
    dimensions = {NAME: FloatDistribution(0.0, 0.95)}
    return replace(make_plan(), dimensions=dimensions, own={"t": OWN}, sampled_settings=3)


def test_tuning_begins_with_three_rates_two_octaves_apart(make_plan: MakePlan) -> None:
    assert list(tuning_runs(make_plan(), [], [])) == [Proposal(BASE, rate, 0) for rate in (0.1, 0.4, 0.025)]


def test_a_ladder_stays_inside_the_range(make_plan: MakePlan) -> None:
    plan = replace(make_plan(), first=12.8)
    assert [proposal.learning_rate for proposal in ladder(plan, (0.0, 1.0, -1.0))] == [12.8, 12.8, 6.4]


def test_the_bests_neighbours_are_asked_for_where_nothing_ran_about_there(make_plan: MakePlan) -> None:
    points = points_of([run(0.025, 0.5), run(0.1, 0.8), run(0.4, 0.9)], BASE)
    assert list(around_best(make_plan(), points, 2.0)) == [1.6], "0.1 has run"
    assert list(around_best(make_plan(), points, 1.0)) == [0.8, 0.2]
    assert list(around_best(make_plan(), [], 1.0)) == []
    near = points_of([run(0.4, 0.9), run(0.75, 0.8), run(0.19, 0.8)], BASE)
    assert list(around_best(make_plan(), near, 1.0)) == []
    nearer = points_of([run(0.1, 0.8), run(0.2, 0.9), run(0.4, 0.8)], BASE)
    assert list(around_best(make_plan(), nearer, 2.0)) == [], "its neighbours an octave away have run"
    rounded = points_of([run(0.0632456, 0.8), run(0.126491, 0.9), run(0.252982, 0.8)], BASE)
    assert list(around_best(make_plan(), rounded, 2.0)) == [], "six digits of a rate are enough"
    tuned = points_of([run(0.02, 0.8), run(0.04, 0.9), run(0.08, 0.8)], BASE)
    assert list(around_best(make_plan(), tuned, 2.0)) == [], "so the range's end is not tried either"


def test_the_ranges_ends_are_tried_themselves(make_plan: MakePlan) -> None:
    points = points_of([run(10.0, 0.9), run(5.0, 0.8)], BASE)
    assert list(around_best(make_plan(), points, 1.0)) == [12.8], "though 10 lies close by"
    assert list(around_best(make_plan(), points_of([run(12.8, 0.9), run(6.4, 0.8)], BASE), 1.0)) == []


def test_where_nothing_has_learnt_the_search_goes_down_not_to_the_luckiest(make_plan: MakePlan) -> None:
    plan = make_plan()
    plan = replace(plan, design=replace(plan.design, chance=0.1, validation_samples=500))
    guesses = points_of([run(0.2, 0.102), run(0.4, 0.112), run(0.8, 0.1)], BASE)
    assert list(around_best(plan, guesses, 1.0)) == [0.1]


def test_tuning_ends_within_an_octave_of_the_best_rate(make_plan: MakePlan) -> None:
    plan, finished = make_plan(), []
    while fresh := [each for each in tuning_runs(plan, finished, []) if each not in asked_so_far(finished, [])]:
        score = sharp(*fresh[0][:2])
        finished.append(fresh[0].ended("diverged" if score == 0.1 else "done", score, score))
        assert len(finished) < 20, "it must come to an end"
    assert {(outcome.group, outcome.seed) for outcome in finished} == {(BASE, 0)}
    best = max(finished, key=lambda outcome: outcome.score).learning_rate
    assert abs(math.log2(best / (edge_at(BASE) / 2))) <= 0.5
    distances = [math.log2(outcome.learning_rate / best) for outcome in finished]
    assert min(each for each in distances if each > 0) <= 1.0
    assert max(each for each in distances if each < 0) >= -1.0


def test_as_many_settings_are_sampled_as_planned_each_within_an_octave(with_settings: Plan) -> None:
    group, asked = Group("t", 64), [Proposal(Group("t", 64), 0.4, 0, OWN)]
    for count in range(3):
        (proposal,) = sampled_runs(with_settings, group, 0.4, asked)
        assert (proposal.group, proposal.seed, proposal.setting) == (group, 0, None), "the setting is to be sampled"
        assert proposal.learning_rate in (0.2, 0.4, 0.8)
        asked.append(proposal._replace(setting=((NAME, 0.1 * count),)))
    assert list(sampled_runs(with_settings, group, 0.4, asked)) == []
    assert list(sampled_runs(with_settings, BASE, 0.4, asked)) != [], "another group has its own share"


def test_a_techniques_own_setting_is_tuned_first_and_the_best_one_last(with_settings: Plan) -> None:
    assert own_setting(with_settings, BASE) == OWN
    assert own_setting(with_settings, Group("another", 16)) == ()
    assert {proposal.setting for proposal in tuning_runs(with_settings, [], [])} == {OWN}
    sampled = [((NAME, momentum),) for momentum in (0.7, 0.8, 0.9)]
    finished = [run(rate, 0.8, OWN) for rate in (0.025, 0.05, 0.1, 0.2, 0.4)]
    finished += [run(0.1, 0.9 - 0.01 * place, setting) for place, setting in enumerate(sampled)]
    fresh = [each for each in tuning_runs(with_settings, finished, asked_so_far(finished, [])) if each.setting != OWN]
    assert {proposal.setting for proposal in fresh} == {sampled[0]}
    assert all(proposal.seed == 0 for proposal in fresh)
