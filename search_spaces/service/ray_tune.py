"""Running a study on Ray Tune: adapters between Tune, the proposer, the tracker and the display."""

import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import optuna
from ray import tune
from ray.tune.experiment import Trial as TuneTrial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from analysis.outcomes import Group, Outcome
from search_spaces.policy.plan import NoProposal, Proposal
from search_spaces.service.cluster import Allotment, trial_resources
from search_spaces.service.display import Display
from search_spaces.service.optuna_store import params_of, proposal_of
from search_spaces.service.proposers import Proposer
from search_spaces.service.tracking import Tracker
from search_spaces.study import Study
from trainables.history import FAILED, RUNNING, STOPPED_EARLY
from trainables.on_ray.trial import Trial, start_of
from trainables.recipe import PASSES, WORKERS
from trainables.score import Score

TUNE_METRIC = "epoch"
"""Tune requires the name of a number that every trial reports. The number decides nothing; the proposer decides."""


@dataclass(frozen=True)
class Search:
    """A study and what runs it: the proposer gives the runs, the tracker records them, the display shows them.

    Attributes:
        passes: for each technique and batch size whose epochs are not one pass over the training set, how many they
            are.
    """

    study: Study
    proposer: Proposer
    tracker: Tracker
    display: Display
    passes: Mapping[Group, float]


def run_trials(search: Search, allotment: Allotment, data_dir: str) -> None:
    """Run every trial that the proposer proposes, and return when it has nothing left to propose.

    Raises:
        KeyboardInterrupt: at once on Ctrl-C. Every run that has finished is already in the tracker.
    """
    os.environ["TUNE_DISABLE_SIGINT_HANDLER"] = "1"
    os.environ["RAY_AIR_NEW_OUTPUT"] = "0"
    os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"
    study = search.study
    shared = {
        "task": study.task,
        "techniques": study.all_techniques,
        "first_seed": study.first_seed,
        "data_dir": data_dir,
        "size": allotment.size,
        "passes": search.passes,
    }
    trainable = tune.with_resources(
        tune.with_parameters(Trial, shared=shared), tune.PlacementGroupFactory([trial_resources()])
    )
    searcher = ProposerSearch(search.proposer, study.task.metric)
    with tempfile.TemporaryDirectory(prefix="batchscale-") as scratch:
        tune.Tuner(
            trainable,
            tune_config=tune.TuneConfig(
                search_alg=searcher,
                scheduler=EarlyStopping(searcher, allotment.concurrent_trials),
                metric=TUNE_METRIC,
                mode="max",
                num_samples=-1,
                max_concurrent_trials=allotment.concurrent_trials,
                reuse_actors=True,
            ),
            run_config=tune.RunConfig(
                storage_path=scratch,
                name="trials",
                callbacks=[Recorder(search, shared)],
                verbose=0,
                checkpoint_config=tune.CheckpointConfig(num_to_keep=1),
            ),
        ).fit()


class _LivesInTheDriver:
    """A part of Tune that is pickled without its state.

    Tune pickles its parts for Tuner.restore, which is not used: all that must survive is in Optuna and MLflow.
    """

    def __getstate__(self) -> dict[str, Any]:
        return {}


