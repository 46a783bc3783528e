"""The search policy: tune the baseline, then close in on every edge.

A pure function of what has finished and what is running; it knows neither Ray nor torch. For each technique and batch
size the question is where, on the axis of log2 learning rate, runs stop holding.

1. Tune the baseline batch size with seed 0: three rates two octaves apart, then the neighbours of the best at half the
   distance. Run its other seeds at the best, more of them where they scatter much against the tolerance.
2. At every batch size, the one with the fewest runs in flight first, run what the rules prescribe.
3. Where a rate holds, or may, make the run after which the group's interval is expected to be narrowest
   (search_spaces.edge_search). Where the edge may lie is what the group's own runs say of it (analysis.belief), times
   where the other batch sizes' edges point (search_spaces.expectation). Another seed of a rate that ran is a candidate
   like any other; runs in flight count as if they had ended as is likely.
4. Where nothing holds, look for that batch size's own best, and for the edge against that instead.

A group is done when its interval, which knows nothing of the other batch sizes, is within the resolution. Where a study
searches further dimensions, each group first tries settings of them with seed 0, and is measured with the best.
"""

import math
from collections.abc import Collection, Iterator, Sequence

from analysis.edge import scalable
from analysis.frontier import Baseline, Group, Noise, Outcome, baseline, chosen_setting, noise, points
from search_spaces.best_search import TUNING_OCTAVES, draws, ladder, own_setting, tune
from search_spaces.edge_search import Scene, search
from search_spaces.expectation import expected_edge
from search_spaces.plan import Answer, Plan, Proposal, asked_so_far
from trainables.metrics import FAILED

REPLACEMENT = 100
"""Added to the seed of a run that failed, to try it once more with another."""

A0_ERROR = 0.2
"""Share of the tolerance that the error of A0 should not exceed."""


def propose(plan: Plan, finished: Sequence[Outcome], running: Sequence[Proposal]) -> Proposal | Answer:
    """The next run, given every run so far."""
    if len(finished) + len(running) < plan.max_runs:
        asked = set(asked_so_far(finished, running))
        failed = {asked_so_far([run], [])[0] for run in finished if run.status == FAILED and run.seed > 0}
        for proposal in _questions(plan, finished, running, asked):
            fresh = proposal._replace(seed=proposal.seed + REPLACEMENT) if proposal in failed else proposal
            if fresh not in asked:
                return fresh
    return Answer.WAIT if running else Answer.OVER


def objection(plan: Plan, finished: Sequence[Outcome]) -> str | None:
    """Why the search cannot go on: the baseline diverges, or the range excludes all that the rules prescribe."""
    return baseline_diverges(plan, finished) or _prescribes_nothing(plan, finished)


def baseline_diverges(plan: Plan, finished: Sequence[Outcome]) -> str | None:
    """Whether, and where, the baseline's own runs diverge, so that nothing can be judged against it."""
    (technique, batch_size), yardstick = plan.question.baseline, baseline(finished, plan.question.baseline)
    if yardstick is None or not yardstick.diverged:
        return None
    name = f"{technique} at batch size {batch_size}, learning rate {yardstick.learning_rate:g}"
    return f"baseline {name}: its runs diverge, so nothing can be judged against it; it must train to the end"


def _prescribes_nothing(plan: Plan, finished: Sequence[Outcome]) -> str | None:
    """Whether every prescription lies outside the range."""
    question, yardstick = plan.question, baseline(finished, plan.question.baseline)
    others = [group for group in question.groups if group.batch_size != question.baseline.batch_size]
    if yardstick is None or not others or not question.rules:
        return None
    wanted = [(rule, group) for rule in question.rules for group in others]
    if any(question.prescription(*each, yardstick.learning_rate) is not None for each in wanted):
        return None
    low, high = question.learning_rates
    nearest = yardstick.learning_rate * min(
        question.rules[rule][question.groups.index(group)] for rule, group in wanted
    )
    return (
        f"learning rates {low:g} to {high:g}: exclude every prescription of the rules, the lowest of which is "
        f"{nearest:g} (from the baseline's best, {yardstick.learning_rate:g}); the range must hold at least that"
    )


