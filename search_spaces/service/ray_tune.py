"""Running a study on Ray Tune: adapters between Tune, the proposer, the tracker and the display."""

import os
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import ray
from ray import tune
from ray.exceptions import RayError
from ray.tune.experiment import Trial as TuneTrial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from analysis.outcomes import Group, Outcome
from search_spaces.policy.plan import NoProposal, Proposal
from search_spaces.service.cluster import Allotment, Room, room_for, trial_resources
from search_spaces.service.display import Display, clock
from search_spaces.service.optuna_store import key_of, params_of, proposal_of
from search_spaces.service.proposers import Proposer
from search_spaces.service.sharing import Part
from search_spaces.service.tracking import Tracker
from search_spaces.study import Study
from trainables.errors import UserError, first_line
from trainables.history import FAILED, RUNNING, STOPPED_EARLY
from trainables.on_ray.keeper import start_keeper
from trainables.on_ray.trial import KEY, NOTE, Trial, start_of
from trainables.on_ray.worker_group import GroupSize
from trainables.recipe import PASSES, WORKERS
from trainables.score import Score

TUNE_METRIC = "epoch"
"""Tune requires the name of a number that every trial reports. The number decides nothing; the proposer decides."""
STATE_SECONDS = "1e9"
"""How often Tune keeps its own state: never. Nothing reads it, and to write it takes longer with every run."""
NODES_SECONDS = 120.0
"""So long a study waits for nodes where the cluster has lost those that train."""
LOOK_SECONDS = 5.0
"""How often the nodes are looked at."""
REMIND_SECONDS = 600.0
"""How often a study says that it waits for nodes."""
MOST_RESTARTS = 10
"""So often a trial is started again because its actor, or the actor's node, was lost."""


@dataclass(frozen=True)
class Search:
    """A study and what runs it: the proposer gives the runs, the tracker records them, the display shows them.

    Attributes:
        passes: for each technique and batch size whose epochs are not one pass over the training set, how many they
            are.
        running: the folder where the states of the runs in progress are kept.
    """

    study: Study
    proposer: Proposer
    tracker: Tracker
    display: Display
    passes: Mapping[Group, float]
    running: Path


def run_trials(search: Search, allotment: Allotment, data_dir: str, joined: bool) -> None:
    """Run every trial that the proposer proposes, and return when it has nothing left to propose.

    Args:
        search: the study, and what runs it.
        allotment: how it uses the cluster while it is alone there.
        data_dir: the folder of data sets.
        joined: whether the cluster was joined, so that other studies may use it too.

    Raises:
        KeyboardInterrupt: at once on Ctrl-C. Every run that has finished is already in the tracker.
        UserError: the cluster has ended, or has lost the nodes that train.
    """
    os.environ["TUNE_DISABLE_SIGINT_HANDLER"] = "1"
    os.environ["RAY_AIR_NEW_OUTPUT"] = "0"
    os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"
    os.environ["TUNE_PRINT_ALL_TRIAL_ERRORS"] = "0"
    os.environ["TUNE_GLOBAL_CHECKPOINT_S"] = STATE_SECONDS
    study, keeper = search.study, start_keeper(search.running)
    shared = {
        "task": study.task,
        "techniques": study.all_techniques,
        "first_seed": study.first_seed,
        "data_dir": data_dir,
        "size": allotment.size,
        "passes": search.passes,
        "keeper": keeper,
    }
    trainable = tune.with_resources(
        tune.with_parameters(Trial, shared=shared), tune.PlacementGroupFactory([trial_resources()])
    )
    part = Part(allotment, search.display.share) if joined else None
    searcher = ProposerSearch(search.proposer, study.task.metric, keeper.forget.remote, part)
    with tempfile.TemporaryDirectory(prefix="batchscale-") as scratch:
        tuner = tune.Tuner(
            trainable,
            tune_config=tune.TuneConfig(
                search_alg=searcher,
                scheduler=EarlyStopping(searcher, allotment.concurrent_trials, part),
                metric=TUNE_METRIC,
                mode="max",
                num_samples=-1,
                max_concurrent_trials=allotment.concurrent_trials,
                reuse_actors=True,
            ),
            run_config=tune.RunConfig(
                storage_path=scratch,
                name="trials",
                callbacks=[Recorder(search, shared), Nodes(allotment.size, search.display.say)],
                verbose=0,
                failure_config=tune.FailureConfig(max_failures=MOST_RESTARTS),
            ),
        )
        try:
            tuner.fit()
        except OSError as error:
            raise UserError(f"the study cannot be kept ({first_line(error)}); --resume goes on with what is") from error
        except (RayError, tune.TuneError) as error:
            raise UserError(
                f"Ray has failed ({first_line(error)}); the finished runs are kept, and --resume goes on"
            ) from error
        finally:
            with suppress(RayError):
                ray.kill(keeper)


