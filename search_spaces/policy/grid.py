"""The grid policy: every learning rate of a grid, in every group and with every seed, then the baseline's seeds."""

import math
from collections.abc import Sequence

from analysis.outcomes import Outcome
from analysis.verdict import find_baseline
from search_spaces.policy.plan import NoProposal, Plan, Proposal, asked_so_far


def learning_rates(plan: Plan) -> list[float]:
    """The learning rates of the grid, ascending and evenly spaced in the logarithm, at most the resolution apart."""
    low, high = plan.design.learning_rates
    gaps = max(1, math.ceil(math.log(high / low) / math.log(plan.design.resolution) - 1e-9))
    return [plan.design.inside(low * (high / low) ** (gap / gaps)) for gap in range(gaps + 1)]


def size(plan: Plan) -> int:
    """The most runs that the whole grid and the baseline's seeds can take."""
    seeds = max(0, plan.seeds - plan.seeds_near_margin + 1)
    return len(plan.design.groups) * len(learning_rates(plan)) * plan.seeds_near_margin + seeds


def propose(plan: Plan, finished: Sequence[Outcome], running: Sequence[Proposal]) -> Proposal | NoProposal:
    """The next run: the grid seed by seed, then the baseline's seeds at its best rate. max_runs does not limit it."""
    asked, rates = set(asked_so_far(finished, running)), learning_rates(plan)
    for seed in range(plan.seeds_near_margin):
        for group in plan.design.groups:
            for learning_rate in rates:
                point = Proposal(group, learning_rate, seed)
                if point not in asked:
                    return point
    if any(run.group == plan.design.baseline and run.seed == 0 for run in running):
        return NoProposal.WAIT
    base = plan.design.baseline
    baseline = find_baseline(
        plan.design, [run for run in finished if run.group == base and run.seed < plan.seeds_near_margin]
    )
    for seed in range(1, 1 + plan.seeds):
        if baseline:
            again = Proposal(base, baseline.learning_rate, seed)
            if again not in asked:
                return again
    return NoProposal.WAIT if running else NoProposal.OVER
