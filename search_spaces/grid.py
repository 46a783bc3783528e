"""The grid: every learning rate at the study's resolution in every group, with every seed; then the baseline's."""

import math
from collections.abc import Sequence

from analysis.frontier import Outcome, baseline
from search_spaces.plan import Answer, Plan, Proposal, asked_so_far


def learning_rates(plan: Plan) -> list[float]:
    """From the lowest to the highest, evenly spaced in the logarithm, neighbours at most the resolution apart."""
    low, high = plan.question.learning_rates
    gaps = max(1, math.ceil(math.log(high / low) / math.log(plan.question.resolution) - 1e-9))
    return [plan.question.inside(low * (high / low) ** (gap / gaps)) for gap in range(gaps + 1)]


def size(plan: Plan) -> int:
    """Runs of the whole grid and the baseline's seeds, at most."""
    seeds = max(0, plan.seeds - plan.seeds_near_margin + 1)
    return len(plan.question.groups) * len(learning_rates(plan)) * plan.seeds_near_margin + seeds


def propose(plan: Plan, finished: Sequence[Outcome], running: Sequence[Proposal]) -> Proposal | Answer:
    """The next point of the grid, seed by seed, then the baseline's at its best; it is not cut short by max_runs."""
    asked = set(asked_so_far(finished, running))
    for seed in range(plan.seeds_near_margin):
        for group in plan.question.groups:
            for learning_rate in learning_rates(plan):
                point = Proposal(group, learning_rate, seed)
                if point not in asked:
                    return point
    if any(run.group == plan.question.baseline and run.seed == 0 for run in running):
        return Answer.WAIT
    yardstick = baseline(finished, plan.question.baseline)
    for seed in range(1, 1 + plan.seeds):
        if yardstick:
            again = Proposal(plan.question.baseline, yardstick.learning_rate, seed)
            if again not in asked:
                return again
    return Answer.WAIT if running else Answer.OVER
