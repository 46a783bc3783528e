"""The answer in numbers: each group's best, competitive and scalable learning rate, and verdicts on the rules."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import pandas as pd

from analysis.belief import Belief, Interval
from analysis.edge import Edge, Judged, bar_floor, bars, competitive, scalable, scalable_chances
from analysis.expectation import joint, neighbours
from analysis.fit import Fit
from analysis.group_fits import typical_best
from analysis.limits import what_limits
from analysis.outcomes import Group, Outcome, Point, Setting, chosen_setting, points_of
from analysis.scaling_law import PowerLaw, fit_power_law
from analysis.study_design import StudyDesign
from analysis.verdict import Baseline, Verdict, find_baseline, verdict
from trainables.history import DONE, OUT_OF_MEMORY
from trainables.score import Score


class Best(NamedTuple):
    """The learning rate at which a typical run of a group is best, of those that ran, and the score of such a run."""

    learning_rate: float
    score: float


class GroupAnswer(NamedTuple):
    """What was found in one group.

    Attributes:
        points: the group's points, one for each learning rate that ran.
        fit: the curves fitted to its runs.
        verdicts: the verdict on each learning rate, against A0.
        best: the best learning rate; None where no run of the group trained.
        competitive, scalable: the edges against the group's own best score and against A0.
        belief: where the scalable edge may lie.
        joint: the interval of the scalable edge when the edges of the other batch sizes are taken into account; None
            where there are none, or nothing may hold.
        limit: what limits the answer and what would settle it; "" where the group is decided.
        why: why the group does not scale, as why_it_stopped says; "" where it scales or where that is open.
        setting: the values of the study's further dimensions that the group was measured with.
        rules: for each rule, the learning rate that it prescribes, or None where that lies outside the range; and the
            verdict on it, read off the curves, or None where the group has no runs.
    """

    group: Group
    points: list[Point]
    fit: Fit
    verdicts: dict[float, Verdict]
    best: Best | None
    competitive: Edge
    scalable: Edge
    belief: Belief
    joint: Interval | None
    limit: str
    why: str
    rules: dict[str, tuple[float | None, Verdict | None]]
    setting: Setting

    @property
    def scales(self) -> bool:
        """Whether some learning rate holds, with 95 %, and either one of those that ran does or the edge is decided."""
        seen = self.scalable.held is not None or "undecided" not in self.scalable.flags
        return seen and bool(self.points) and verdict(1 - self.belief.none) is Verdict.HOLDS


class Answer(NamedTuple):
    """What a study found.

    Attributes:
        metric: the metric that runs were judged by.
        baseline: the baseline; None where no run of it has learnt anything, and then there are no groups either.
        laws: for each technique, the power law fitted to its scalable edges, or the reason why there is none.
        breaks: for each technique and rule, the smallest batch size from the baseline's on at which the rule's
            prescription fails; None where it fails at none.
    """

    metric: Score
    baseline: Baseline | None
    groups: list[GroupAnswer]
    laws: dict[str, PowerLaw | str]
    breaks: dict[tuple[str, str], int | None]

    @property
    def undecided(self) -> bool:
        """Whether more runs may change the answer of some group."""
        return any(each.limit for each in self.groups)

    def frame(self) -> pd.DataFrame:
        """A table with one row per group. Learning rates and results are numbers; a missing number is NaN."""
        return pd.DataFrame([_row(each, self.metric) for each in self.groups])


def answer(design: StudyDesign, outcomes: Sequence[Outcome]) -> Answer:
    """The answer of a study, computed from its runs alone."""
    baseline = find_baseline(design, outcomes)
    if baseline is None or baseline.untrained:
        return Answer(design.metric, None, [], {}, {})
    judged = {group: scalable(design, outcomes, group, baseline) for group in design.groups}
    groups = [_answer(design, outcomes, group, baseline, judged) for group in design.groups]
    laws: dict[str, PowerLaw | str] = {}
    breaks: dict[tuple[str, str], int | None] = {}
    for technique in dict.fromkeys(group.technique for group in design.groups):
        mine = [each for each in groups if each.group.technique == technique]
        laws[technique] = fit_power_law({each.group.batch_size: each.belief for each in mine if each.points})
        for rule in design.rules:
            failed = [each.group.batch_size for each in mine if each.rules[rule][1] is Verdict.FAILS]
            breaks[technique, rule] = min((size for size in failed if size >= design.baseline.batch_size), default=None)
    return Answer(design.metric, baseline, groups, laws, breaks)


def _answer(
    design: StudyDesign,
    outcomes: Sequence[Outcome],
    group: Group,
    baseline: Baseline,
    all_judged: Mapping[Group, Judged],
) -> GroupAnswer:
    points, judged = points_of(outcomes, group), all_judged[group]
    own = competitive(design, outcomes, group, baseline)
    bar, floor = bars(judged.fit, baseline, design.tolerance), bar_floor(design, baseline)
    rules: dict[str, tuple[float | None, Verdict | None]] = {}
    for rule in design.rules:
        rate = design.prescription(rule, group, baseline.learning_rate)
        chances = scalable_chances(judged.fit.curves, [rate], bar, floor) if rate is not None and points else {}
        rules[rule] = (rate, verdict(chances[rate]) if rate in chances else None)
    beliefs = {other: each.belief for other, each in all_judged.items() if each.fit.runs}
    expected = neighbours(design, group, baseline.learning_rate, beliefs)
    found = typical_best(judged.fit)
    why = why_it_stopped(design, outcomes, group, baseline, judged.edge)
    return GroupAnswer(
        group=group,
        points=points,
        fit=judged.fit,
        verdicts=judged.verdicts,
        best=_best(points, found[0], found[1] * design.tolerance) if found else None,
        competitive=own.edge if own else Edge(None, None, None, None, ("undecided",)),
        scalable=judged.edge,
        belief=judged.belief,
        joint=joint(judged.belief, expected).interval if expected and points else None,
        limit="" if why else what_limits(design, judged, baseline),
        why=why,
        rules=rules,
        setting=chosen_setting(outcomes, group),
    )


def _best(points: Sequence[Point], rate: float, score: float) -> Best:
    """The best of the points' learning rates, given its log2."""
    return Best(min((point.learning_rate for point in points), key=lambda each: abs(math.log2(each) - rate)), score)


