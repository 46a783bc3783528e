"""The searches by name: each is asked for runs and told how they ended."""

from collections.abc import Sequence
from functools import partial
from typing import Protocol

import optuna
from optuna.storages import BaseStorage

from analysis.outcomes import Outcome
from search_spaces.policy import grid, policy
from search_spaces.policy.plan import NoProposal, Plan, Proposal
from search_spaces.service import tables
from search_spaces.service.policy_proposer import PolicyProposer
from search_spaces.service.sampler_proposer import SamplerProposer, tpe

SEARCHES = ("frontier", "optuna", "grid")


class Proposer(Protocol):
    """A search: ask for runs, tell how they ended."""

    def ask(self) -> tuple[optuna.Trial, Proposal] | NoProposal: ...

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
            return PolicyProposer(plan, policy.propose, storage, name, adaptive=True)
        case "grid":
            return PolicyProposer(plan, grid.propose, storage, name, adaptive=False)
        case "optuna":
            return SamplerProposer(plan, storage, name, tpe)
    raise AssertionError(f"search {search!r} is not one of {SEARCHES}")


def table_proposer(runs: Sequence[Proposal], plan: Plan, storage: BaseStorage, name: str) -> Proposer:
    """A proposer of exactly those runs."""
    return PolicyProposer(plan, partial(tables.propose, runs), storage, name, adaptive=False)


def runs_at_most(search: str, plan: Plan) -> int:
    """How many runs a search makes at most."""
    return grid.size(plan) if search == "grid" else plan.max_runs
