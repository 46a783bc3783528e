"""Searches on Optuna's storage."""

import math
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.storages import RDBStorage
from optuna.trial import TrialState

from analysis.answer import answer
from analysis.outcomes import Outcome
from search_spaces.policy.plan import NoProposal, Plan
from search_spaces.service.proposers import SEARCHES, Proposer, proposer, runs_at_most
from tests.search_spaces.test_frontier import plan, sharp


def run(search: str, storage: RDBStorage, max_runs: int) -> list[Outcome]:
    the_plan = plan(max_runs=max_runs, resolution=2.0)
    engine, outcomes = proposer(search, the_plan, storage, "s"), []
    while True:
        asked = engine.ask()
        if isinstance(asked, NoProposal):
            assert asked is NoProposal.OVER
            return outcomes
        trial, proposal = asked
        score = sharp(proposal.group, proposal.learning_rate)
        outcomes.append(proposal.ended("diverged" if score == 0.1 else "done", score, score))
        engine.tell(trial, outcomes[-1])


@pytest.fixture
def storage(tmp_path: Path) -> RDBStorage:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return RDBStorage(f"sqlite:///{tmp_path / 'optuna.db'}")


@pytest.mark.parametrize("search", SEARCHES)
def test_a_search_ends_within_its_budget_and_judges_its_baseline(search: str, storage: RDBStorage) -> None:
    the_plan = plan(max_runs=30, resolution=2.0)
    outcomes = run(search, storage, max_runs=30)
    assert len(outcomes) <= runs_at_most(search, the_plan)
    found = answer(the_plan.design, outcomes)
    assert len(found.baseline.scores) >= 3
    assert {outcome.group for outcome in outcomes} == set(the_plan.design.groups)


def test_optuna_holds_every_run_with_its_status_and_a_finite_value(storage: RDBStorage) -> None:
    outcomes = run("frontier", storage, max_runs=12)
    trials = optuna.load_study(study_name="s", storage=storage).trials
    assert [trial.params["learning_rate"] for trial in trials] == [outcome.learning_rate for outcome in outcomes]
    assert all(math.isfinite(trial.value) for trial in trials)
    assert [trial.user_attrs["outcome"][0] for trial in trials] == [outcome.status for outcome in outcomes]


def test_tpe_searches_each_group_by_itself_and_tries_the_rules(storage: RDBStorage) -> None:
    outcomes = run("optuna", storage, max_runs=30)
    assert len(optuna.get_all_study_names(storage)) == 5
    design = plan(resolution=2.0).design
    found = answer(design, outcomes)
    assert all(verdict is not None for each in found.groups[1:] for rate, verdict in each.rules.values() if rate)


def test_runs_that_did_not_finish_are_not_told_as_complete(storage: RDBStorage) -> None:
    engine = proposer("frontier", plan(), storage, "s")
    for status, state in (
        ("stopped_early", TrialState.PRUNED),
        ("failed", TrialState.FAIL),
        ("out_of_memory", TrialState.FAIL),
    ):
        trial, proposal = engine.ask()
        engine.tell(trial, proposal.ended(status, 0.3, 0.3))
        assert optuna.load_study(study_name="s", storage=storage).trials[-1].state == state


def test_bounds_of_many_digits_stay_inside_the_range(storage: RDBStorage) -> None:
    the_plan = plan(resolution=2.0)
    design = replace(the_plan.design, learning_rates=(0.0123456789, 1.2345678))
    engine = proposer("grid", replace(the_plan, design=design), storage, "s")
    rates = []
    for _ in range(8):
        trial, proposal = engine.ask()
        rates.append(proposal.learning_rate)
        engine.tell(trial, proposal.ended("done", 0.5, 0.5))
    assert (rates[0], rates[7]) == (0.0123457, 1.2345678)
    assert len(set(rates)) == 8


def make(search: str, storage: RDBStorage, the_plan: Plan) -> Proposer:
    return proposer(search, the_plan, storage, "s")


def test_futility_goes_on_from_what_the_storage_holds(storage: RDBStorage) -> None:
    """A new proposer on the same storage decides as the old one would, in the middle of a run."""
    the_plan = plan(max_runs=60)
    engine = make("frontier", storage, the_plan)
    rising = [0.3, 0.5, 0.6, 0.7, 0.75, 0.8, 0.84, 0.87, 0.89, 0.9]
    for _ in range(60):
        trial, proposal = engine.ask()
        hopeless = proposal.group.batch_size == 32 and sharp(*proposal[:2]) == 0.1
        if hopeless:
            break
        score = sharp(*proposal[:2])
        if score > 0.1:
            assert not any(engine.report(trial, epoch, value) for epoch, value in enumerate(rising[:-1], start=1))
        engine.tell(trial, proposal.ended("diverged" if score == 0.1 else "done", score, score))
    assert hopeless, "no run above the edge was asked for"
    assert not any(engine.report(trial, epoch, 0.15) for epoch in range(1, 6))
    restored = make("frontier", storage, the_plan)
    decisions = [restored.report(trial, epoch, 0.15) for epoch in range(6, 10)]
    assert decisions[-1], "three times the baseline's pace would not do any more"
    assert decisions == sorted(decisions)


def test_asha_goes_on_from_the_rungs_in_the_storage(storage: RDBStorage) -> None:
    """Within a batch size, and not before the warm-up is over."""
    the_plan = plan(max_runs=30)
    engine = make("optuna", storage, the_plan)
    for _ in range(3):
        trial, proposal = engine.ask()
        assert not engine.report(trial, 1, 0.5), "the warm-up takes two epochs"
        engine.report(trial, 2, 0.6)
        engine.tell(trial, proposal.ended("done", 0.9, 0.9))
    trial, _ = engine.ask()
    restored = make("optuna", storage, the_plan)
    assert not restored.report(trial, 1, 0.1)
    assert restored.report(trial, 2, 0.1), "behind all three of its batch size"


def test_tpe_draws_the_settings_and_the_policy_the_rates(storage: RDBStorage) -> None:
    name = "optimizer.momentum"
    the_plan = replace(
        plan(max_runs=150),
        dimensions={name: FloatDistribution(0.0, 0.95)},
        own={"t": ((name, 0.5),)},
        sampled_settings=10,
    )
    engine, drawn = make("frontier", storage, the_plan), []
    while not isinstance(asked := engine.ask(), NoProposal):
        trial, proposal = asked
        momentum = dict(proposal.setting)[name]
        if proposal.group == the_plan.design.baseline and proposal.seed == 0 and momentum != 0.5:
            drawn.append(momentum)
        score = sharp(*proposal[:2]) - 0.05 * abs(momentum - 0.8)
        engine.tell(trial, proposal.ended("diverged" if score < 0.2 else "done", score, score))
        if proposal.group != the_plan.design.baseline:
            break
    assert len(set(drawn)) >= 10
    assert all(0.0 <= momentum <= 0.95 for momentum in drawn)
    trials = optuna.load_study(study_name="s", storage=storage).trials
    assert all(set(trial.params) == {"technique", "batch_size", "learning_rate", "seed", name} for trial in trials)
    measured = [trial.params[name] for trial in trials if trial.params["seed"] >= 1]
    assert abs(measured[0] - 0.8) < 0.3, "better than its own 0.5"
