"""A policy as a proposer: the policy says which run comes next, and Optuna stores it."""

from collections.abc import Callable, Sequence
from functools import partial

import optuna
from optuna.samplers import RandomSampler, TPESampler
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from analysis.outcomes import Outcome
from search_spaces.policy import policy
from search_spaces.policy.futility import futile
from search_spaces.policy.plan import NoProposal, Plan, Proposal
from search_spaces.service.optuna_store import (
    EndedRuns,
    decide_once,
    left_running,
    params_of,
    proposal_of,
    running_proposals,
    search_space,
    stored_curve,
    tell_outcome,
)
from trainables.history import DONE

Policy = Callable[[Plan, Sequence[Outcome], Sequence[Proposal]], Proposal | NoProposal]

MOST_RESAMPLINGS = 50
"""The most times that a setting is sampled again because it has been tried."""


class PolicyProposer:
    """A policy with an Optuna study that stores the runs it proposes, with their learning curves.

    The policy is asked once for each run, and its proposal is stored as a running trial. Whether a run is futile is
    computed from what the storage holds, so a new proposer on the same storage goes on where an earlier one ended.

    Args:
        plan: the plan of the study.
        policy: says which run comes next.
        storage: where Optuna keeps the study.
        name: the name of the study in the storage.
        adaptive: whether futile runs are stopped, and whether a range that excludes every prescription is objected to.
            A grid is not adaptive.
    """

    def __init__(self, plan: Plan, policy: Policy, storage: BaseStorage, name: str, adaptive: bool) -> None:
        self._plan, self._policy, self._adaptive = plan, policy, adaptive
        self._storage = storage
        self._study = optuna.create_study(
            storage=storage, study_name=name, sampler=RandomSampler(), direction="maximize", load_if_exists=True
        )
        self._study_id = storage.get_study_id_from_name(name)
        self._left = left_running(self._study)
        self._ended = EndedRuns()

    def ask(self) -> tuple[optuna.Trial, Proposal] | NoProposal:
        if self._left:
            left = self._left.pop(0)
            return left, proposal_of(left.params)
        trials = self._study.get_trials(deepcopy=False)
        proposal = self._policy(self._plan, self._ended.outcomes(trials), running_proposals(trials))
        if isinstance(proposal, NoProposal):
            return proposal
        if proposal.setting is None:
            proposal = sample_setting(self._plan, trials, proposal)
        asked = create_trial(
            state=TrialState.RUNNING, params=params_of(proposal), distributions=search_space(self._plan)
        )
        trial = optuna.Trial(self._study, self._storage.create_new_trial(self._study_id, template_trial=asked))
        return trial, proposal

    def report(self, trial: optuna.Trial, epoch: int, score: float) -> bool:
        return decide_once(trial, epoch, partial(self._decide, trial, epoch, score))

    def _decide(self, trial: optuna.Trial, epoch: int, score: float) -> bool:
        trial.report(score, epoch)
        proposal = proposal_of(trial.params)
        if not self._adaptive or proposal.seed == 0:
            return False
        trials = self._study.get_trials(deepcopy=False)
        return futile(self._plan, self._ended.curves(trials), proposal, stored_curve(trials[trial.number]))

    def tell(self, trial: optuna.Trial, outcome: Outcome) -> None:
        if outcome.status == DONE:  # the last epoch of a run is not reported before its end
            trial.report(outcome.score, self._plan.epochs)
        tell_outcome(self._study, trial, outcome)

    def objection(self) -> str | None:
        finished = self._ended.outcomes(self._study.get_trials(deepcopy=False))
        return (policy.objection if self._adaptive else policy.nothing_to_judge)(self._plan, finished)


def sample_setting(plan: Plan, trials: Sequence[FrozenTrial], proposal: Proposal) -> Proposal:
    """The proposal with a setting of the study's further dimensions that TPE samples for its learning rate.

    TPE learns from the group's own runs of seed 0. A setting that has been tried is sampled again, up to
    MOST_RESAMPLINGS times.
    """
    space = {name: search_space(plan)[name] for name in ("learning_rate", *plan.dimensions)}
    mine = [
        trial
        for trial in trials
        if set(space) <= set(trial.params)
        and proposal_of(trial.params).group == proposal.group
        and trial.params["seed"] == 0
    ]
    sampler = TPESampler(seed=len(mine), multivariate=True, n_startup_trials=min(4, plan.sampled_settings))
    tpe = optuna.create_study(sampler=sampler, direction="maximize")
    for trial in mine:
        if trial.state == TrialState.COMPLETE:
            params = {name: trial.params[name] for name in space}
            tpe.add_trial(create_trial(params=params, distributions=space, value=trial.value))
    tried = {proposal_of(trial.params).setting for trial in mine}
    for _ in range(MOST_RESAMPLINGS):
        tpe.enqueue_trial({"learning_rate": proposal.learning_rate})
        sampled = tpe.ask(space).params
        setting = tuple((name, sampled[name]) for name in sorted(plan.dimensions))
        if setting not in tried:
            break
    return proposal._replace(setting=setting)
