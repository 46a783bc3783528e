"""Optuna as the store: every run is a trial of an Optuna study, in a file to which every change is written at once.

A trial has the parameters technique, batch_size, learning_rate and seed, and one for each further dimension that the
study searches. Its value is the validation score, its intermediate values are the score after each epoch, and how the
run ended is a user attribute.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import FrozenTrial, TrialState

from analysis.outcomes import Group, Outcome
from analysis.runs import shown
from search_spaces.policy.futility import Curve
from search_spaces.policy.plan import Plan, Proposal
from trainables.errors import UserError, first_line, require
from trainables.history import STOPPED_EARLY

OUTCOME = "outcome"
"""The user attribute that holds a run's status, score and training score."""
STOPPED = "stopped_after"
"""The user attribute that holds the epoch after which it was decided to stop a run."""
HIGHEST_SEED = 1000
JOURNAL = "optuna.journal"
"""The file of the journal, in a study's folder of results."""
BEGINNING = b'{"op_code":'
"""How a journal begins."""
DATABASES = ("postgresql://", "postgresql+")
"""How the address of a database begins that can keep a search."""
KEEPALIVE = {"keepalives_idle": 60, "keepalives_interval": 10}
"""So that no firewall on the way takes a connection that is silent for one that has ended."""
RUN_PARAMS = ("technique", "batch_size", "learning_rate", "seed")


def open_storage(folder: Path, database: str | None = None) -> BaseStorage:
    """The storage of a study: a PostgreSQL database, or else the journal in the study's folder of results.

    Raises:
        UserError: the storage cannot be written.
    """
    return _opened_database(database) if database else _opened_journal(folder)


def _opened_database(database: str) -> RDBStorage:
    require(database.startswith(DATABASES), f"storage {shown(database)}: must begin with {' or '.join(DATABASES)}")
    try:
        return RDBStorage(database, engine_kwargs={"pool_pre_ping": True, "connect_args": KEEPALIVE})
    except ImportError as error:
        raise UserError("storage: PostgreSQL needs `pip install 'batchscale[postgresql]'`") from error
    except Exception as error:  # whatever the database's driver raises
        raise UserError(f"storage {shown(database)}: cannot be opened ({shown(first_line(error))})") from error


def _opened_journal(folder: Path) -> JournalStorage:
    """The journal in a folder: a file to which a line is added for whatever Optuna is told.

    Raises:
        UserError: the file cannot be written, or is not a journal of Optuna's.
    """
    path = folder.absolute() / JOURNAL
    lock = JournalFileOpenLock(str(path))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            lock.acquire()
            try:
                written = path.read_bytes()
                whole, _, _ = written.rpartition(b"\n")
                json.loads(whole.rpartition(b"\n")[2] or b"{}")  # Optuna itself does not mind a bad last line
                if not written.startswith(BEGINNING[: len(written)]):
                    raise ValueError
                file.truncate(len(whole) + 1 if whole else 0)  # what a killed process did not finish
            finally:
                lock.release()
        return JournalStorage(JournalFileBackend(str(path), lock))
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror})") from error
    except Exception as error:
        raise UserError(f"{path}: is not a journal of Optuna's; it must be moved away") from error


def search_space(plan: Plan) -> dict[str, BaseDistribution]:
    """What a run is made of: technique, batch size, learning rate, seed, and the study's further dimensions."""
    design = plan.design
    return {
        "technique": CategoricalDistribution(sorted({group.technique for group in design.groups})),
        "batch_size": CategoricalDistribution(sorted({group.batch_size for group in design.groups})),
        "learning_rate": FloatDistribution(*design.learning_rates, log=True),
        "seed": IntDistribution(0, HIGHEST_SEED),
        **plan.dimensions,
    }


def params_of(proposal: Proposal) -> dict[str, Any]:
    """A proposal as Optuna parameters."""
    (technique, batch_size), learning_rate, seed, setting = proposal
    own = {"technique": technique, "batch_size": batch_size, "learning_rate": learning_rate, "seed": seed}
    return {**own, **dict(setting or ())}


def proposal_of(params: Mapping[str, Any]) -> Proposal:
    """Optuna parameters as a proposal. The parameters that are not in RUN_PARAMS make the setting."""
    further = tuple(sorted((name, value) for name, value in params.items() if name not in RUN_PARAMS))
    return Proposal(Group(params["technique"], params["batch_size"]), params["learning_rate"], params["seed"], further)


def stored_outcome(trial: FrozenTrial) -> Outcome:
    """The outcome of a trial whose run has ended."""
    return proposal_of(trial.params).ended(*trial.user_attrs[OUTCOME])


