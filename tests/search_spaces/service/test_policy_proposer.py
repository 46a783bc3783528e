"""Policies on Optuna's storage: what it holds, and that another proposer goes on from there."""

import math
from dataclasses import replace

import optuna
from optuna.distributions import FloatDistribution
from optuna.storages import JournalStorage
from optuna.trial import TrialState

from search_spaces.policy import policy
from search_spaces.policy.plan import NoProposal, Proposal
from search_spaces.service.policy_proposer import PolicyProposer
from search_spaces.service.proposers import proposer
from tests.search_spaces.synthetic import MakePlan, run_search, sharp


def test_optuna_holds_every_run_with_its_status_and_a_finite_value(
    make_plan: MakePlan, storage: JournalStorage
) -> None:
    outcomes = run_search(proposer("frontier", make_plan(max_runs=12, resolution=2.0), storage, "s"))
    trials = optuna.load_study(study_name="s", storage=storage).trials
    assert [trial.params["learning_rate"] for trial in trials] == [outcome.learning_rate for outcome in outcomes]
    assert all(math.isfinite(trial.value) for trial in trials)
    assert [trial.user_attrs["outcome"][0] for trial in trials] == [outcome.status for outcome in outcomes]


def test_runs_that_did_not_finish_are_not_told_as_complete(make_plan: MakePlan, storage: JournalStorage) -> None:
    engine = proposer("frontier", make_plan(), storage, "s")
    for status, state in (
        ("stopped_early", TrialState.PRUNED),
        ("failed", TrialState.FAIL),
        ("out_of_memory", TrialState.FAIL),
    ):
        trial, proposal = engine.ask()
        engine.tell(trial, proposal.ended(status, 0.3, 0.3))
        assert optuna.load_study(study_name="s", storage=storage).trials[-1].state == state


def test_bounds_of_many_digits_stay_inside_the_range(make_plan: MakePlan, storage: JournalStorage) -> None:
    the_plan = make_plan(resolution=2.0)
    design = replace(the_plan.design, learning_rates=(0.0123456789, 1.2345678))
    engine = proposer("grid", replace(the_plan, design=design), storage, "s")
    rates = []
    for _ in range(8):
        trial, proposal = engine.ask()
        rates.append(proposal.learning_rate)
        engine.tell(trial, proposal.ended("done", 0.5, 0.5))
    assert (rates[0], rates[7]) == (0.0123457, 1.2345678)
    assert len(set(rates)) == 8


def test_futility_goes_on_from_what_the_storage_holds(make_plan: MakePlan, storage: JournalStorage) -> None:
    """A new proposer on the same storage decides as the old one would, in the middle of a run."""
    the_plan = make_plan(max_runs=60)
    engine = proposer("frontier", the_plan, storage, "s")
    rising = [0.3, 0.5, 0.6, 0.7, 0.75, 0.8, 0.84, 0.87, 0.89, 0.9]
    held = 0
    for _ in range(60):
        trial, proposal = engine.ask()
        above = proposal.group.batch_size == 32 and sharp(*proposal[:2]) == 0.1
        hopeless = above and held >= 2
        held += proposal.group.batch_size == 32 and not above
        if hopeless:
            break
        score = sharp(*proposal[:2])
        if score > 0.1:
            assert not any(engine.report(trial, epoch, value) for epoch, value in enumerate(rising[:-1], start=1))
        engine.tell(trial, proposal.ended("diverged" if score == 0.1 else "done", score, score))
    assert hopeless, "no run above the edge was asked for"
    assert not any(engine.report(trial, epoch, 0.15) for epoch in range(1, 6))
    restored = proposer("frontier", the_plan, storage, "s")
    decisions = [restored.report(trial, epoch, 0.15) for epoch in range(6, 10)]
    assert decisions[-1], "three times the baseline's pace would not do any more"
    assert decisions == sorted(decisions)


def test_tpe_draws_the_settings_and_the_policy_the_rates(make_plan: MakePlan, storage: JournalStorage) -> None:
    name = "optimizer.momentum"
    the_plan = replace(
        make_plan(max_runs=150),
        dimensions={name: FloatDistribution(0.0, 0.95)},
        own={"t": ((name, 0.5),)},
        sampled_settings=10,
    )
    engine, drawn = proposer("frontier", the_plan, storage, "s"), []
    while not isinstance(asked := engine.ask(), NoProposal):
        trial, proposal = asked
        momentum = dict(proposal.setting)[name]
        if proposal.group == the_plan.design.baseline and proposal.seed == 0 and momentum != 0.5:
            drawn.append(momentum)
        score = sharp(*proposal[:2]) - 0.05 * abs(momentum - 0.8)
        engine.tell(trial, proposal.ended("diverged" if score < 0.2 else "done", score, score))
        if proposal.seed >= 1:
            break
    assert len(set(drawn)) >= 10
    assert all(0.0 <= momentum <= 0.95 for momentum in drawn)
    trials = optuna.load_study(study_name="s", storage=storage).trials
    assert all(set(trial.params) == {"technique", "batch_size", "learning_rate", "seed", name} for trial in trials)
    measured = [trial.params[name] for trial in trials if trial.params["seed"] >= 1]
    assert abs(measured[0] - 0.8) < 0.3, "better than its own 0.5"


def test_the_policy_is_asked_once_for_each_run(make_plan: MakePlan, storage: JournalStorage) -> None:
    calls = []

    def counting(*arguments: object) -> Proposal | NoProposal:
        calls.append(arguments)
        return policy.propose(*arguments)

    engine = PolicyProposer(make_plan(max_runs=6), counting, storage, "s", adaptive=True)
    for count in range(1, 7):
        trial, proposal = engine.ask()
        assert len(calls) == count
        score = sharp(*proposal[:2])
        engine.report(trial, 1, score)
        engine.tell(trial, proposal.ended("diverged" if score == 0.1 else "done", score, score))
    assert engine.ask() is NoProposal.OVER
    assert len(calls) == 7
    assert [len(finished) for _, finished, _ in calls] == list(range(7)), "each time with every run that has ended"