def _questions(
    plan: Plan, finished: Sequence[Outcome], running: Sequence[Proposal], asked: Collection[Proposal]
) -> Iterator[Proposal]:
    """What to ask, most urgent first; some of it has been asked already."""
    question = plan.question
    yield from tune(plan, finished, asked)
    yardstick = baseline(finished, question.baseline)
    if yardstick is None:
        yield from ladder(plan, (2 * TUNING_OCTAVES, -2 * TUNING_OCTAVES, 1.0, -1.0, 3.0, -3.0))
        return
    if yardstick.diverged:
        return
    for seed in range(1, 1 + plan.seeds):
        yield Proposal(question.baseline, yardstick.learning_rate, seed, yardstick.setting)
    if any(run.group == question.baseline and run.seed == 0 for run in running) or objection(plan, finished):
        return  # what the rules prescribe depends on the best that tuning finds
    turns = list(_in_turn(plan, running, asked))
    if not yardstick.scores:
        for group in turns:
            yield from _start(plan, group, finished, running, yardstick, asked)
        return
    spread = noise(finished, yardstick, question.tolerance, question.floor)
    judged = {
        group: scalable(question, points(finished, group), yardstick.reference, spread) for group in question.groups
    }
    scene = Scene(plan, finished, running, yardstick, spread, judged)
    for seed in range(1, 1 + _seeds_behind_a0(plan, spread)):
        yield Proposal(question.baseline, yardstick.learning_rate, seed, yardstick.setting)
    for group in turns:
        yield from _start(plan, group, finished, running, yardstick, asked)
        yield from search(scene, group)


def _seeds_behind_a0(plan: Plan, spread: Noise) -> int:
    """Baseline runs until A0's error is small against the tolerance, which every group profits from."""
    wanted = math.ceil((spread.deviation / (A0_ERROR * plan.question.tolerance)) ** 2)
    return min(wanted, 2 * plan.seeds, max(plan.seeds, plan.max_runs // 8))


def _in_turn(plan: Plan, running: Sequence[Proposal], asked: Collection[Proposal]) -> Iterator[Group]:
    """The groups with the fewest runs in flight first, ascending among equals; past its share a group waits."""
    groups, base = plan.question.groups, plan.question.baseline
    tuning = sum(run.group == base and run.seed == 0 for run in asked) + plan.seeds
    fair = max(1, (plan.max_runs - tuning) // len(groups))
    spent = {group: sum(run.group == group for run in asked) - (tuning if group == base else 0) for group in groups}
    busy = {group: sum(run.group == group for run in running) for group in groups}
    yield from sorted(groups, key=lambda group: (spent[group] >= fair, busy[group]))


def _start(
    plan: Plan,
    group: Group,
    finished: Sequence[Outcome],
    running: Sequence[Proposal],
    yardstick: Baseline,
    asked: Collection[Proposal],
) -> Iterator[Proposal]:
    """A group's first runs: settings where there are any to try, then what the rules prescribe."""
    if group == plan.question.baseline:
        return
    wanted = [plan.question.prescription(rule, group, yardstick.learning_rate) for rule in plan.question.rules]
    inside = [rate for rate in wanted if rate is not None]
    if not inside:
        where = expected_edge(plan.question, group, yardstick.learning_rate, {})
        inside = [plan.question.inside(2.0 ** (where.mean - 1.0))]
    if plan.draws:
        around = plan.question.inside(math.prod(inside) ** (1 / len(inside)))
        yield Proposal(group, around, 0, own_setting(plan, group))
        yield from draws(plan, group, around, asked)
        if any(run.group == group and run.seed == 0 for run in running):
            return  # what is measured depends on the best setting
        if not any(run.group == group and run.seed == 0 and run.counts for run in finished):
            return  # none of them came to an end
    for learning_rate in inside:
        yield Proposal(group, learning_rate, 1, chosen_setting(finished, group))
