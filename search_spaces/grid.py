"""The grid: every learning rate at the study's resolution, in every group, then the baseline's seeds."""

import math
from collections.abc import Sequence

from analysis.frontier import Outcome, baseline
from search_spaces.frontier import Answer, Plan, Proposal, asked_so_far


def learning_rates(plan: Plan) -> list[float]:
    """From the lowest to the highest, evenly spaced in the logarithm, neighbours at most the resolution apart."""
    low, high = plan.question.learning_rates
    gaps = max(1, math.ceil(math.log(high / low) / math.log(plan.question.resolution) - 1e-9))
    return [plan.question.inside(low * (high / low) ** (gap / gaps)) for gap in range(gaps + 1)]


def size(plan: Plan) -> int:
    """Runs of the whole grid and the baseline's seeds."""
    return len(plan.question.groups) * len(learning_rates(plan)) + plan.seeds


def propose(plan: Plan, finished: Sequence[Outcome], running: Sequence[Proposal]) -> Proposal | Answer:
    """The next point of the grid, then the next seed at the baseline's best; it is not cut short by max_runs."""
    asked = asked_so_far(finished, running)
    for group in plan.question.groups:
        for learning_rate in learning_rates(plan):
            if Proposal(group, learning_rate, 0) not in asked:
                return Proposal(group, learning_rate, 0)
    if any(run.group == plan.question.baseline and run.seed == 0 for run in running):
        return Answer.WAIT
    yardstick = baseline(finished, plan.question.baseline)
    for seed in range(1, 1 + plan.seeds):
        if yardstick:
            again = Proposal(plan.question.baseline, yardstick.learning_rate, seed)
            if again not in asked:
                return again
    return Answer.WAIT if running else Answer.OVER
