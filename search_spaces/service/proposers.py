"""The searches, by name. Each is a proposer, which is asked for runs and told how they ended."""

from collections.abc import Sequence
from functools import partial
from typing import Protocol

import optuna
from optuna.storages import BaseStorage

from analysis.outcomes import Outcome
from search_spaces.policy import grid, policy
from search_spaces.policy.plan import NoProposal, Plan, Proposal
from search_spaces.service import tables
from search_spaces.service.arguments import SEARCHES
from search_spaces.service.policy_proposer import PolicyProposer
from search_spaces.service.sampler_proposer import SamplerProposer, tpe


class Proposer(Protocol):
    """A search as the service drives it: it is asked for the next run, and told how runs ended."""

    def ask(self) -> tuple[optuna.Trial, Proposal] | NoProposal: ...

    def report(self, trial: optuna.Trial, epoch: int, score: float) -> bool:
        """Note a run's score after an epoch, and return whether to stop the run: as before, if it was noted before."""
        ...

    def tell(self, trial: optuna.Trial, outcome: Outcome) -> None: ...

    def objection(self) -> str | None:
        """Why nothing can be judged; None where runs can be judged."""
        ...


def proposer(search: str, plan: Plan, storage: BaseStorage, name: str) -> Proposer:
    """The proposer of a search, one of SEARCHES. The names of its Optuna studies in the storage begin with `name`."""
    match search:
        case "frontier":
            return PolicyProposer(plan, policy.propose, storage, name, adaptive=True)
        case "grid":
            return PolicyProposer(plan, grid.propose, storage, name, adaptive=False)
        case "optuna":
            return SamplerProposer(plan, storage, name, tpe)
    raise AssertionError(f"search {search!r} is not one of {SEARCHES}")


def table_proposer(runs: Sequence[Proposal], plan: Plan, storage: BaseStorage, name: str) -> Proposer:
    """A proposer that proposes exactly these runs."""
    return PolicyProposer(plan, partial(tables.propose, runs), storage, name, adaptive=False)


def runs_at_most(search: str, plan: Plan) -> int:
    """The most runs that a search makes."""
    return grid.size(plan) if search == "grid" else plan.max_runs