class ProposerSearch(_LivesInTheDriver, Searcher):
    """A Tune searcher that gets its trials from a proposer."""

    def __init__(self, proposer: Proposer, metric: Score) -> None:
        super().__init__(metric=TUNE_METRIC, mode="max")
        self._proposer, self._judged_by = proposer, metric
        self._asked: dict[str, tuple[optuna.Trial, Proposal]] = {}

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        asked = self._proposer.ask()
        if isinstance(asked, NoProposal):
            return Searcher.FINISHED if asked is NoProposal.OVER else None
        self._asked[trial_id] = asked
        return params_of(asked[1])

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        if trial_id not in self._asked:  # told before: a run that ended and could not be saved is reported twice
            return
        trial, proposal = self._asked.pop(trial_id)
        self._proposer.tell(trial, tune_outcome(proposal, self._judged_by, result or {}, error))

    def report(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Note an epoch, and return whether to stop the run. A run that has already ended is not stopped."""
        if result.get("status") != RUNNING:
            return False
        trial, _ = self._asked[trial_id]
        return self._proposer.report(trial, int(result["epoch"]), self._judged_by.score_of(result))

    def save(self, checkpoint_path: str) -> None:
        """Do nothing, because Optuna's storage has committed everything."""

    def restore(self, checkpoint_path: str) -> None:
        """Do nothing, because Optuna's storage holds everything."""


def tune_outcome(proposal: Proposal, metric: Score, result: dict[str, Any], error: bool) -> Outcome:
    """The outcome of a trial, from the last result that Tune has of it."""
    status = result.get("status", FAILED)
    if error:
        status = FAILED
    elif status == RUNNING:
        status = STOPPED_EARLY
    return proposal.ended(status, *(_score(metric, result, split) for split in ("validation", "train")))


def _score(metric: Score, result: Mapping[str, Any], split: str) -> float:
    """The score of a trial's last result; 0 for a run that failed before its first result, which nothing uses."""
    return metric.score_of(result, split) if f"{split}_{metric.reported}" in result else 0.0


class Recorder(_LivesInTheDriver, tune.Callback):
    """A Tune callback that passes on to the tracker and the display what happens to trials.

    Args:
        shared: what is the same for all trials; see Trial.
    """

    def __init__(self, search: Search, shared: Mapping[str, Any]) -> None:
        self._search, self._shared = search, shared

    def on_trial_start(self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: Any) -> None:
        config, start = trial.config, start_of(trial.config, self._shared)
        technique = self._search.study.all_techniques[config["technique"]]
        recipe = {f"recipe.{name}": repr(value) for name, value in vars(technique).items()}
        used = {WORKERS: start.workers, PASSES: start.task.passes_per_epoch}
        name = f"{config['technique']} B={config['batch_size']} lr={config['learning_rate']:g} seed={config['seed']}"
        self._search.tracker.start(trial.trial_id, name, {**config, **recipe, **used})
        self._search.display.start(trial.trial_id, name, start.task.epochs)

    def on_trial_result(
        self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, result: dict[str, Any], **info: Any
    ) -> None:
        report = {name: result[name] for name in self._search.study.task.reported_names if name in result}
        self._search.tracker.log(trial.trial_id, report, int(result.get("epoch", 0)), result.get("series", {}))
        self._search.display.progress(trial.trial_id, report)

    def on_trial_complete(self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: Any) -> None:
        self._end(trial, error=False)

    def on_trial_error(self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: Any) -> None:
        self._end(trial, error=True)

    def _end(self, trial: TuneTrial, error: bool) -> None:
        metric = self._search.study.task.metric
        last = trial.last_result or {}
        ended = tune_outcome(proposal_of(trial.config), metric, last, error)
        told, trace = last.get("error", ""), last.get("trace", "")
        self._search.tracker.end(trial.trial_id, ended.status, trace)
        self._search.display.end(trial.trial_id, ended.status, told, trace)


class EarlyStopping(FIFOScheduler):
    """A Tune scheduler that asks the proposer after each epoch whether to stop the run.

    The proposer decides from what is in Optuna's storage, which outlives this process.

    It also keeps the worker groups. When several of them wait for a run, Tune stops all but one, and starting another
    takes up to 50 s.

    Args:
        groups: how many worker groups are kept.
    """

    def __init__(self, searcher: ProposerSearch, groups: int) -> None:
        super().__init__()
        self._searcher = searcher
        self._to_keep = groups

    def on_trial_add(self, tune_controller: Any, trial: TuneTrial) -> None:
        with suppress(AttributeError):  # Tune has no public way to say how many groups to keep
            kept = tune_controller._tune_controller._actor_cache
            kept.increase_max(trial.placement_group_factory, by=self._to_keep)
        self._to_keep = 0  # the first trial has told Tune

    def on_trial_result(self, tune_controller: Any, trial: TuneTrial, result: dict[str, Any]) -> str:
        stop = self._searcher.report(trial.trial_id, result)
        return TrialScheduler.STOP if stop else TrialScheduler.CONTINUE
