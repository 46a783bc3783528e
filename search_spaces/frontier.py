"""The search policy: probabilistic bisection of every edge.

A pure function of what has finished and what is running; it knows neither Ray nor torch. For each technique and batch
size the question is where, on the axis of log2 learning rate, runs stop holding.

1. Tune the baseline batch size with seed 0: three rates two octaves apart, then the neighbours of the best at half the
   distance. Run its other seeds at the best.
2. At every batch size, in ascending order, run what the rules prescribe.
3. Where a rate holds, or may, run the median of where the edge may lie: what the group's own runs say of it
   (analysis.edge) times where the other batch sizes' edges point. Near a rate that ran already, that rate runs again
   with another seed. Runs in flight split what is left between them.
4. Where nothing holds, look for that batch size's own best, and for the edge against that instead.

A group is done when its interval, which knows nothing of the other batch sizes, is within the resolution. Where a study
searches further dimensions, each group first tries settings of them with seed 0, and is measured with the best.
"""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from analysis.edge import (
    Belief,
    Judged,
    belief,
    competitive,
    likely,
    narrow,
    scalable,
    surrounded,
    unsupported,
    width,
)
from analysis.frontier import (
    Baseline,
    Group,
    Noise,
    Outcome,
    Point,
    Reference,
    Setting,
    Verdict,
    baseline,
    best,
    chosen_setting,
    margin,
    noise,
    points,
    with_run,
)
from search_spaces.expectation import Expectation, expected_edge
from search_spaces.plan import Answer, Plan, Proposal, asked_so_far

TUNING_OCTAVES = 2.0
"""Between the first tuning runs; halved until neighbours of the best are an octave away."""

OPTIMUM_OCTAVES = 1.0
"""Between the runs that look for a group's own best."""

SNAP = 0.25
"""A rate within this share of the resolution is run again rather than a new one beside it."""

A0_ERROR = 0.2
"""Share of the tolerance that the error of A0 should not exceed."""

SHARES = (0.5, 0.35, 0.65, 0.2, 0.8, 0.08, 0.92)
"""Of the belief that lie below the rates that are considered."""


def propose(plan: Plan, finished: Sequence[Outcome], running: Sequence[Proposal]) -> Proposal | Answer:
    """The next run, given every run so far."""
    if len(finished) + len(running) < plan.max_runs:
        asked = set(asked_so_far(finished, running))
        for proposal in _questions(plan, finished, running, asked):
            if proposal not in asked:
                return proposal
    return Answer.WAIT if running else Answer.OVER


def objection(plan: Plan, finished: Sequence[Outcome]) -> str | None:
    """Why nothing can be judged: the baseline diverges, or the range excludes all that the rules prescribe from it."""
    question = plan.question
    yardstick = baseline(finished, question.baseline)
    if yardstick is None:
        return None
    technique, batch_size = question.baseline
    name = f"{technique} at batch size {batch_size}, learning rate {yardstick.learning_rate:g}"
    if yardstick.diverged:
        return f"baseline {name}: its runs diverge, so nothing can be judged against it; it must train to the end"
    ratios = [
        ratio
        for rule in question.rules.values()
        for group, ratio in zip(question.groups, rule, strict=True)
        if group.batch_size != batch_size
    ]
    low, high = question.learning_rates
    if ratios and all(not low <= yardstick.learning_rate * ratio * (1 + 1e-6) <= high * (1 + 2e-6) for ratio in ratios):
        nearest = yardstick.learning_rate * min(ratios)
        return (
            f"learning rates {low:g} to {high:g}: exclude every prescription of the rules, the lowest of which is "
            f"{nearest:g} (from the baseline's best, {yardstick.learning_rate:g}); the range must hold at least that"
        )
    return None


@dataclass(frozen=True)
class _Scene:
    """Everything the questions of a group depend on, once the baseline's accuracy is known."""

    plan: Plan
    finished: Sequence[Outcome]
    running: Sequence[Proposal]
    yardstick: Baseline
    spread: Noise
    judged: Mapping[Group, Judged]

    def known(self, group: Group) -> list[Point]:
        return points(self.finished, group)

    def flying(self, group: Group) -> list[Proposal]:
        return [run for run in self.running if run.group == group]

    def expected(self, group: Group) -> Expectation:
        """Where the other groups' edges point."""
        views = {other: each.view for other, each in self.judged.items() if likely(each.chances) and other != group}
        return expected_edge(self.plan.question, group, self.yardstick.learning_rate, views)

    def measure(self, group: Group, learning_rate: float, seed: int = 1) -> Proposal:
        """A run that measures, with the setting the group chose."""
        return Proposal(group, learning_rate, seed, chosen_setting(self.finished, group))