def why_it_stopped(
    design: StudyDesign, outcomes: Sequence[Outcome], group: Group, baseline: Baseline, edge: Edge
) -> str:
    """Why a group does not scale, judged at its own best learning rate; empty where it scales or may scale.

    Returns:
        "diverged", "optimisation gap" (the training score falls short too), "generalisation gap" (only the
        validation score falls short), "out of memory", or "".
    """
    points = points_of(outcomes, group)
    if not points:
        return "out of memory" if any(run.group == group and run.status == OUT_OF_MEMORY for run in outcomes) else ""
    if "none" not in edge.flags:
        return ""
    trained = [run for run in outcomes if run.group == group and run.status == DONE]
    if not trained:
        return "diverged"
    rate = max(trained, key=lambda run: run.score).learning_rate
    there = [run.train_score for run in trained if run.learning_rate == rate]
    short = sum(there) / len(there) < baseline.train_score - design.tolerance
    return "optimisation gap" if short else "generalisation gap"


def _row(group_answer: GroupAnswer, metric: Score) -> dict[str, object]:
    row: dict[str, object] = {
        "technique": group_answer.group.technique,
        "batch_size": group_answer.group.batch_size,
        **dict(group_answer.setting),
        "runs": sum(len(point.scores) for point in group_answer.points),
        "best_learning_rate": group_answer.best.learning_rate if group_answer.best else None,
        f"best_{metric.name}": metric.value(group_answer.best.score) if group_answer.best else None,
    }
    for name, edge in (("competitive", group_answer.competitive), ("scalable", group_answer.scalable)):
        row |= {
            f"{name}_lower": edge.lower,
            f"{name}_upper": edge.upper,
            f"{name}_held": edge.held,
            f"{name}_failed": edge.failed,
            f"{name}_flags": " ".join(edge.flags),
        }
    safe, joint_interval = group_answer.scalable.safe, group_answer.joint
    row |= {f"safe_{end}": safe[at] if safe else None for at, end in enumerate(("lower", "upper"))}
    row["failed_below"], row["runs_below"] = group_answer.scalable.failed_below
    row |= {f"joint_{end}": joint_interval[at] if joint_interval else None for at, end in enumerate(("lower", "upper"))}
    row["limit"] = group_answer.limit
    row["why_it_stopped"] = group_answer.why
    for rule, (rate, of_rule) in group_answer.rules.items():
        row |= {f"{rule}_learning_rate": rate, f"{rule}_verdict": of_rule.value if of_rule else ""}
    return row
