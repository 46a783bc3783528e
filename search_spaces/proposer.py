"""Optuna as the store and the engine: searches that ask it for the next run and tell it how runs ended.

Every run is an Optuna trial with the parameters technique, batch_size, learning_rate and seed, its value the validation
score and its status a user attribute, in a storage that commits at once.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.pruners import SuccessiveHalvingPruner
from optuna.samplers import BaseSampler, TPESampler
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from analysis.frontier import Group, Outcome, baseline
from search_spaces import frontier, grid, tables
from search_spaces.plan import Answer, Plan, Proposal, asked_so_far
from search_spaces.stopping import curves_behind, futile
from trainables.metrics import DONE, STOPPED_EARLY

Policy = Callable[[Plan, Sequence[Outcome], Sequence[Proposal]], Proposal | Answer]

OUTCOME = "outcome"
SEARCHES = ("frontier", "optuna", "grid")


class Proposer(Protocol):
    """A search: ask for runs, tell how they ended."""

    def ask(self) -> tuple[optuna.Trial, Proposal] | Answer: ...

    def report(self, trial: optuna.Trial, epoch: int, score: float) -> bool:
        """Note a run's score after an epoch; whether to stop it."""
        ...

    def tell(self, trial: optuna.Trial, outcome: Outcome) -> None: ...

    def objection(self) -> str | None:
        """Why nothing can be judged, if that is so."""
        ...


def proposer(search: str, plan: Plan, storage: BaseStorage, name: str) -> Proposer:
    """The search of that name, one of SEARCHES, on a storage where its Optuna studies are called `name`."""
    match search:
        case "frontier":
            return PolicyProposer(plan, frontier.propose, storage, name, adaptive=True)
        case "grid":
            return PolicyProposer(plan, grid.propose, storage, name, adaptive=False)
        case "optuna":
            return SamplerProposer(plan, storage, name, tpe)
    raise AssertionError(f"search {search!r} is not one of {SEARCHES}")


def table_proposer(runs: Sequence[Proposal], plan: Plan, storage: BaseStorage, name: str) -> Proposer:
    """What makes exactly those runs."""
    return PolicyProposer(plan, partial(tables.propose, runs), storage, name, adaptive=False)


def runs_at_most(search: str, plan: Plan) -> int:
    """How many runs a search makes at most."""
    return grid.size(plan) if search == "grid" else plan.max_runs


class PolicySampler(BaseSampler):
    """A policy as an Optuna sampler: the trial that is asked for is the run that the policy proposes.

    A study's further dimensions are the policy's where it names a setting, and TPE's, from the group's own runs of seed
    0, where it leaves them open.
    """

    def __init__(self, plan: Plan, policy: Policy) -> None:
        self._plan, self._policy = plan, policy

    def propose(self, study: optuna.Study, asking: FrozenTrial | None = None) -> Proposal | Answer:
        """What the policy says of the study as it stands; the trial that is just being asked for is left out."""
        trials = [
            trial for trial in study.get_trials(deepcopy=False) if asking is None or trial.number != asking.number
        ]
        running = [proposal_of(trial.params) for trial in trials if trial.state == TrialState.RUNNING]
        return self._policy(self._plan, _finished(trials), running)

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return search_space(self._plan)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        proposal = self.propose(study, trial)
        if isinstance(proposal, Answer):
            raise RuntimeError(f"the policy was asked for a trial when it says: {proposal.value}")
        return params_of(proposal if proposal.setting is not None else self._draw(study, proposal))

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        raise AssertionError(f"{param_name} is in the search space, and so never sampled by itself")

    def _draw(self, study: optuna.Study, proposal: Proposal) -> Proposal:
        """The proposal with a setting that TPE draws given its learning rate, a new one if there is one."""
        space = {name: search_space(self._plan)[name] for name in ("learning_rate", *self._plan.dimensions)}
        mine = [
            trial
            for trial in study.get_trials(deepcopy=False)
            if set(space) <= set(trial.params)
            and proposal_of(trial.params).group == proposal.group
            and trial.params["seed"] == 0
        ]
        sampler = TPESampler(seed=len(mine), multivariate=True, n_startup_trials=min(4, self._plan.draws))
        tpe = optuna.create_study(sampler=sampler, direction="maximize")
        for trial in mine:
            if trial.state == TrialState.COMPLETE:
                params = {name: trial.params[name] for name in space}
                tpe.add_trial(create_trial(params=params, distributions=space, value=trial.value))
        tried = {proposal_of(trial.params).setting for trial in mine}
        for _ in range(MOST_REDRAWS):
            tpe.enqueue_trial({"learning_rate": proposal.learning_rate})
            drawn = tpe.ask(space).params
            setting = tuple((name, drawn[name]) for name in sorted(self._plan.dimensions))
            if setting not in tried:
                break
        return proposal._replace(setting=setting)


