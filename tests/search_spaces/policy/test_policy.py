"""The policy on synthetic trainers whose edge is known."""

import math
import random
from dataclasses import replace

import pytest
from optuna.distributions import FloatDistribution

from analysis.answer import answer
from analysis.outcomes import Group, Outcome
from analysis.study_design import StudyDesign
from search_spaces.policy import grid, policy
from search_spaces.policy.plan import NoProposal, Proposal
from tests.search_spaces.synthetic import SIZES, MakePlan, covers, edge_at, search, sharp


@pytest.mark.parametrize("concurrent", [1, 2, 8])
def test_known_edges_are_bracketed(make_plan: MakePlan, concurrent: int) -> None:
    the_plan = make_plan()
    outcomes = search(the_plan, sharp, concurrent=concurrent)
    found = answer(the_plan.design, outcomes)
    for each in found.groups:
        assert each.scalable.held <= edge_at(each.group)
        assert each.scalable.upper / each.scalable.lower <= 1.5 * (1 + 1e-6)
        assert each.scalable.flags == ()
    assert sum(covers(each) for each in found.groups) >= 4, "90 % intervals, five of them"
    law = found.laws["t"]
    assert law.lower <= 0.5 <= law.upper
    assert len(outcomes) < grid.size(the_plan), "fewer runs than the grid"


@pytest.mark.parametrize("base", [64, 256])
def test_edges_are_found_from_a_baseline_that_is_not_the_smallest(make_plan: MakePlan, base: int) -> None:
    """Rules then scale down as well as up."""
    usual = make_plan()
    rules = {
        name: tuple(ratio / ratios[SIZES.index(base)] for ratio in ratios)
        for name, ratios in usual.design.rules.items()
    }
    the_plan = replace(usual, design=replace(usual.design, baseline=Group("t", base), rules=rules))
    outcomes = search(the_plan, sharp)
    assert outcomes[0].group == Group("t", base)
    assert policy.objection(the_plan, outcomes) is None
    found = answer(the_plan.design, outcomes)
    assert all(each.scalable.flags == () for each in found.groups)
    assert sum(covers(each) for each in found.groups) >= 4
    assert found.baseline.learning_rate <= edge_at(Group("t", base))


def test_no_run_is_asked_for_twice_and_the_budget_is_kept(make_plan: MakePlan) -> None:
    outcomes = search(make_plan(max_runs=17), sharp)
    runs = [outcome[:3] for outcome in outcomes]
    assert len(set(runs)) == len(runs) == 17


def test_every_batch_size_gets_its_share_of_a_small_budget(make_plan: MakePlan) -> None:
    outcomes = search(make_plan(max_runs=24, resolution=2.0), lambda group, rate: sharp(group, rate), noise=0.01)
    counts = {size: sum(outcome.group.batch_size == size for outcome in outcomes) for size in SIZES}
    assert min(counts.values()) >= 2, counts


def test_where_nothing_holds_the_answer_is_none_after_few_runs(make_plan: MakePlan) -> None:
    def trainer(group: Group, rate: float) -> float:
        return sharp(group, rate) - (0.2 if group.batch_size > 64 and rate <= edge_at(group) else 0.0)

    found = answer(make_plan().design, search(make_plan(), trainer))
    for each in found.groups:
        scales = each.group.batch_size <= 64
        assert each.scalable.finite == scales
        if not scales:
            assert each.scalable.flags == ("none",)
            assert each.why == "optimisation gap"
            assert each.competitive.lower is not None
            assert sum(len(point.scores) for point in each.points) <= 8, "it is settled early"


def test_without_a_failure_in_range_the_edge_is_censored(make_plan: MakePlan) -> None:
    found = answer(make_plan().design, search(make_plan(), lambda group, rate: 0.9))
    assert [each.scalable.flags for each in found.groups] == [("censored",)] * len(SIZES)


def test_rules_are_tried_and_the_one_that_overshoots_breaks(make_plan: MakePlan) -> None:
    """The truth is a square root, and the best rate lies an octave below the edge: linear breaks, square root holds."""

    def trainer(group: Group, rate: float) -> float:
        return sharp(group, rate) - 0.004 * max(0.0, math.log2(edge_at(group) / 2 / rate))

    found = answer(make_plan().design, search(make_plan(), trainer))
    assert found.breaks["t", "linear"] in (32, 64, 128)
    assert found.breaks["t", "square_root"] is None