def _questions(
    plan: Plan, finished: Sequence[Outcome], running: Sequence[Proposal], asked: Collection[Proposal]
) -> Iterator[Proposal]:
    """What to ask, most urgent first; some of it has been asked already."""
    question = plan.question
    yield from _tune(plan, finished, asked)
    yardstick = baseline(finished, question.baseline)
    if yardstick is None:
        yield from _ladder(plan, (2 * TUNING_OCTAVES, -2 * TUNING_OCTAVES, 1.0, -1.0, 3.0, -3.0))
        return
    if yardstick.diverged:
        return
    for seed in range(1, 1 + plan.seeds):
        yield Proposal(question.baseline, yardstick.learning_rate, seed, yardstick.setting)
    if any(run.group == question.baseline and run.seed == 0 for run in running) or objection(plan, finished):
        return  # what the rules prescribe depends on the best that tuning finds
    turns = list(_in_turn(plan, running, asked))
    if not yardstick.accuracies:
        for group in turns:
            yield from _start(plan, group, finished, running, yardstick, asked)
        return
    spread = noise(finished, yardstick, question.tolerance, question.validation_samples)
    judged = {
        group: scalable(question, points(finished, group), yardstick.reference, spread) for group in question.groups
    }
    scene = _Scene(plan, finished, running, yardstick, spread, judged)
    for seed in range(1, 1 + _seeds_behind_a0(plan, spread)):
        yield Proposal(question.baseline, yardstick.learning_rate, seed, yardstick.setting)
    for group in turns:
        yield from _start(plan, group, finished, running, yardstick, asked)
        yield from _search(scene, group)


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


def _tune(plan: Plan, finished: Sequence[Outcome], asked: Collection[Proposal]) -> Iterator[Proposal]:
    """The baseline's tuning runs, of seed 0: a ladder, a pattern search, settings, a pattern search with the best."""
    group = plan.question.baseline
    yield from _ladder(plan, (0.0, TUNING_OCTAVES, -TUNING_OCTAVES))
    tuning = [run for run in finished if run.group == group and run.seed == 0]
    own = _own(plan, group)
    yield from _pattern(plan, points([run for run in tuning if run.setting == own], group), own)
    top = best(points(tuning, group))
    if plan.draws and top is not None:
        yield from _draws(plan, group, top.learning_rate, asked)
        yield from _pattern(plan, points(tuning, group), chosen_setting(tuning, group))


def _ladder(plan: Plan, octaves: Sequence[float]) -> Iterator[Proposal]:
    """Tuning runs so many octaves from the first."""
    group = plan.question.baseline
    for distance in octaves:
        yield Proposal(group, plan.question.inside(plan.first * 2.0**distance), 0, _own(plan, group))


def _pattern(plan: Plan, known: Sequence[Point], setting: Setting) -> Iterator[Proposal]:
    """Tuning runs around the best, at ever smaller steps."""
    step = TUNING_OCTAVES
    while step >= 1.0:
        for learning_rate in _around_best(plan, known, step):
            yield Proposal(plan.question.baseline, learning_rate, 0, setting)
        step /= 2


def _draws(plan: Plan, group: Group, around: float, asked: Collection[Proposal]) -> Iterator[Proposal]:
    """Runs of seed 0 whose settings are to be drawn, up to an octave from a learning rate."""
    own = _own(plan, group)
    drawn = sum(run.group == group and run.seed == 0 and run.setting != own for run in asked)
    if drawn < plan.draws:
        yield Proposal(group, plan.question.inside(around * 2.0 ** (0, 1, -1)[drawn % 3]), 0, None)


def _own(plan: Plan, group: Group) -> Setting:
    return plan.own.get(group.technique, ())


def _around_best(plan: Plan, known: Sequence[Point], step: float) -> Iterator[float]:
    """The best point's neighbours so many octaves away, where nothing has run about there."""
    top = best(known)
    if top is None:
        return
    for octaves in (step, -step):
        neighbour = plan.question.inside(top.learning_rate * 2.0**octaves)
        if not any(abs(math.log2(neighbour / point.learning_rate)) < step / 2 - 1e-9 for point in known):
            yield neighbour


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
        yield Proposal(group, around, 0, _own(plan, group))
        yield from _draws(plan, group, around, asked)
        if any(run.group == group and run.seed == 0 for run in running):
            return  # what is measured depends on the best setting
    for learning_rate in inside:
        yield Proposal(group, learning_rate, 1, chosen_setting(finished, group))


