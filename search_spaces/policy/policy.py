"""The search policy: it tunes the baseline, and then narrows the interval of every edge.

The policy is a pure function of the finished and the running runs, and uses neither Ray nor torch. For each group it
searches for the learning rate, on a log2 axis, above which runs no longer hold.

1. Tune the baseline batch size with seed 0: three rates two octaves apart, then the neighbours of the best, two octaves
   and one octave away.
2. In every group, run the most cautious prescription of the rules. The first ones may start beside the last tuning
   runs, where these lie within an octave of the best so far.
3. From then on, make the run that is expected to tell most (edge_search): about the edge of its own group or, where it
   is a run of the baseline, about all edges that are undecided, because all are judged against A0. The edges of the
   other batch sizes say where an edge is to be looked for (analysis.expectation); the interval is read off the group's
   own curves. A run in flight is taken to end in the most likely way.
4. Where nothing seems to hold, run the neighbours of the best rate until it has some on both sides.

The search ends when every group is decided, or the runs are spent. Where a study searches further dimensions, each
group first tries settings of them with seed 0, and is then measured with the best of these.
"""

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

from analysis.edge import scalable
from analysis.expectation import expected_edge
from analysis.outcomes import Group, Outcome, chosen_setting
from analysis.verdict import Baseline, find_baseline
from search_spaces.policy.best_search import TUNING_OCTAVES, ladder, own_setting, sampled_runs, tuning_runs
from search_spaces.policy.edge_search import BASELINE_SHARE, SearchState, edge_runs
from search_spaces.policy.plan import NoProposal, Plan, Proposal, asked_so_far
from trainables.history import FAILED

TRIES = 2
"""A group's first run is made this often if it fails, each time with another seed."""


def propose(plan: Plan, finished: Sequence[Outcome], running: Sequence[Proposal]) -> Proposal | NoProposal:
    """The next run, given every run so far."""
    if len(finished) + len(running) < plan.max_runs:
        asked = set(asked_so_far(finished, running))
        for proposal in _candidates(plan, finished, running, asked):
            if proposal not in asked:
                return proposal
    return NoProposal.WAIT if running else NoProposal.OVER


def objection(plan: Plan, finished: Sequence[Outcome]) -> str | None:
    """Why the search cannot go on: nothing can be judged against A0, or the range excludes every prescription."""
    baseline = find_baseline(plan.design, finished)
    return nothing_to_judge(plan, finished) or _prescribes_nothing(plan, finished, baseline)


def nothing_to_judge(plan: Plan, finished: Sequence[Outcome]) -> str | None:
    """An objection if the baseline's own runs diverge or learn nothing, or a guess is within the tolerance of A0."""
    (technique, batch_size), baseline = plan.design.baseline, find_baseline(plan.design, finished)
    if baseline is None:
        return None
    if not baseline.untrained:
        return _guesses_hold(plan, baseline)
    name = f"baseline {technique} at batch size {batch_size}, learning rate"
    if not baseline.fit.trained:
        diverge = "its runs diverge, so nothing can be judged against it; it must train to the end"
        return f"{name} {baseline.learning_rate:g}: {diverge}"
    rates = [run.learning_rate for run in finished if run.group == plan.design.baseline]
    guess = "its runs end no better than a guess, so nothing can be judged against it; it must learn in its epochs"
    return f"{name} {min(rates):g} to {max(rates):g}: {guess}"


def _guesses_hold(plan: Plan, baseline: Baseline) -> str | None:
    """An objection if a guess may reach A0 - tolerance."""
    design = plan.design
    if baseline.score - design.tolerance > design.guess:
        return None
    return (
        f"tolerance {design.tolerance:g}: a guess, which scores up to {design.guess:g}, reaches A0 = "
        f"{baseline.score:.3g} less the tolerance, so every learning rate would hold; it must be smaller"
    )