def test_other_batch_sizes_start_beside_the_last_tuning_runs(make_plan: MakePlan) -> None:
    """Where these lie within an octave of the best; otherwise what the rules prescribe is not known well enough."""
    base = Group("t", 16)
    finished = [Outcome(base, rate, 0, "done", score, score) for rate, score in ((0.1, 0.9), (0.4, 0.1), (0.025, 0.8))]
    an_octave_off = [Proposal(base, 0.2, 0), Proposal(base, 0.05, 0)]
    started = policy.propose(make_plan(), finished, an_octave_off)
    assert isinstance(started, Proposal)
    assert started.group.batch_size == 32
    two_off = [*an_octave_off, Proposal(base, 0.4, 0)]
    assert policy.propose(make_plan(), [finished[0], finished[2]], two_off) is NoProposal.WAIT
    with_settings = replace(make_plan(), dimensions={"optimizer.momentum": FloatDistribution(0.0, 0.95)})
    with_settings = replace(with_settings, own={"t": (("optimizer.momentum", 0.5),)}, sampled_settings=3)
    own = [run._replace(setting=with_settings.own["t"]) for run in finished]
    tuning = [Proposal(base, rate, 0, with_settings.own["t"]) for rate in (0.2, 0.05)]
    asked = policy.propose(with_settings, own, tuning)
    assert asked is NoProposal.WAIT or asked.group == base
    narrow = replace(make_plan(), design=replace(make_plan().design, learning_rates=(0.01, 0.27)))
    inside = [finished[0], finished[1]._replace(learning_rate=0.27), finished[2]]
    assert policy.propose(narrow, inside, an_octave_off) is NoProposal.WAIT, "twice the best may prescribe nothing"


def test_the_baseline_is_tuned_and_takes_no_more_than_a_third_of_the_runs(make_plan: MakePlan) -> None:
    for max_runs in (14, 24, 60):
        outcomes = search(make_plan(max_runs=max_runs), sharp, noise=0.008)
        found = answer(make_plan().design, outcomes)
        assert found.baseline is not None
        assert 0.5 <= found.baseline.learning_rate / (edge_at(Group("t", 16)) / 2) <= 2
        assert sum(outcome.group.batch_size == 16 for outcome in outcomes) <= max_runs / 3


def test_nothing_is_asked_while_everything_is_asked(make_plan: MakePlan) -> None:
    the_plan = make_plan(max_runs=1)
    first = policy.propose(the_plan, [], [])
    assert first == Proposal(Group("t", 16), 0.1, 0)
    assert policy.propose(the_plan, [], [first]) is NoProposal.WAIT
    assert policy.propose(the_plan, [first.ended("done", 0.9, 0.9)], []) is NoProposal.OVER


def test_near_the_margin_a_rate_runs_again_rather_than_being_guessed_at(make_plan: MakePlan) -> None:
    """A slow fall: one point of score an octave, half a point of noise."""

    def trainer(group: Group, rate: float) -> float:
        return 0.9 - 0.02 * max(0.0, math.log2(rate / (edge_at(group) / 2)))

    outcomes = search(make_plan(max_runs=80), trainer, noise=0.005)
    runs = [(outcome.group, outcome.learning_rate) for outcome in outcomes if outcome.seed >= 1]
    repeated = {run for run in runs if runs.count(run) > 1 and run[0].batch_size != SIZES[0]}
    assert len(repeated) >= 3
    assert max(runs.count(run) for run in repeated) <= 3, "seeds_near_margin"


def test_a_lucky_run_above_the_edge_is_found_out(make_plan: MakePlan) -> None:
    """A run that came out well two octaves too high, when the search begins there."""
    group = Group("t", 32)
    tuned = search(make_plan(max_runs=10), sharp)
    lucky = Outcome(group, 4 * edge_at(group), 1, "done", 0.9, 0.9)
    found = answer(make_plan().design, search(make_plan(max_runs=80), sharp, before=[*tuned, lucky]))
    (mine,) = (each for each in found.groups if each.group == group)
    assert covers(mine), mine.scalable


def test_an_odd_failure_below_the_edge_does_not_become_the_edge(make_plan: MakePlan) -> None:
    """A run that diverged an octave too low, when the search begins there."""
    group = Group("t", 32)
    tuned = search(make_plan(max_runs=10), sharp)
    odd = Outcome(group, edge_at(group) / 2.5, 1, "diverged", 0.1, 0.1)
    found = answer(make_plan().design, search(make_plan(max_runs=80), sharp, before=[*tuned, odd]))
    (mine,) = (each for each in found.groups if each.group == group)
    assert mine.scalable.held > odd.learning_rate
    assert covers(mine), mine.scalable