def _search(scene: _Scene, group: Group) -> Iterator[Proposal]:
    """The next questions of a group that has begun."""
    question = scene.plan.question
    known, flying, found = scene.known(group), scene.flying(group), scene.judged[group]
    top = best(known)
    if top is None or any(run.seed == 0 for run in flying):
        return
    if likely(found.chances):
        if found.edge.flags == ("censored",):
            return
        if not narrow(found.view, question.resolution):
            yield from _split(scene, group, scene.yardstick.reference, found, scene.expected(group))
        for learning_rate in unsupported(found.view, found.chances):
            yield scene.measure(group, question.inside(learning_rate))
        if Verdict.HOLDS not in found.found.values():
            yield from _again(scene, group, top)
        return
    if margin(top, scene.yardstick.reference, question.tolerance, scene.spread).verdict is Verdict.UNDECIDED:
        yield from _again(scene, group, top)
    for learning_rate in _around_best(scene.plan, known, OPTIMUM_OCTAVES):
        yield scene.measure(group, learning_rate)
    if surrounded(known, question.learning_rates):
        own = competitive(question, known, scene.spread)
        if own is not None and not narrow(own.view, question.resolution):
            yield from _split(scene, group, Reference(top.accuracy, len(top.accuracies)), own, None)


def _split(
    scene: _Scene, group: Group, reference: Reference, found: Judged, expected: Expectation | None
) -> Iterator[Proposal]:
    """The run after which the interval is expected to be narrowest, runs in flight ending as is likely."""
    question, view, chances = scene.plan.question, found.view, found.chances
    mass = view.mass[:-1] * (expected.density(view.starts) if expected else 1.0)
    total = np.cumsum(mass) / mass.sum()

    def holds(learning_rate: float) -> float:
        """Probability that the edge lies above."""
        return 1.0 - float(np.interp(math.log2(learning_rate), view.starts, total))

    known = scene.known(group)
    breaks = 2 * sum(point.diverged > 0 for point in known) > sum(chance < 0.5 for chance in chances.values())

    def then(runs: list[Point], learning_rate: float, well: bool) -> list[Point]:
        """The points after a run that comes out well, or as those that fail do."""
        short = 0.0 if well else 5 * question.tolerance
        return with_run(runs, learning_rate, reference.accuracy - short, diverged=breaks and not well)

    for run in scene.flying(group):
        known = then(known, run.learning_rate, holds(run.learning_rate) > 0.5)

    def width_after(proposal: Proposal) -> float:
        """Expected width of the interval, octaves."""
        chance = holds(proposal.learning_rate)
        widths = []
        for well in (True, False):
            runs = then(known, proposal.learning_rate, well)
            widths.append(width(belief(runs, reference, question.tolerance, scene.spread, question.learning_rates)))
        return chance * widths[0] + (1 - chance) * widths[1]

    rates = [float(view.starts[np.searchsorted(total, share)]) for share in SHARES]
    candidates = {proposal for rate in rates for proposal in _at(scene, group, rate)}
    candidates.add(scene.measure(group, question.learning_rates[1]))
    yield from sorted(candidates, key=lambda proposal: (width_after(proposal), proposal))


def _at(scene: _Scene, group: Group, rate: float) -> Iterator[Proposal]:
    """A run at a log2 learning rate, or with another seed at one close by."""
    snap = SNAP * math.log2(scene.plan.question.resolution)
    known = scene.known(group)
    near = {run.learning_rate for run in (*known, *scene.flying(group))}
    distance = {each: abs(math.log2(each) - rate) for each in near if abs(math.log2(each) - rate) <= snap}
    for point in sorted(known, key=lambda point: distance.get(point.learning_rate, math.inf)):
        if point.learning_rate in distance and not point.futile:
            for again in _again(scene, group, point):
                yield again
                return
    if all(each > snap / 2 for each in distance.values()):
        yield scene.measure(group, scene.plan.question.inside(2.0**rate))


def _again(scene: _Scene, group: Group, point: Point) -> Iterator[Proposal]:
    """Another seed at a rate, where it has one left."""
    flying = [run.seed for run in scene.flying(group) if run.learning_rate == point.learning_rate]
    seeds = [*point.seeds, *flying]
    if len(seeds) < scene.plan.seeds_near_margin:
        yield scene.measure(group, point.learning_rate, max(seeds) + 1)
