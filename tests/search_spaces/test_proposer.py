"""Searches on Optuna's storage."""

import math
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
from optuna.storages import RDBStorage
from optuna.trial import TrialState

from analysis.answer import answer
from analysis.frontier import Outcome
from search_spaces.frontier import Answer
from search_spaces.proposer import SEARCHES, proposer, runs_at_most
from tests.search_spaces.test_frontier import plan, sharp


def run(search: str, storage: RDBStorage, max_runs: int) -> list[Outcome]:
    the_plan = plan(max_runs=max_runs, resolution=2.0)
    engine, outcomes = proposer(search, the_plan, storage, "s"), []
    while True:
        asked = engine.ask()
        if isinstance(asked, Answer):
            assert asked is Answer.OVER
            return outcomes
        trial, proposal = asked
        accuracy = sharp(proposal.group, proposal.learning_rate)
        outcomes.append(Outcome(*proposal, "diverged" if accuracy == 0.1 else "done", accuracy, accuracy))
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
    found = answer(the_plan.question, outcomes)
    assert len(found.yardstick.accuracies) >= 3
    assert {outcome.group for outcome in outcomes} == set(the_plan.question.groups)


def test_optuna_holds_every_run_with_its_status_and_a_finite_value(storage: RDBStorage) -> None:
    outcomes = run("frontier", storage, max_runs=12)
    trials = optuna.load_study(study_name="s", storage=storage).trials
    assert [trial.params["learning_rate"] for trial in trials] == [outcome.learning_rate for outcome in outcomes]
    assert all(math.isfinite(trial.value) for trial in trials)
    assert [trial.user_attrs["outcome"][0] for trial in trials] == [outcome.status for outcome in outcomes]


def test_tpe_searches_each_group_by_itself_and_tries_the_rules(storage: RDBStorage) -> None:
    outcomes = run("optuna", storage, max_runs=30)
    assert len(optuna.get_all_study_names(storage)) == 5
    question = plan(resolution=2.0).question
    found = answer(question, outcomes)
    assert all(verdict is not None for each in found.groups[1:] for rate, verdict in each.rules.values() if rate)


def test_runs_that_did_not_finish_are_not_told_as_complete(storage: RDBStorage) -> None:
    engine = proposer("frontier", plan(), storage, "s")
    for status, state in (
        ("stopped_early", TrialState.PRUNED),
        ("failed", TrialState.FAIL),
        ("out_of_memory", TrialState.FAIL),
    ):
        trial, proposal = engine.ask()
        engine.tell(trial, Outcome(*proposal, status, 0.3, 0.3))
        assert optuna.load_study(study_name="s", storage=storage).trials[-1].state == state


def test_bounds_of_many_digits_stay_inside_the_range(storage: RDBStorage) -> None:
    the_plan = plan(resolution=2.0)
    question = replace(the_plan.question, learning_rates=(0.0123456789, 1.2345678))
    engine = proposer("grid", replace(the_plan, question=question), storage, "s")
    rates = []
    for _ in range(8):
        trial, proposal = engine.ask()
        rates.append(proposal.learning_rate)
        engine.tell(trial, Outcome(*proposal, "done", 0.5, 0.5))
    assert (rates[0], rates[7]) == (0.0123457, 1.2345678)
    assert len(set(rates)) == 8