def test_more_in_flight_take_fewer_rounds(make_plan: MakePlan) -> None:
    def rounds(concurrent: int) -> int:
        finished: list[Outcome] = []
        for count in range(200):
            running: list[Proposal] = []
            while len(running) < concurrent:
                proposal = policy.propose(make_plan(), finished, running)
                if isinstance(proposal, NoProposal):
                    break
                running.append(proposal)
            if not running:
                return count
            for run in running:
                score = sharp(run.group, run.learning_rate)
                finished.append(run.ended("diverged" if score <= 0.1 else "done", score, score))
        raise AssertionError("never over")

    assert rounds(8) <= rounds(2) / 2


def test_a_baseline_that_diverges_everywhere_ends_the_search_with_a_reason(make_plan: MakePlan) -> None:
    outcomes = search(make_plan(), lambda group, rate: 0.1)
    assert {outcome.group.batch_size for outcome in outcomes} == {16}
    assert min(outcome.learning_rate for outcome in outcomes) == 0.01, "the lowest rate was tried"
    reason = policy.objection(make_plan(), outcomes)
    assert reason.startswith("baseline t at batch size 16, learning rate 0.01: its runs diverge")


def test_a_baseline_that_learns_nothing_anywhere_ends_the_search_with_a_reason(make_plan: MakePlan) -> None:
    plan = make_plan()
    plan = replace(plan, design=replace(plan.design, chance=0.5, validation_samples=500))
    outcomes = search(plan, lambda group, rate: 0.5 + 0.001 * math.sin(50 * rate))
    assert {outcome.group.batch_size for outcome in outcomes} == {16}
    assert len(outcomes) < 15
    assert "its runs end no better than a guess" in policy.objection(plan, outcomes)


def test_a_tolerance_that_a_guess_is_within_ends_the_search_with_a_reason(make_plan: MakePlan) -> None:
    plan = make_plan()
    plan = replace(plan, design=replace(plan.design, chance=0.1, tolerance=0.85))
    outcomes = search(plan, sharp)
    assert sum(outcome.group.batch_size != 16 for outcome in outcomes) <= 1, "one may start beside the tuning runs"
    assert len(outcomes) < 15
    assert policy.objection(plan, outcomes).startswith(
        "tolerance 0.85: a guess, which scores up to 0.109, reaches A0 ="
    )


def test_a_range_that_excludes_every_prescription_ends_the_search_with_a_reason(make_plan: MakePlan) -> None:
    """Best at the upper end of the range, so that every rule points above it."""
    design = replace(make_plan().design, learning_rates=(0.01, 0.1))
    the_plan = replace(make_plan(), design=design)
    outcomes = search(the_plan, lambda group, rate: 0.5 + rate)
    assert {outcome.group.batch_size for outcome in outcomes} == {16}
    assert policy.objection(the_plan, outcomes) == (
        "learning rates 0.01 to 0.1: exclude every prescription of the rules, the lowest of which is 0.141421 "
        "(from the baseline's best, 0.1); the range must hold at least that"
    )
    assert policy.objection(make_plan(), search(make_plan(), sharp)) is None


def test_settings_are_tried_with_seed_0_and_measured_with_the_best(make_plan: MakePlan) -> None:
    the_plan = replace(
        make_plan(max_runs=120),
        dimensions={"optimizer.momentum": FloatDistribution(0.0, 0.95)},
        own={"t": (("optimizer.momentum", 0.5),)},
        sampled_settings=3,
    )
    draw = random.Random(0)
    finished: list[Outcome] = []
    while isinstance(proposal := policy.propose(the_plan, finished, []), Proposal):
        if proposal.setting is None:
            assert proposal.seed == 0
            proposal = proposal._replace(setting=(("optimizer.momentum", draw.uniform(0.0, 0.95)),))
        momentum = dict(proposal.setting)["optimizer.momentum"]
        score = sharp(proposal.group, proposal.learning_rate) - 0.01 * abs(momentum - 0.8)
        finished.append(proposal.ended("diverged" if score < 0.2 else "done", score, score))
    for size in SIZES:
        mine = [outcome for outcome in finished if outcome.group.batch_size == size]
        drawn = {outcome.setting for outcome in mine if outcome.seed == 0} - {the_plan.own["t"]}
        assert len(drawn) == 3
        assert len({outcome.setting for outcome in mine if outcome.seed >= 1}) == 1
    assert sum(covers(each) for each in answer(the_plan.design, finished).groups) >= 4


