"""Synthetic trainers whose edge is known, and a search that runs on them."""

import math
import random
from collections.abc import Callable, Sequence

from analysis.answer import GroupAnswer
from analysis.outcomes import Group, Outcome
from search_spaces.policy import policy
from search_spaces.policy.plan import NoProposal, Plan
from search_spaces.service.proposers import Proposer

SIZES = (16, 32, 64, 128, 256)
Trainer = Callable[[Group, float], float]
MakePlan = Callable[..., Plan]
"""The fixture `make_plan`: (max_runs, resolution) -> Plan of one technique at SIZES."""


def edge_at(group: Group) -> float:
    return 0.4 * math.sqrt(group.batch_size / 16)


def sharp(group: Group, rate: float) -> float:
    """0.9 up to the edge, slightly less away from the best rate, chance beyond it."""
    distance = abs(math.log2(rate / (edge_at(group) / 2)))
    return 0.1 if rate > edge_at(group) else 0.9 - 0.001 * distance


def covers(found: GroupAnswer) -> bool:
    return found.scalable.lower <= edge_at(found.group) <= found.scalable.upper


def search(
    the_plan: Plan,
    trainer: Trainer,
    proposing: Callable = policy.propose,
    concurrent: int = 2,
    noise: float = 0.002,
    seed: int = 0,
    before: Sequence[Outcome] = (),
) -> list[Outcome]:
    """Every run the policy asks for, made by the synthetic trainer, after those that were there before."""
    draw, finished, running = random.Random(seed), list(before), []
    while True:
        while len(running) < concurrent:
            proposal = proposing(the_plan, finished, running)
            if isinstance(proposal, NoProposal):
                break
            running.append(proposal)
        if not running:
            assert proposal is NoProposal.OVER
            return finished
        run = running.pop(draw.randrange(len(running)))
        score = trainer(run.group, run.learning_rate)
        status = "diverged" if score <= 0.1 else "done"
        score += draw.gauss(0, noise) if status == "done" else 0.0
        finished.append(run.ended(status, score, score))


def run_search(engine: Proposer) -> list[Outcome]:
    """Every run a proposer asks for, made by the sharp trainer."""
    outcomes: list[Outcome] = []
    while True:
        asked = engine.ask()
        if isinstance(asked, NoProposal):
            assert asked is NoProposal.OVER
            return outcomes
        trial, proposal = asked
        score = sharp(proposal.group, proposal.learning_rate)
        outcomes.append(proposal.ended("diverged" if score == 0.1 else "done", score, score))
        engine.tell(trial, outcomes[-1])
