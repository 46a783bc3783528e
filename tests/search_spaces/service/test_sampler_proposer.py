"""TPE and ASHA, each batch size by itself, on Optuna's storage."""

import optuna
from optuna.storages import JournalStorage

from analysis.answer import answer
from search_spaces.service.proposers import proposer
from tests.search_spaces.synthetic import MakePlan, run_search


def test_tpe_searches_each_group_by_itself_and_tries_the_rules(make_plan: MakePlan, storage: JournalStorage) -> None:
    the_plan = make_plan(max_runs=30, resolution=2.0)
    outcomes = run_search(proposer("optuna", the_plan, storage, "s"))
    assert len(optuna.get_all_study_names(storage)) == 5
    found = answer(the_plan.design, outcomes)
    assert all(verdict is not None for each in found.groups[1:] for rate, verdict in each.rules.values() if rate)


def test_asha_goes_on_from_the_rungs_in_the_storage(make_plan: MakePlan, storage: JournalStorage) -> None:
    """Within a batch size, and not before the warm-up is over."""
    the_plan = make_plan(max_runs=30)
    engine = proposer("optuna", the_plan, storage, "s")
    for _ in range(3):
        trial, proposal = engine.ask()
        assert not engine.report(trial, 1, 0.5), "the warm-up takes two epochs"
        engine.report(trial, 2, 0.6)
        engine.tell(trial, proposal.ended("done", 0.9, 0.9))
    trial, _ = engine.ask()
    restored = proposer("optuna", the_plan, storage, "s")
    assert not restored.report(trial, 1, 0.1)
    assert restored.report(trial, 2, 0.1), "behind all three of its batch size"
