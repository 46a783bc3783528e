"""Replaying a search on a synthetic trainer: runs in flight, epochs spent, time passed."""

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
    """A search as the replay drives it."""

    def ask(self) -> Proposal | NoProposal: ...

    def stops(self, run: Proposal, curve: Curve) -> bool: ...

    def tell(self, run: Proposal, outcome: Outcome, curve: Curve) -> Outcome:
        """Note how a run ended; what it is to count as."""
        ...


class Spent(NamedTuple):
    """The state of a replay after a run has ended.

    Attributes:
        epochs: trained so far, by all runs that have ended.
        time: in epochs, runs in flight training side by side.
    """

    outcomes: tuple[Outcome, ...]
    epochs: int
    time: float


class PolicyArm:
    """A pure policy, with futility stopping or without."""

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
        in_flight: runs at a time, all of one speed.
        note: called after each run that ended.
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
    """A run, stopped where the arm stops it by what it knows when the run starts."""
    ended = world.train(run.group, run.learning_rate, run.seed)
    curve: Sequence[float] = ended.curve
    for epoch in range(1, len(curve)):
        if arm.stops(run, curve[:epoch]):
            return run.ended(STOPPED_EARLY, curve[epoch - 1], curve[epoch - 1]), curve[:epoch]
    return run.ended(ended.status, curve[-1], curve[-1]), curve