class PolicyProposer:
    """One Optuna study, sampled by a policy; its trials hold the learning curves too.

    Whether a run is futile is worked out from what the storage holds, so a new proposer on the same storage goes on
    where another ended.

    Args:
        adaptive: whether futile runs are stopped, and the study where nothing can come of it; a grid runs to its end.
    """

    def __init__(self, plan: Plan, policy: Policy, storage: BaseStorage, name: str, adaptive: bool) -> None:
        self._plan, self._adaptive = plan, adaptive
        self._sampler = PolicySampler(plan, policy)
        self._study = optuna.create_study(
            storage=storage, study_name=name, sampler=self._sampler, direction="maximize", load_if_exists=True
        )

    def ask(self) -> tuple[optuna.Trial, Proposal] | Answer:
        proposal = self._sampler.propose(self._study)
        if isinstance(proposal, Answer):
            return proposal
        trial = self._study.ask(search_space(self._plan))
        asked = proposal_of(trial.params)
        assert asked[:3] == proposal[:3], f"Optuna made {trial.params} of {proposal}"
        return trial, asked

    def report(self, trial: optuna.Trial, epoch: int, score: float) -> bool:
        trial.report(score, epoch)
        proposal = proposal_of(trial.params)
        if not self._adaptive or proposal.seed == 0:
            return False
        trials = self._study.get_trials(deepcopy=False)
        ended = [(outcome_of(other), curve_of(other)) for other in trials if OUTCOME in other.user_attrs]
        base = curves_behind(ended, self._plan)
        curve = next(curve_of(other) for other in trials if other.number == trial.number)
        return futile(self._plan, [outcome for outcome, _ in ended], base, proposal, curve)

    def tell(self, trial: optuna.Trial, outcome: Outcome) -> None:
        if outcome.status == DONE:  # a run's last epoch comes with its end, not as a report
            trial.report(outcome.score, self._plan.epochs)
        _tell(self._study, trial, outcome)

    def objection(self) -> str | None:
        trials = self._study.get_trials(deepcopy=False)
        finished = _finished(trials)
        return (frontier.objection if self._adaptive else frontier.baseline_diverges)(self._plan, finished)


