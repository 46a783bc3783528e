"""The policy on synthetic trainers whose edge is known."""

import math
import random
from collections.abc import Callable
from itertools import pairwise

import pytest

from analysis.answer import answer
from analysis.frontier import Group, Outcome
from analysis.question import Question
from search_spaces import frontier, grid
from search_spaces.plan import Answer, Plan, Proposal

SIZES = (16, 32, 64, 128, 256)
Trainer = Callable[[Group, float], float]


def plan(max_runs: int = 60, resolution: float = 1.5) -> Plan:
    groups = tuple(Group("t", size) for size in SIZES)
    rules = {
        "linear": tuple(size / SIZES[0] for size in SIZES),
        "square_root": tuple(math.sqrt(size / SIZES[0]) for size in SIZES),
    }
    question = Question(groups, groups[0], (0.01, 12.8), 0.02, resolution, 10_000, rules)
    return Plan(question, first=0.1, seeds=3, seeds_near_margin=3, max_runs=max_runs)


def edge_at(group: Group) -> float:
    return 0.4 * math.sqrt(group.batch_size / 16)


def sharp(group: Group, rate: float) -> float:
    """0.9 up to the edge, slightly less away from the best rate, chance beyond it."""
    distance = abs(math.log2(rate / (edge_at(group) / 2)))
    return 0.1 if rate > edge_at(group) else 0.9 - 0.001 * distance


def search(
    the_plan: Plan,
    trainer: Trainer,
    policy: Callable = frontier.propose,
    concurrent: int = 2,
    noise: float = 0.002,
    seed: int = 0,
) -> list[Outcome]:
    """Every run the policy asks for, made by the synthetic trainer."""
    draw, finished, running = random.Random(seed), [], []
    while True:
        while len(running) < concurrent:
            proposal = policy(the_plan, finished, running)
            if isinstance(proposal, Answer):
                break
            running.append(proposal)
        if not running:
            assert proposal is Answer.OVER
            return finished
        group, rate, run_seed = running.pop(draw.randrange(len(running)))
        accuracy = trainer(group, rate)
        status = "diverged" if accuracy <= 0.1 else "done"
        accuracy += draw.gauss(0, noise) if status == "done" else 0.0
        finished.append(Outcome(group, rate, run_seed, status, accuracy, accuracy))


@pytest.mark.parametrize("concurrent", [1, 2, 4])
def test_known_edges_are_bracketed(concurrent: int) -> None:
    the_plan = plan()
    outcomes = search(the_plan, sharp, concurrent=concurrent)
    found = answer(the_plan.question, outcomes)
    for each in found.groups:
        assert each.scalable.finite, each
        assert each.scalable.held <= edge_at(each.group) <= each.scalable.failed
        assert each.scalable.failed / each.scalable.held <= 1.5 * (1 + 1e-6)
    law = found.laws["t"]
    assert law.lower <= 0.5 <= law.upper
    assert len(outcomes) < grid.size(the_plan), "fewer runs than the grid"


def test_no_run_is_asked_for_twice_and_the_budget_is_kept() -> None:
    outcomes = search(plan(max_runs=17), sharp)
    runs = [outcome[:3] for outcome in outcomes]
    assert len(set(runs)) == len(runs) == 17


def test_every_batch_size_gets_its_share_of_a_small_budget() -> None:
    outcomes = search(plan(max_runs=24, resolution=2.0), lambda group, rate: sharp(group, rate), noise=0.01)
    counts = {size: sum(outcome.group.batch_size == size for outcome in outcomes) for size in SIZES}
    assert min(counts.values()) >= 2, counts


def test_where_nothing_holds_the_answer_is_none_and_the_competitive_edge_is_found() -> None:
    def trainer(group: Group, rate: float) -> float:
        return sharp(group, rate) - (0.2 if group.batch_size > 64 and rate <= edge_at(group) else 0.0)

    found = answer(plan().question, search(plan(), trainer))
    for each in found.groups:
        scales = each.group.batch_size <= 64
        assert each.scalable.finite == scales
        if not scales:
            assert each.scalable.flags == ("none",)
            assert each.why == "optimisation gap"
            assert each.competitive.held <= edge_at(each.group) <= each.competitive.failed


def test_without_a_failure_in_range_the_edge_is_censored() -> None:
    found = answer(plan().question, search(plan(), lambda group, rate: 0.9))
    assert [each.scalable.flags for each in found.groups] == [("censored",)] * len(SIZES)


def test_rules_are_tried_and_the_one_that_overshoots_breaks() -> None:
    """The truth is a square root, tuned near the edge: linear breaks, square root holds."""
    found = answer(plan().question, search(plan(), sharp))
    assert found.breaks["t", "linear"] in (32, 64, 128)
    assert found.breaks["t", "square_root"] is None


def test_the_baseline_is_tuned_then_measured_with_other_seeds() -> None:
    outcomes = search(plan(), sharp)
    found = answer(plan().question, outcomes)
    rate = found.yardstick.learning_rate
    assert 0.5 <= rate / (edge_at(Group("t", 16)) / 2) <= 2
    seeds = {outcome.seed for outcome in outcomes if outcome.group.batch_size == 16 and outcome.learning_rate == rate}
    assert {0, 1, 2, 3} <= seeds


def test_nothing_is_asked_while_everything_is_asked() -> None:
    the_plan = plan(max_runs=1)
    first = frontier.propose(the_plan, [], [])
    assert first == Proposal(Group("t", 16), 0.1, 0)
    assert frontier.propose(the_plan, [], [first]) is Answer.WAIT
    assert frontier.propose(the_plan, [Outcome(*first, "done", 0.9, 0.9)], []) is Answer.OVER


def test_the_grid_covers_every_group_at_the_resolution() -> None:
    the_plan = plan(resolution=2.0)
    rates = grid.learning_rates(the_plan)
    assert rates[0] == 0.01
    assert rates[-1] == 12.8
    assert all(high / low <= 2.0 * (1 + 1e-5) for low, high in pairwise(rates))
    outcomes = search(the_plan, sharp, policy=grid.propose)
    assert len(outcomes) == grid.size(the_plan) == len(SIZES) * len(rates) + 3
    assert all(each.scalable.finite for each in answer(the_plan.question, outcomes).groups)
