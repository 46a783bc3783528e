"""The adapters, driven as Tune drives them."""

import os
import shutil
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import optuna
import pytest
import ray
from ray import tune

from analysis.outcomes import Group, Outcome
from search_spaces.policy.plan import NoProposal, Proposal
from search_spaces.service import ray_tune
from search_spaces.service.cluster import Room
from search_spaces.service.optuna_store import open_storage, params_of, proposal_of
from search_spaces.service.proposers import proposer
from search_spaces.service.ray_tune import EarlyStopping, ProposerSearch
from tests.search_spaces.synthetic import MakePlan, sharp
from trainables import UserError
from trainables.metric import Accuracy
from trainables.on_ray.worker_group import GroupSize


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
    storage = open_storage(tmp_path)
    forgotten: list[str] = []
    searcher = ProposerSearch(proposer("frontier", make_plan(max_runs=70), storage, "s"), Accuracy(), forgotten.append)
    scheduler, stopped, keys = EarlyStopping(searcher, 1), {}, []
    for number in range(70):
        name = f"trial-{number}"
        config = searcher.suggest(name)
        if config == searcher.FINISHED:
            break
        keys.append(config.pop("run"))
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
    assert forgotten == keys, "nobody needs the states of runs that have ended"
    assert len(set(keys)) == len(keys)


def test_a_proposal_survives_the_trip_through_tunes_config(make_plan: MakePlan) -> None:
    asked = proposer("frontier", make_plan(), optuna.storages.InMemoryStorage(), "s").ask()
    assert not isinstance(asked, NoProposal)
    assert proposal_of(params_of(asked[1])) == asked[1]


class _InPairs:
    """A proposer of three pairs of runs, each of which waits until the one before has ended."""

    def __init__(self) -> None:
        self.asked: list[Proposal] = []
        self.ended: list[Proposal] = []

    def ask(self) -> tuple[SimpleNamespace, Proposal] | NoProposal:
        if len(self.asked) == 6:
            return NoProposal.OVER
        if len(self.asked) % 2 == 0 and len(self.ended) < len(self.asked):
            return NoProposal.WAIT
        self.asked.append(Proposal(Group("t", 16), 0.1, len(self.asked)))
        return SimpleNamespace(_trial_id=len(self.asked)), self.asked[-1]

    def report(self, trial: SimpleNamespace, epoch: int, score: float) -> bool:
        return False

    def tell(self, trial: SimpleNamespace, outcome: Outcome) -> None:
        self.ended.append(self.asked[outcome.seed])


class _Pair(tune.Trainable):
    """A run that begins when the other of its pair does, and ends before it where its seed is even."""

    def setup(self, config: dict[str, int], begun: Path | None = None) -> None:
        assert begun is not None
        self.begun = begun
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, int]) -> bool:
        self.seed = new_config["seed"]
        (self.begun / str(self.seed)).touch()
        return True

    def step(self) -> dict[str, object]:
        late = time.monotonic() + 120
        while not (self.begun / str(self.seed ^ 1)).exists():
            assert time.monotonic() < late, "the other run of the pair has not begun"
            time.sleep(0.05)
        time.sleep(self.seed % 2)
        return {"epoch": 1, "status": "done", "process": os.getpid(), "done": True, **reported(0.5)}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Nothing is saved."""


class _Processes(tune.Callback):
    """The processes that runs were in."""

    def __init__(self) -> None:
        self.seen: set[int] = set()

    def on_trial_result(
        self, iteration: int, trials: object, trial: object, result: dict[str, int], **_: object
    ) -> None:
        self.seen.add(result["process"])


@pytest.mark.slow
def test_worker_groups_that_wait_for_a_run_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
    folder = tempfile.mkdtemp(dir="/tmp")  # Ray's sockets need a short path
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, _temp_dir=folder)
    try:
        pairs = _InPairs()
        searcher = ProposerSearch(pairs, Accuracy(), print)
        processes = _Processes()
        tune.Tuner(
            tune.with_resources(tune.with_parameters(_Pair, begun=tmp_path), {"cpu": 1}),
            tune_config=tune.TuneConfig(
                search_alg=searcher,
                scheduler=EarlyStopping(searcher, 2),
                metric="epoch",
                mode="max",
                num_samples=-1,
                max_concurrent_trials=2,
                reuse_actors=True,
            ),
            run_config=tune.RunConfig(storage_path=str(tmp_path), callbacks=[processes], verbose=0),
        ).fit()
        assert len(pairs.ended) == 6
        assert len(processes.seen) == 2
    finally:
        ray.shutdown()
        shutil.rmtree(folder)


def test_a_study_waits_for_a_cluster_that_can_grow_and_not_for_one_that_cannot(monkeypatch: pytest.MonkeyPatch) -> None:
    room = Room.NOW
    monkeypatch.setattr(ray_tune, "room_for", lambda size: room)
    monkeypatch.setattr(ray_tune, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(ray_tune, "NODES_SECONDS", 1.0)
    said: list[str] = []
    nodes = ray_tune.Nodes(GroupSize(3), said.append)
    for room in (Room.NOW, Room.NEVER, Room.LATER, Room.LATER, Room.NOW, Room.LATER, Room.NEVER):  # noqa: B007
        nodes.on_step_end(1, [])
        time.sleep(0.1)
    assert [each.split(",")[0] for each in said] == [
        "Waiting for the cluster to grow",
        "The cluster has grown",
        "Waiting for the cluster to grow",
    ]
    assert "it has no room for a group of 3 workers" in said[0]
    time.sleep(1.0)
    with pytest.raises(UserError, match=r"lost its nodes: for 1 s there was no room for 3 workers; .* --resume"):
        nodes.on_step_end(1, [])
