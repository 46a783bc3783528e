"""The search benchmark runs at toy size, and replays are what they say."""

import pytest

from analysis.outcomes import Group
from benchmarks.ask_time import ask_seconds
from benchmarks.replay import PolicyArm, Spent, replay
from benchmarks.search_efficiency import plan
from benchmarks.synthetic import FAMILIES, world
from search_spaces.policy import grid, policy
from tests.benchmarks.command import run_quick


def test_a_replay_spends_what_its_runs_train_and_more_in_flight_take_less_time() -> None:
    the_world, notes = world("power law", 0), []
    two, eight = (
        replay(PolicyArm(plan(), policy.propose, stop_futile=True), the_world, count, notes.append) for count in (2, 8)
    )
    for spent in (two, eight):
        assert isinstance(spent, Spent)
        assert spent.epochs <= 10 * len(spent.outcomes) <= 10 * plan().max_runs
    assert 2 * eight.time <= two.time
    assert two.time >= two.epochs / 2
    assert len(notes) == len(two.outcomes) + len(eight.outcomes)


def test_the_grid_runs_every_rate_with_every_seed() -> None:
    the_plan = plan()
    spent = replay(PolicyArm(the_plan, grid.propose, stop_futile=False), world("power law", 0), 2, lambda _: None)
    group = Group("synthetic", 64)
    runs = {(run.learning_rate, run.seed) for run in spent.outcomes if run.group == group}
    assert runs == {(rate, seed) for rate in grid.learning_rates(the_plan) for seed in range(3)}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_search_efficiency() -> None:
    _, found = run_quick("search_efficiency")
    assert set(found) == {"ratios", "raw", "machine"}
    assert {"search_vs_grid", "search_vs_tpe", "edge_coverage"} <= set(found["ratios"])
    assert found["ratios"]["search_vs_grid"] > 1
    assert all(len(epochs) == len(FAMILIES[::3]) for epochs in found["raw"].values())


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_coverage() -> None:
    _, found = run_quick("coverage")
    assert found["ratios"]["quick24_coverage"] >= 0.8
    assert found["ratios"]["quick24_falsely_none"] <= 0.05
    assert len(found["raw"]["quick24"]) == len(FAMILIES)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_recommendation() -> None:
    _, found = run_quick("recommendation")
    assert found["ratios"]["twice_the_largest_width"] < 4
    assert found["ratios"]["in_the_middle_width"] < found["ratios"]["twice_the_largest_width"]


def test_the_asks_of_a_search_are_timed_one_by_one() -> None:
    asks = ask_seconds(runs=20, every=10)
    assert [(each.finished, len(each.seconds)) for each in asks] == [(10, 10), (20, 10)]
    assert min(min(each.seconds) for each in asks) > 0


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_real_edges() -> None:
    _, found = run_quick("real_edges")
    assert "search_vs_grid_real" in found["ratios"]