class _LivesInTheDriver:
    """A part of Tune that is pickled without its state.

    Tune pickles its parts for Tuner.restore, which is not used: all that must survive is in Optuna and MLflow.
    """

    def __getstate__(self) -> dict[str, Any]:
        return {}


class ProposerSearch(_LivesInTheDriver, Searcher):
    """A Tune searcher that gets its trials from a proposer.

    Args:
        forget: is told the key of every run that has ended, whose state is of no use any more.
        part: the study's part of a cluster that others may use too.
    """

    def __init__(
        self, proposer: Proposer, metric: Score, forget: Callable[[str], object], part: Part | None = None
    ) -> None:
        super().__init__(metric=TUNE_METRIC, mode="max")
        self._proposer, self._judged_by, self._forget, self._part = proposer, metric, forget, part
        self._asked: dict[str, tuple[optuna.Trial, Proposal]] = {}

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        if self._part and len(self._asked) >= self._part.trials():
            return None
        asked = self._proposer.ask()
        if isinstance(asked, NoProposal):
            return Searcher.FINISHED if asked is NoProposal.OVER else None
        self._asked[trial_id] = asked
        return {**params_of(asked[1]), KEY: key_of(asked[0])}

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        if trial_id not in self._asked:  # told before: a run that ended and could not be saved is reported twice
            return
        trial, proposal = self._asked.pop(trial_id)
        self._proposer.tell(trial, tune_outcome(proposal, self._judged_by, result or {}, error))
        self._forget(key_of(trial))

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
        config, start = dict(trial.config), start_of(trial.config, self._shared)
        key = config.pop(KEY)
        technique = self._search.study.all_techniques[config["technique"]]
        recipe = {f"recipe.{name}": repr(value) for name, value in vars(technique).items()}
        used = {WORKERS: start.workers, PASSES: start.task.passes_per_epoch}
        name = f"{config['technique']} B={config['batch_size']} lr={config['learning_rate']:g} seed={config['seed']}"
        self._search.tracker.start(key, name, {**config, **recipe, **used})
        self._search.display.start(key, name, start.task.epochs)

    def on_trial_result(
        self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, result: dict[str, Any], **info: Any
    ) -> None:
        report = {name: result[name] for name in self._search.study.task.reported_names if name in result}
        key = trial.config[KEY]
        self._search.tracker.log(key, report, int(result.get("epoch", 0)), result.get("series", {}))
        self._search.display.progress(key, report)
        if NOTE in result:
            self._search.display.note(key, result[NOTE])

    def on_trial_recover(self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: Any) -> None:
        self._search.display.note(trial.config[KEY], "its process, or the node of it, has ended; it is started again")

    def on_trial_complete(self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: Any) -> None:
        self._end(trial, error=False)

    def on_trial_error(self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: Any) -> None:
        self._end(trial, error=True)

    def _end(self, trial: TuneTrial, error: bool) -> None:
        metric = self._search.study.task.metric
        last = trial.last_result or {}
        params = {name: value for name, value in trial.config.items() if name != KEY}
        ended = tune_outcome(proposal_of(params), metric, last, error)
        told, trace = last.get("error", ""), last.get("trace", "")
        self._search.tracker.end(trial.config[KEY], ended.status, trace)
        self._search.display.end(trial.config[KEY], ended.status, told, trace)


