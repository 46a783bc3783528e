"""An Optuna sampler as a proposer, with ASHA: the usual way to search for the best rate at every batch size."""

from collections.abc import Callable, Sequence
from functools import partial

import optuna
from optuna.pruners import SuccessiveHalvingPruner
from optuna.samplers import BaseSampler, TPESampler
from optuna.storages import BaseStorage

from analysis.outcomes import Group, Outcome
from analysis.verdict import find_baseline
from search_spaces.policy import policy
from search_spaces.policy.plan import NoProposal, Plan, Proposal, asked_so_far
from search_spaces.service.optuna_store import (
    HIGHEST_SEED,
    EndedRuns,
    decide_once,
    left_running,
    proposal_of,
    running_proposals,
    tell_outcome,
    told,
)


class SamplerProposer:
    """A search with an Optuna sampler and an Optuna study for each group.

    The baseline is searched first, and its seeds run next, so that the rules' prescriptions can be the first trials of
    every other group. Runs of seed 0 search for the best; ASHA stops those that are behind others of the same Optuna
    study. Prescriptions and the baseline's seeds run to their end. ASHA's rungs are in the storage.

    Args:
        plan: the plan of the study.
        storage: where Optuna keeps its studies.
        name: the beginning of the names of these studies in the storage.
        sampler: makes the sampler of a group for its next run, from a seed and the number of runs that the group gets.
            There is one for each run, so that a search that goes on in another process draws as it would have done.
    """

    def __init__(self, plan: Plan, storage: BaseStorage, name: str, sampler: Callable[[int, int], BaseSampler]) -> None:
        self._plan, self._sampler = plan, sampler
        self._share = max(1, (plan.max_runs - plan.seeds) // len(plan.design.groups))
        self._studies = {
            group: optuna.create_study(
                storage=storage,
                study_name=f"{name}/{group.technique}/{group.batch_size}",
                pruner=SuccessiveHalvingPruner(min_resource=plan.grace_epochs[group], reduction_factor=3),
                direction="maximize",
                load_if_exists=True,
            )
            for group in plan.design.groups
        }
        self._ended = EndedRuns()
        self._left = [trial for study in self._studies.values() for trial in left_running(study)]

    def ask(self) -> tuple[optuna.Trial, Proposal] | NoProposal:
        if self._left:
            left = self._left.pop(0)
            return left, proposal_of(left.params)
        finished, running = self._runs()
        asked = self._next(finished, running) if len(finished) + len(running) < self._plan.max_runs else None
        if asked is None:
            return NoProposal.WAIT if running else NoProposal.OVER
        group, fixed, seed = asked
        study = self._studies[group]
        study.sampler = self._sampler(1000 * list(self._studies).index(group) + told(study), self._share)
        study.enqueue_trial({"seed": seed} if fixed is None else {"seed": seed, "learning_rate": fixed})
        trial = study.ask()
        trial.suggest_categorical("technique", [group.technique])
        trial.suggest_categorical("batch_size", [group.batch_size])
        low, high = self._plan.design.learning_rates
        trial.suggest_float("learning_rate", low, high, log=True)
        trial.suggest_int("seed", 0, HIGHEST_SEED)
        return trial, proposal_of(trial.params)

    def report(self, trial: optuna.Trial, epoch: int, score: float) -> bool:
        return decide_once(trial, epoch, partial(self._decide, trial, epoch, score))

    def _decide(self, trial: optuna.Trial, epoch: int, score: float) -> bool:
        trial.report(score, epoch)
        return proposal_of(trial.params).seed == 0 and epoch < self._plan.epochs and trial.should_prune()

    def tell(self, trial: optuna.Trial, outcome: Outcome) -> None:
        tell_outcome(self._studies[outcome.group], trial, outcome)

    def objection(self) -> str | None:
        return policy.nothing_to_judge(self._plan, self._runs()[0])

    def _runs(self) -> tuple[list[Outcome], list[Proposal]]:
        """The runs that have ended and those that are running."""
        trials = [trial for study in self._studies.values() for trial in study.get_trials(deepcopy=False)]
        return self._ended.outcomes(trials), running_proposals(trials)

    def _next(self, finished: Sequence[Outcome], running: Sequence[Proposal]) -> tuple[Group, float | None, int] | None:
        """The group, learning rate and seed of the next run. The rate is None where the sampler chooses it."""
        design = self._plan.design
        runs = asked_so_far(finished, running)
        tuning = [run for run in runs if run.group == design.baseline and run.seed == 0]
        if not tuning:
            return design.baseline, self._plan.first, 0
        if len(tuning) < self._share:
            return design.baseline, None, 0
        baseline = find_baseline(design, [run for run in finished if run.group == design.baseline and run.seed == 0])
        searching = any(run.group == design.baseline and run.seed == 0 for run in running)
        if baseline is None or baseline.untrained or searching:
            return None
        for seed in range(1, 1 + self._plan.seeds):
            if Proposal(design.baseline, baseline.learning_rate, seed) not in runs:
                return design.baseline, baseline.learning_rate, seed
        others = [group for group in design.groups if group != design.baseline]
        for group in sorted(others, key=lambda group: sum(run.group == group for run in runs)):
            if sum(run.group == group for run in runs) < self._share:
                wanted = [design.prescription(rule, group, baseline.learning_rate) for rule in design.rules]
                unasked = [rate for rate in wanted if rate is not None and Proposal(group, rate, 1) not in runs]
                return (group, unasked[0], 1) if unasked else (group, None, 0)
        return None


def tpe(seed: int, share: int) -> BaseSampler:
    """A TPE sampler for a run of a group that gets `share` runs."""
    return TPESampler(seed=seed, n_startup_trials=min(4, share))
