"""Replay of a search on a synthetic trainer, with several runs in flight; it counts epochs and time."""

import heapq
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from analysis.outcomes import Outcome
from benchmarks.synthetic import World
from search_spaces.policy.futility import Curve, futile
from search_spaces.policy.plan import NoProposal, Plan, Proposal
from search_spaces.service.policy_proposer import Policy
from trainables.history import STOPPED_EARLY


class Arm(Protocol):
    """A search, in the form in which the replay calls it."""

    def ask(self) -> Proposal | NoProposal: ...

    def stops(self, run: Proposal, curve: Curve) -> bool: ...

    def tell(self, run: Proposal, outcome: Outcome, curve: Curve) -> Outcome:
        """Record how a run ended, and return the outcome that it counts as."""
        ...


class Spent(NamedTuple):
    """The state of a replay after a run has ended.

    Attributes:
        epochs: number of epochs that all ended runs have trained.
        time: time passed, in epochs, where the runs in flight train in parallel.
    """

    outcomes: tuple[Outcome, ...]
    epochs: int
    time: float


class PolicyArm:
    """A policy of this project, with or without futility stopping."""

    def __init__(self, plan: Plan, policy: Policy, stop_futile: bool) -> None:
        self._plan, self._policy, self._stop_futile = plan, policy, stop_futile
        self._ended: list[tuple[Outcome, Curve]] = []
        self._running: list[Proposal] = []

    def ask(self) -> Proposal | NoProposal:
        proposal = self._policy(self._plan, [outcome for outcome, _ in self._ended], self._running)
        if isinstance(proposal, Proposal):
            self._running.append(proposal)
        return proposal

    def stops(self, run: Proposal, curve: Curve) -> bool:
        return self._stop_futile and futile(self._plan, self._ended, run, curve)

    def tell(self, run: Proposal, outcome: Outcome, curve: Curve) -> Outcome:
        self._running.remove(run)
        self._ended.append((outcome, curve))
        return outcome


def replay(arm: Arm, world: World, in_flight: int, note: Callable[[Spent], None]) -> Spent:
    """Run a search to its end.

    Args:
        in_flight: number of runs that train at the same time, all at the same speed.
        note: a function that is called each time a run has ended.
    """
    outcomes: list[Outcome] = []
    flying: list[tuple[float, int, Proposal, Outcome, Curve]] = []
    now, epochs, started = 0.0, 0, 0
    while True:
        while len(flying) < in_flight:
            asked = arm.ask()
            if isinstance(asked, NoProposal):
                break
            outcome, curve = _train(arm, world, asked)
            heapq.heappush(flying, (now + len(curve), started, asked, outcome, curve))
            started += 1
        if not flying:
            return Spent(tuple(outcomes), epochs, now)
        now, _, run, outcome, curve = heapq.heappop(flying)
        outcomes.append(arm.tell(run, outcome, curve))
        epochs += len(curve)
        note(Spent(tuple(outcomes), epochs, now))


def _train(arm: Arm, world: World, run: Proposal) -> tuple[Outcome, Curve]:
    """Train a run; the arm may stop it, judging by what it knows when the run starts."""
    ended = world.train(run.group, run.learning_rate, run.seed)
    curve: Sequence[float] = ended.curve
    for epoch in range(1, len(curve)):
        if arm.stops(run, curve[:epoch]):
            return run.ended(STOPPED_EARLY, curve[epoch - 1], curve[epoch - 1]), curve[:epoch]
    return run.ended(ended.status, curve[-1], curve[-1]), curve