def _prescribes_nothing(plan: Plan, finished: Sequence[Outcome], baseline: Baseline | None) -> str | None:
    """An objection if every prescription lies outside the range; otherwise None."""
    design = plan.design
    others = [group for group in design.groups if group.batch_size != design.baseline.batch_size]
    if baseline is None or not others or not design.rules or any(run.group != design.baseline for run in finished):
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
    baseline = find_baseline(design, finished)
    trains = baseline is not None and not baseline.untrained
    spent = sum(run.group == design.baseline for run in asked)
    used_up = spent + 1 > BASELINE_SHARE * plan.max_runs
    if plan.sampled_settings or not trains or not used_up:
        yield from tuning_runs(plan, finished, asked)
    if baseline is None and running and used_up:
        return  # of few runs, not all are asked for before the first has ended
    if baseline is None or baseline.untrained:
        yield from ladder(plan, (2 * TUNING_OCTAVES, -2 * TUNING_OCTAVES, 1.0, -1.0, 3.0, -3.0))
        return
    tuning = [run.learning_rate for run in running if run.group == design.baseline and run.seed == 0]
    if tuning and not _best_is_near(plan, finished, tuning, baseline):
        return
    if _guesses_hold(plan, baseline) or _prescribes_nothing(plan, finished, baseline):
        return
    if spent < plan.seeds and not tuning:
        best = design.baseline, baseline.learning_rate
        seeds = [run.seed for run in asked if (run.group, run.learning_rate) == best]
        yield Proposal(*best, 1 + max(seeds, default=0), baseline.setting)
    turns = _in_turn(plan, running)
    for group in turns:
        yield from _start(plan, group, finished, running, baseline, asked)
    if tuning:
        return  # where an edge lies depends on the A0 that tuning finds
    judged = {group: scalable(design, finished, group, baseline) for group in design.groups}
    state = SearchState(plan, finished, running, baseline, judged)
    begun = [
        group for group in turns if judged[group].fit.runs and not any(run.seed == 0 for run in state.in_flight(group))
    ]
    yield from edge_runs(state, begun)


def _best_is_near(plan: Plan, finished: Sequence[Outcome], tuning: Sequence[float], baseline: Baseline) -> bool:
    """Whether the best that tuning finds can be at most an octave from the best so far, and leaves a prescription.

    The first runs of other batch sizes can then start beside the last tuning runs.

    Args:
        tuning: the learning rates of the tuning runs in flight.
    """
    near = all(abs(math.log2(rate / baseline.learning_rate)) <= 1 + 1e-6 for rate in tuning)
    higher = replace(baseline, learning_rate=2 * baseline.learning_rate)
    return near and not plan.sampled_settings and _prescribes_nothing(plan, finished, higher) is None


def _in_turn(plan: Plan, running: Sequence[Proposal]) -> list[Group]:
    """The groups, those with the fewest runs in flight first, and equal ones in the plan's order."""
    busy = {group: sum(run.group == group for run in running) for group in plan.design.groups}
    return sorted(plan.design.groups, key=lambda group: busy[group])


def _start(
    plan: Plan,
    group: Group,
    finished: Sequence[Outcome],
    running: Sequence[Proposal],
    baseline: Baseline,
    asked: Collection[Proposal],
) -> Iterator[Proposal]:
    """A group's first runs: settings, where any are to be tried, and then the most cautious prescription of the rules.

    What the other rules prescribe is read off the curve; it is run where that tells most.
    """
    if group == plan.design.baseline:
        return
    wanted = [plan.design.prescription(rule, group, baseline.learning_rate) for rule in plan.design.rules]
    inside = sorted(rate for rate in wanted if rate is not None)
    if not inside:
        where = expected_edge(plan.design, group, baseline.learning_rate, {})
        inside = [plan.design.inside(2.0 ** (where.mean - 1.0))]
    mine = [run for run in asked if run.group == group]
    if plan.sampled_settings:
        around = plan.design.inside(math.prod(inside) ** (1 / len(inside)))
        if not mine:
            yield Proposal(group, around, 0, own_setting(plan, group))
        yield from sampled_runs(plan, group, around, asked)
        if any(run.group == group and run.seed == 0 for run in running):
            return  # the setting of runs that measure is not known yet
        if not any(run.group == group and run.seed == 0 and run.is_evidence for run in finished):
            return  # no run of seed 0 is evidence
    measuring = sum(run.seed > 0 for run in mine)
    failed = sum(run.group == group and run.status == FAILED and run.seed > 0 for run in finished)
    if measuring == failed < TRIES:
        yield Proposal(group, inside[0], 1 + failed, chosen_setting(finished, group))