def stored_curve(trial: FrozenTrial) -> list[float]:
    """The score of a trial's run after each epoch."""
    return [trial.intermediate_values[epoch] for epoch in sorted(trial.intermediate_values)]


class EndedRuns:
    """The runs that have ended, in the order in which they did. Each is read once, because it does not change."""

    def __init__(self) -> None:
        self._read: dict[str, tuple[Outcome, Curve]] = {}

    def curves(self, trials: Sequence[FrozenTrial]) -> list[tuple[Outcome, Curve]]:
        """The outcome of each run that has ended, and its score after each epoch. `trials` are all that there are."""
        for trial in _ended([trial for trial in trials if key_of(trial) not in self._read]):
            self._read[key_of(trial)] = (stored_outcome(trial), stored_curve(trial))
        return list(self._read.values())

    def outcomes(self, trials: Sequence[FrozenTrial]) -> list[Outcome]:
        """The outcome of each run that has ended. `trials` are all that there are."""
        return [outcome for outcome, _ in self.curves(trials)]


def _ended(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    ended = [trial for trial in trials if OUTCOME in trial.user_attrs and trial.datetime_complete]
    return sorted(ended, key=lambda trial: (trial.datetime_complete, trial.number))


def key_of(trial: FrozenTrial | optuna.Trial) -> str:
    """What names a run in all processes that its study takes: the trial's number in its storage."""
    return str(trial._trial_id)  # Optuna has no public name of it


def runs_asked(storage: BaseStorage, name: str) -> list[FrozenTrial]:
    """Every run that was asked for, of the Optuna studies whose names begin with `name`."""
    mine = [study for study in storage.get_all_studies() if study.study_name.split("/")[0] == name]
    return [trial for study in mine for trial in storage.get_all_trials(study._study_id, deepcopy=False)]


def ended_runs(trials: Sequence[FrozenTrial]) -> dict[str, str]:
    """By the key of a run that has ended, its status."""
    return {key_of(trial): stored_outcome(trial).status for trial in _ended(trials)}


def left_running(study: optuna.Study) -> list[optuna.Trial]:
    """The trials that an earlier process began and did not end. One that it had not yet told what to run is failed."""
    began = study.get_trials(deepcopy=False, states=(TrialState.RUNNING, TrialState.WAITING))
    for trial in began:
        if not _was_told(trial):
            study._storage.set_trial_state_values(trial._trial_id, TrialState.FAIL)
    return [optuna.Trial(study, trial._trial_id) for trial in began if _was_told(trial)]


def told(study: optuna.Study) -> int:
    """How many trials of a study were told what to run."""
    return sum(_was_told(trial) for trial in study.get_trials(deepcopy=False))


def _was_told(trial: FrozenTrial) -> bool:
    return set(RUN_PARAMS) <= set(trial.params)


def decide_once(trial: optuna.Trial, epoch: int, decide: Callable[[], bool]) -> bool:
    """Whether to stop a run after an epoch: as `decide` says, or as it was decided when the epoch was first reported.

    The last epoch that was reported before is decided once more, because nobody knows whether it was decided.
    """
    before = decided(trial, epoch)
    if before is not None:
        return before
    stop = decide()
    if stop:
        trial.set_user_attr(STOPPED, epoch)
    return stop


def decided(trial: optuna.Trial, epoch: int) -> bool | None:
    """Whether the run was to be stopped after an epoch that it reports again; None where it reports it first.

    A run that goes on in another process reports its epochs again. What was decided then, from fewer finished runs,
    holds.
    """
    stored = trial.storage.get_trial(trial._trial_id)
    if STOPPED in stored.user_attrs:
        return epoch >= int(stored.user_attrs[STOPPED])
    return False if epoch < max(stored.intermediate_values, default=0) else None


def running_proposals(trials: Sequence[FrozenTrial]) -> list[Proposal]:
    """The runs that have been asked for and have not ended."""
    return [proposal_of(trial.params) for trial in trials if trial.state == TrialState.RUNNING]


def tell_outcome(study: optuna.Study, trial: optuna.Trial, outcome: Outcome) -> None:
    """Tell Optuna how a run ended: pruned if it was stopped early, complete if it is otherwise evidence, else failed.

    Optuna is told only finite scores; a trial with any other score is failed too.
    """
    trial.set_user_attr(OUTCOME, [outcome.status, outcome.score, outcome.train_score])
    if outcome.status == STOPPED_EARLY:
        study.tell(trial, state=TrialState.PRUNED)
    elif outcome.is_evidence and math.isfinite(outcome.score):
        study.tell(trial, outcome.score)
    else:
        study.tell(trial, state=TrialState.FAIL)