class Nodes(_LivesInTheDriver, tune.Callback):
    """A Tune callback that says when a study waits for its cluster to grow, and ends one whose cluster cannot.

    Args:
        size: the size of each worker group.
        tell: prints a line.

    Raises:
        UserError: there has been no room for a worker group for NODES_SECONDS, and the cluster cannot grow.
    """

    def __init__(self, size: GroupSize, tell: Callable[[str], object]) -> None:
        self._size, self._tell = size, tell
        self._group = f"{size.workers} worker{'s' * (size.workers > 1)}"
        self._looked = self._had_room = self._could_grow = time.monotonic()
        self._told: float | None = None

    def on_step_end(self, iteration: int, trials: list[TuneTrial], **info: Any) -> None:
        now = time.monotonic()
        if now - self._looked < LOOK_SECONDS:
            return
        self._looked, room = now, room_for(self._size)
        if room is Room.NOW:
            if self._told is not None:
                self._tell(f"The cluster has grown, after {clock(now - self._had_room)}.")
            self._had_room, self._told = now, None
        elif room is Room.LATER and (self._told is None or now - self._told > REMIND_SECONDS):
            self._tell(
                f"Waiting for the cluster to grow, for {clock(now - self._had_room)} so far: it has no room for a "
                f"group of {self._group}. `ray status` on its head says what it starts."
            )
            self._told = now
        if room is not Room.NEVER:
            self._could_grow = now
        elif now - self._could_grow > NODES_SECONDS:
            raise UserError(
                f"the cluster has lost its nodes: for {NODES_SECONDS:g} s there was no room for {self._group}; "
                "the finished runs are kept, and --resume goes on"
            )


class EarlyStopping(_LivesInTheDriver, FIFOScheduler):
    """A Tune scheduler that asks the proposer after each epoch whether to stop the run.

    The proposer decides from what is in Optuna's storage, which outlives this process.

    It also keeps the worker groups. When several of them wait for a run, Tune stops all but one, and starting another
    takes up to 50 s. Those that wait and are more than the study's part of a cluster are ended, to make room.

    Args:
        groups: how many worker groups are kept.
        part: the study's part of a cluster that others may use too.
    """

    def __init__(self, searcher: ProposerSearch, groups: int, part: Part | None = None) -> None:
        super().__init__()
        self._searcher, self._part = searcher, part
        self._to_keep = groups

    def on_trial_add(self, tune_controller: Any, trial: TuneTrial) -> None:
        with suppress(AttributeError):  # Tune has no public way to say how many groups to keep
            kept = tune_controller._tune_controller._actor_cache
            kept.increase_max(trial.placement_group_factory, by=self._to_keep)
        self._to_keep = 0  # the first trial has told Tune

    def choose_trial_to_run(self, tune_controller: Any) -> TuneTrial | None:
        with suppress(AttributeError):  # nor one to end those that wait
            controller = tune_controller._tune_controller
            kept, running = controller._actor_cache, len(controller._trial_to_actor)
            while self._part and kept.num_cached_objects > self._part.waiting_groups(running):
                waiting = kept.pop_cached_object(next(key for key, those in kept._cached_objects.items() if those))
                waiting.set_on_stop(None)
                waiting.set_on_error(None)
                controller._remove_actor(tracked_actor=waiting)
        return super().choose_trial_to_run(tune_controller)

    def on_trial_result(self, tune_controller: Any, trial: TuneTrial, result: dict[str, Any]) -> str:
        stop = self._searcher.report(trial.trial_id, result)
        return TrialScheduler.STOP if stop else TrialScheduler.CONTINUE