def test_where_every_run_diverges_the_answer_is_none_and_why(make_plan: MakePlan) -> None:
    def trainer(group: Group, rate: float) -> float:
        return 0.1 if group.batch_size == 256 else sharp(group, rate)

    outcomes = search(make_plan(max_runs=100), trainer)
    last = answer(make_plan().design, outcomes).groups[-1]
    assert (last.scalable.flags, last.why) == (("none",), "diverged")
    assert last.competitive.flags == ("undecided",), "nothing there trains"
    assert min(point.learning_rate for point in last.points) == 0.01, "the range's end was tried"


@pytest.mark.parametrize("draws", [0, 3])
def test_a_batch_size_that_runs_out_of_memory_does_not_hold_up_the_others(make_plan: MakePlan, draws: int) -> None:
    name = "optimizer.momentum"
    the_plan = replace(
        make_plan(max_runs=100),
        dimensions={name: FloatDistribution(0.0, 0.95)} if draws else {},
        own={"t": ((name, 0.5),)} if draws else {},
        sampled_settings=draws,
    )
    finished: list[Outcome] = []
    while isinstance(proposal := policy.propose(the_plan, finished, []), Proposal):
        if proposal.setting is None:
            proposal = proposal._replace(setting=((name, len(finished) / 200),))
        assert not draws or proposal.setting, "every run has a setting"
        score = sharp(proposal.group, proposal.learning_rate)
        status = "out_of_memory" if proposal.group.batch_size == 256 else "diverged" if score == 0.1 else "done"
        finished.append(proposal.ended(status, score, score))
    found = answer(the_plan.design, finished)
    assert found.groups[-1].why == "out of memory"
    assert all(each.scalable.finite for each in found.groups[:-1])
    assert sum(outcome.group.batch_size == 256 for outcome in finished) <= 4


def test_a_run_that_failed_is_tried_once_more_with_another_seed(make_plan: MakePlan) -> None:
    finished: list[Outcome] = []
    while isinstance(proposal := policy.propose(make_plan(max_runs=120), finished, []), Proposal):
        score = sharp(proposal.group, proposal.learning_rate)
        status = "failed" if proposal.seed == 1 else "diverged" if score == 0.1 else "done"
        finished.append(proposal.ended(status, score, score))
    runs = [outcome[:3] for outcome in finished]
    assert len(set(runs)) == len(runs)
    assert {outcome.seed for outcome in finished if outcome.status != "failed"} >= {0, 2, 3}
    assert all(each.scalable.finite for each in answer(make_plan().design, finished).groups)


def test_a_divergence_at_the_baselines_best_rate_is_one_run_in_many(make_plan: MakePlan) -> None:
    tuned = search(make_plan(max_runs=9), sharp)
    best_rate = max((outcome for outcome in tuned if outcome.seed == 0), key=lambda outcome: outcome.score)
    broken = Outcome(best_rate.group, best_rate.learning_rate, 9, "diverged", 0.1, 0.1)
    found = answer(make_plan().design, search(make_plan(max_runs=80), sharp, before=[*tuned, broken]))
    assert found.baseline is not None
    assert not found.baseline.untrained
    assert found.baseline.score == pytest.approx(0.9, abs=0.004)
    assert all(each.scalable.finite for each in found.groups[1:])


def test_a_technique_of_far_lower_rates_is_found_below_its_guesses(make_plan: MakePlan) -> None:
    """Started six octaves too high, its runs end at chance, the luckiest by no merit; it trains further down."""
    groups = (Group("t", 16), Group("other", 16))
    rules = {"linear": (1.0, 1.0)}
    design = StudyDesign(groups, groups[0], (0.001, 12.8), 0.02, 1.5, 500, (), rules, chance=0.1)
    the_plan = replace(make_plan(), design=design, grace_epochs=dict.fromkeys(groups, 2))

    def trainer(group: Group, rate: float) -> float:
        if group.technique == "t":
            return sharp(group, rate)
        luck = random.Random(rate).uniform(0.101, 0.13)
        return sharp(group, rate * 64) if rate * 64 < edge_at(group) else luck

    found = answer(design, search(the_plan, trainer)).groups[1]
    assert "none" not in found.scalable.flags
    assert found.scalable.lower <= edge_at(groups[1]) / 64 <= found.scalable.upper
