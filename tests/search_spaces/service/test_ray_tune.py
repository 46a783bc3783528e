"""The adapters, driven as Tune drives them."""

from pathlib import Path

import optuna
from optuna.storages import RDBStorage

from search_spaces.policy.plan import NoProposal
from search_spaces.service.optuna_store import params_of, proposal_of
from search_spaces.service.proposers import proposer
from search_spaces.service.ray_tune import EarlyStopping, ProposerSearch
from tests.search_spaces.synthetic import MakePlan, sharp
from trainables.metric import Accuracy


def reported(score: float) -> dict[str, float]:
    return {f"{split}_{name}": value for split in ("train", "validation") for name, value in _both(score)}


def _both(accuracy: float) -> list[tuple[str, float]]:
    return [("accuracy", accuracy), ("loss", 1 - accuracy)]


class _Trial:
    def __init__(self, trial_id: str) -> None:
        self.trial_id = trial_id


def test_hopeless_runs_are_stopped_on_the_way_tune_reports_them(make_plan: MakePlan, tmp_path: Path) -> None:
    """Tune shows a scheduler every epoch but a run's last, and tells the searcher how it ended."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = RDBStorage(f"sqlite:///{tmp_path / 'optuna.db'}")
    searcher = ProposerSearch(proposer("frontier", make_plan(max_runs=70), storage, "s"), Accuracy())
    scheduler, stopped = EarlyStopping(searcher), {}
    for number in range(70):
        name = f"trial-{number}"
        config = searcher.suggest(name)
        if config == searcher.FINISHED:
            break
        run = proposal_of(config)
        works = sharp(*run[:2]) > 0.1
        final = sharp(*run[:2]) if works else 0.15
        for epoch in range(1, 10):
            score = final * (1 - 0.6**epoch) if works else 0.15
            result = {"status": "running", "epoch": epoch, **reported(score)}
            if scheduler.on_trial_result(None, _Trial(name), result) == EarlyStopping.STOP:
                stopped[run] = epoch
                break
        else:
            result = {"status": "done", "epoch": 10, **reported(final)}
        searcher.on_trial_complete(name, result)
    assert len(stopped) >= 5
    assert all(sharp(*run[:2]) == 0.1 for run in stopped), "none that works"
    assert all(run.seed > 0 and 2 < epoch < 10 for run, epoch in stopped.items())
    states = [trial.state.name for trial in optuna.load_study(study_name="s", storage=storage).trials]
    assert states.count("PRUNED") == len(stopped)


def test_a_proposal_survives_the_trip_through_tunes_config(make_plan: MakePlan) -> None:
    asked = proposer("frontier", make_plan(), optuna.storages.InMemoryStorage(), "s").ask()
    assert not isinstance(asked, NoProposal)
    assert proposal_of(params_of(asked[1])) == asked[1]
