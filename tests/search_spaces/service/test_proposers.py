"""Every search, on Optuna's storage."""

from pathlib import Path

import pytest
from optuna.storages import JournalStorage

from analysis.answer import answer
from analysis.outcomes import Outcome
from search_spaces.policy.plan import NoProposal
from search_spaces.service.optuna_store import STOPPED, decided, ended_runs, open_storage, runs_asked
from search_spaces.service.proposers import SEARCHES, proposer, runs_at_most
from tests.search_spaces.synthetic import MakePlan, run_search, sharp


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


@pytest.mark.parametrize("search", SEARCHES)
def test_a_search_that_is_killed_every_few_runs_asks_for_the_same(
    make_plan: MakePlan, search: str, tmp_path: Path
) -> None:
    """Another process goes on from the storage, with the run that was under way first."""
    the_plan = make_plan(max_runs=20, resolution=2.0)
    folders = [tmp_path / name for name in ("whole", "killed")]
    for folder in folders:
        folder.mkdir()
    whole = run_search(proposer(search, the_plan, open_storage(folders[0]), "s"))
    outcomes: list[Outcome] = []
    while True:
        engine = proposer(search, the_plan, open_storage(folders[1]), "s")
        for _ in range(3):
            asked = engine.ask()
            if isinstance(asked, NoProposal):
                break
            trial, proposal = asked
            score = sharp(proposal.group, proposal.learning_rate)
            outcomes.append(proposal.ended("diverged" if score == 0.1 else "done", score, score))
            engine.tell(trial, outcomes[-1])
        asked = engine.ask()  # and it is killed before it is told
        if isinstance(asked, NoProposal):
            break
    assert outcomes == whole
    assert sorted(ended_runs(runs_asked(open_storage(folders[1]), "s")).values()) == sorted(run.status for run in whole)
    assert runs_asked(open_storage(folders[1]), "other") == []


def test_what_was_decided_after_an_epoch_holds_when_it_is_reported_again(
    make_plan: MakePlan, storage: JournalStorage
) -> None:
    engine = proposer("frontier", make_plan(), storage, "s")
    trial, _ = engine.ask()
    assert decided(trial, 1) is None
    for epoch in (1, 2, 3):
        assert not engine.report(trial, epoch, 0.5)
    assert decided(trial, 1) is False
    assert decided(trial, 2) is False
    assert decided(trial, 3) is None, "the last one is judged once more, as nobody knows what was decided"
    trial.set_user_attr(STOPPED, 3)
    assert [engine.report(trial, epoch, 0.5) for epoch in (1, 2, 3)] == [False, False, True]
