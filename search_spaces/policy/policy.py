"""The search policy: it tunes the baseline, and then narrows the interval of every edge.

The policy is a pure function of the finished and the running runs, and uses neither Ray nor torch. For each group it
searches for the learning rate, on a log2 axis, above which runs no longer hold.

1. Tune the baseline batch size with seed 0: three rates two octaves apart, then the neighbours of the best at half the
   distance. Run the other seeds at the best rate, and more of them where their scores vary much compared with the
   tolerance.
2. In every group, run what the rules prescribe. The group with the fewest runs in flight comes first.
3. Where a rate holds, or may hold, make the run after which the group's interval is expected to be narrowest
   (edge_search). This uses the belief from the group's own runs (analysis.belief), multiplied by the expectation from
   the edges of the other batch sizes (expectation). Another seed at a rate that ran is a candidate like any other. A
   run in flight is taken to end in the more likely way.
4. Where nothing holds, search for the group's own best score, and for the edge against that score instead of A0.

A group is done when its interval, which uses only its own runs, is within the resolution. Where a study searches
further dimensions, each group first tries settings of them with seed 0, and is then measured with the best of these.
"""

import math
from collections.abc import Collection, Iterator, Sequence

from analysis.edge import scalable
from analysis.outcomes import Group, Outcome, chosen_setting, points_of
from analysis.verdict import Baseline, Spread, find_baseline, standard
from search_spaces.policy.best_search import TUNING_OCTAVES, ladder, own_setting, sampled_runs, tuning_runs
from search_spaces.policy.edge_search import SearchState, search_edge
from search_spaces.policy.expectation import expected_edge
from search_spaces.policy.plan import NoProposal, Plan, Proposal, asked_so_far
from trainables.history import FAILED

REPLACEMENT = 100
"""This is added to the seed of a run that failed, to try the run once more with another seed."""

A0_ERROR = 0.2
"""The error of A0 should not exceed this share of the tolerance."""


def propose(plan: Plan, finished: Sequence[Outcome], running: Sequence[Proposal]) -> Proposal | NoProposal:
    """The next run, given every run so far."""
    if len(finished) + len(running) < plan.max_runs:
        asked = set(asked_so_far(finished, running))
        failed = {asked_so_far([run], [])[0] for run in finished if run.status == FAILED and run.seed > 0}
        for proposal in _candidates(plan, finished, running, asked):
            fresh = proposal._replace(seed=proposal.seed + REPLACEMENT) if proposal in failed else proposal
            if fresh not in asked:
                return fresh
    return NoProposal.WAIT if running else NoProposal.OVER


def objection(plan: Plan, finished: Sequence[Outcome]) -> str | None:
    """Why the search cannot go on: the baseline diverges, or the range excludes every prescription; None if it can."""
    return baseline_diverges(plan, finished) or _prescribes_nothing(plan, finished)


def baseline_diverges(plan: Plan, finished: Sequence[Outcome]) -> str | None:
    """An objection if the baseline's own runs diverge, so that nothing can be judged against it; otherwise None."""
    (technique, batch_size), baseline = plan.design.baseline, find_baseline(finished, plan.design.baseline)
    if baseline is None or not baseline.diverged:
        return None
    name = f"{technique} at batch size {batch_size}, learning rate {baseline.learning_rate:g}"
    return f"baseline {name}: its runs diverge, so nothing can be judged against it; it must train to the end"


def _prescribes_nothing(plan: Plan, finished: Sequence[Outcome]) -> str | None:
    """An objection if every prescription lies outside the range; otherwise None."""
    design, baseline = plan.design, find_baseline(finished, plan.design.baseline)
    others = [group for group in design.groups if group.batch_size != design.baseline.batch_size]
    if baseline is None or not others or not design.rules:
        return None
    wanted = [(rule, group) for rule in design.rules for group in others]
    if any(design.prescription(*each, baseline.learning_rate) is not None for each in wanted):
        return None
    low, high = design.learning_rates
    nearest = baseline.learning_rate * min(design.rules[rule][design.groups.index(group)] for rule, group in wanted)
    return (
        f"learning rates {low:g} to {high:g}: exclude every prescription of the rules, the lowest of which is "
        f"{nearest:g} (from the baseline's best, {baseline.learning_rate:g}); the range must hold at least that"
    )


def _candidates(
    plan: Plan, finished: Sequence[Outcome], running: Sequence[Proposal], asked: Collection[Proposal]
) -> Iterator[Proposal]:
    """The runs to make, most urgent first; some of them have been asked for already."""
    design = plan.design
    yield from tuning_runs(plan, finished, asked)
    baseline = find_baseline(finished, design.baseline)
    if baseline is None:
        yield from ladder(plan, (2 * TUNING_OCTAVES, -2 * TUNING_OCTAVES, 1.0, -1.0, 3.0, -3.0))
        return
    if baseline.diverged:
        return
    for seed in range(1, 1 + plan.seeds):
        yield Proposal(design.baseline, baseline.learning_rate, seed, baseline.setting)
    if any(run.group == design.baseline and run.seed == 0 for run in running) or objection(plan, finished):
        return  # what the rules prescribe depends on the best that tuning finds
    turns = list(_in_turn(plan, running, asked))
    against = standard(design, finished)
    if against is None:
        for group in turns:
            yield from _start(plan, group, finished, running, baseline, asked)
        return
    judged = {group: scalable(design, points_of(finished, group), against) for group in design.groups}
    state = SearchState(plan, finished, running, against, judged)
    for seed in range(1, 1 + _seeds_behind_a0(plan, against.spread)):
        yield Proposal(design.baseline, baseline.learning_rate, seed, baseline.setting)
    for group in turns:
        yield from _start(plan, group, finished, running, baseline, asked)
        yield from search_edge(state, group)


def _seeds_behind_a0(plan: Plan, spread: Spread) -> int:
    """How many baseline runs make the error of A0 small compared with the tolerance. Every group profits from it."""
    wanted = math.ceil((spread.deviation / (A0_ERROR * plan.design.tolerance)) ** 2)
    return min(wanted, 2 * plan.seeds, max(plan.seeds, plan.max_runs // 8))


def _in_turn(plan: Plan, running: Sequence[Proposal], asked: Collection[Proposal]) -> Iterator[Group]:
    """The groups in turn: those with the fewest runs in flight come first, and equal ones in the plan's order.

    A group that has had its share of the runs comes after all groups that have not.
    """
    groups, base = plan.design.groups, plan.design.baseline
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
    baseline: Baseline,
    asked: Collection[Proposal],
) -> Iterator[Proposal]:
    """A group's first runs: settings, where any are to be tried, and then what the rules prescribe."""
    if group == plan.design.baseline:
        return
    wanted = [plan.design.prescription(rule, group, baseline.learning_rate) for rule in plan.design.rules]
    inside = [rate for rate in wanted if rate is not None]
    if not inside:
        where = expected_edge(plan.design, group, baseline.learning_rate, {})
        inside = [plan.design.inside(2.0 ** (where.mean - 1.0))]
    if plan.sampled_settings:
        around = plan.design.inside(math.prod(inside) ** (1 / len(inside)))
        yield Proposal(group, around, 0, own_setting(plan, group))
        yield from sampled_runs(plan, group, around, asked)
        if any(run.group == group and run.seed == 0 for run in running):
            return  # the setting of runs that measure is not known yet
        if not any(run.group == group and run.seed == 0 and run.is_evidence for run in finished):
            return  # no run of seed 0 is evidence
    for learning_rate in inside:
        yield Proposal(group, learning_rate, 1, chosen_setting(finished, group))