class SamplerProposer:
    """An Optuna sampler inside each technique and batch size, a study of its own for each; then the baseline's seeds.

    The baseline is searched first, so that the rules' prescriptions can be the first trials of every other group. Runs
    of seed 0, which look for the best, are stopped by ASHA among those of their own study; what a rule prescribes and
    the baseline's seeds are measured to the end. ASHA's rungs are in the storage.
    """

    def __init__(self, plan: Plan, storage: BaseStorage, name: str, sampler: Callable[[int, int], BaseSampler]) -> None:
        self._plan = plan
        self._share = max(1, (plan.max_runs - plan.seeds) // len(plan.question.groups))
        self._studies = {
            group: optuna.create_study(
                storage=storage,
                study_name=f"{name}/{group.technique}/{group.batch_size}",
                sampler=sampler(position, self._share),
                pruner=SuccessiveHalvingPruner(min_resource=plan.grace_epochs[group], reduction_factor=3),
                direction="maximize",
                load_if_exists=True,
            )
            for position, group in enumerate(plan.question.groups)
        }

    def ask(self) -> tuple[optuna.Trial, Proposal] | Answer:
        finished, running = self._runs()
        asked = self._next(finished, running) if len(finished) + len(running) < self._plan.max_runs else None
        if asked is None:
            return Answer.WAIT if running else Answer.OVER
        group, fixed, seed = asked
        study = self._studies[group]
        study.enqueue_trial({"seed": seed} if fixed is None else {"seed": seed, "learning_rate": fixed})
        trial = study.ask()
        trial.suggest_categorical("technique", [group.technique])
        trial.suggest_categorical("batch_size", [group.batch_size])
        low, high = self._plan.question.learning_rates
        trial.suggest_float("learning_rate", low, high, log=True)
        trial.suggest_int("seed", 0, MOST_SEEDS)
        return trial, proposal_of(trial.params)

    def report(self, trial: optuna.Trial, epoch: int, score: float) -> bool:
        trial.report(score, epoch)
        return proposal_of(trial.params).seed == 0 and epoch < self._plan.epochs and trial.should_prune()

    def tell(self, trial: optuna.Trial, outcome: Outcome) -> None:
        _tell(self._studies[outcome.group], trial, outcome)

    def objection(self) -> str | None:
        return frontier.baseline_diverges(self._plan, self._runs()[0])

    def _runs(self) -> tuple[list[Outcome], list[Proposal]]:
        """Those that have ended and those that run."""
        trials = [trial for study in self._studies.values() for trial in study.get_trials(deepcopy=False)]
        finished = _finished(trials)
        return finished, [proposal_of(trial.params) for trial in trials if trial.state == TrialState.RUNNING]

    def _next(self, finished: Sequence[Outcome], running: Sequence[Proposal]) -> tuple[Group, float | None, int] | None:
        """The next group, the learning rate where it is given, and the seed."""
        question = self._plan.question
        runs = asked_so_far(finished, running)
        tuning = [run for run in runs if run.group == question.baseline and run.seed == 0]
        if not tuning:
            return question.baseline, self._plan.first, 0
        if len(tuning) < self._share:
            return question.baseline, None, 0
        yardstick = baseline(finished, question.baseline)
        if yardstick is None or any(run.group == question.baseline and run.seed == 0 for run in running):
            return None
        for seed in range(1, 1 + self._plan.seeds):
            if Proposal(question.baseline, yardstick.learning_rate, seed) not in runs:
                return question.baseline, yardstick.learning_rate, seed
        others = [group for group in question.groups if group != question.baseline]
        for group in sorted(others, key=lambda group: sum(run.group == group for run in runs)):
            if sum(run.group == group for run in runs) < self._share:
                wanted = [question.prescription(rule, group, yardstick.learning_rate) for rule in question.rules]
                unasked = [rate for rate in wanted if rate is not None and Proposal(group, rate, 1) not in runs]
                return (group, unasked[0], 1) if unasked else (group, None, 0)
        return None


def tpe(position: int, share: int) -> BaseSampler:
    """TPE for the group at a position, which gets so many runs."""
    return TPESampler(seed=position, n_startup_trials=min(4, share))


MOST_SEEDS = 1000
MOST_REDRAWS = 50
RUN_PARAMS = ("technique", "batch_size", "learning_rate", "seed")


def search_space(plan: Plan) -> dict[str, BaseDistribution]:
    """What a run is: its technique, batch size, learning rate and seed."""
    question = plan.question
    return {
        "technique": CategoricalDistribution(sorted({group.technique for group in question.groups})),
        "batch_size": CategoricalDistribution(sorted({group.batch_size for group in question.groups})),
        "learning_rate": FloatDistribution(*question.learning_rates, log=True),
        "seed": IntDistribution(0, MOST_SEEDS),
        **plan.dimensions,
    }


def params_of(proposal: Proposal) -> dict[str, Any]:
    """A proposal as Optuna parameters."""
    (technique, batch_size), learning_rate, seed, setting = proposal
    own = {"technique": technique, "batch_size": batch_size, "learning_rate": learning_rate, "seed": seed}
    return {**own, **dict(setting or ())}


def proposal_of(params: Mapping[str, Any]) -> Proposal:
    """Optuna parameters as a proposal; those it does not know are the setting."""
    further = tuple(sorted((name, value) for name, value in params.items() if name not in RUN_PARAMS))
    return Proposal(Group(params["technique"], params["batch_size"]), params["learning_rate"], params["seed"], further)


def outcome_of(trial: FrozenTrial) -> Outcome:
    """A trial that was told, as the verdicts take it."""
    return proposal_of(trial.params).ended(*trial.user_attrs[OUTCOME])


def _finished(trials: Sequence[FrozenTrial]) -> list[Outcome]:
    """Outcomes of the trials that were told."""
    return [outcome_of(trial) for trial in trials if OUTCOME in trial.user_attrs]


def curve_of(trial: FrozenTrial) -> list[float]:
    """Its score after each epoch."""
    return [trial.intermediate_values[epoch] for epoch in sorted(trial.intermediate_values)]


def _tell(study: optuna.Study, trial: optuna.Trial, outcome: Outcome) -> None:
    """Complete a run that counts, prune one stopped early, fail the others; only finite scores are told."""
    trial.set_user_attr(OUTCOME, [outcome.status, outcome.score, outcome.train_score])
    if outcome.status == STOPPED_EARLY:
        study.tell(trial, state=TrialState.PRUNED)
    elif outcome.counts and math.isfinite(outcome.score):
        study.tell(trial, outcome.score)
    else:
        study.tell(trial, state=TrialState.FAIL)
