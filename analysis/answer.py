"""The answer in numbers: each group's best, competitive and scalable learning rate, and verdicts on the rules."""

from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd

from analysis.edge import Edge, competitive, scalable
from analysis.outcomes import Group, Outcome, Point, Setting, best, chosen_setting, points_of
from analysis.scaling_law import PowerLaw, fit_power_law
from analysis.study_design import StudyDesign
from analysis.verdict import Baseline, Spread, Standard, Verdict, margin, standard, verdicts
from trainables.history import OUT_OF_MEMORY
from trainables.score import Score


class GroupAnswer(NamedTuple):
    """What was found in one group.

    Attributes:
        points: the group's points, one for each learning rate that ran.
        verdicts: the verdict on each learning rate, against A0.
        best: the point with the highest score; None where the group has no point.
        competitive, scalable: the edges against the group's own best score and against A0.
        why: why the group does not scale, as why_it_stopped says; "" where it scales or where that is open.
        setting: the values of the study's further dimensions that the group was measured with.
        rules: for each rule, the learning rate that it prescribes, or None where that lies outside the range; and the
            verdict on it, or None where it has not run.
    """

    group: Group
    points: list[Point]
    verdicts: dict[float, Verdict]
    best: Point | None
    competitive: Edge
    scalable: Edge
    why: str
    rules: dict[str, tuple[float | None, Verdict | None]]
    setting: Setting


class Answer(NamedTuple):
    """What a study found.

    Attributes:
        metric: the metric that runs were judged by.
        baseline: the baseline; None where its seeds have not run, and then there are no groups either.
        spread: the variation of one run between seeds; None where there is no baseline.
        laws: for each technique, the power law fitted to its scalable edges, or the reason why there is none.
        breaks: for each technique and rule, the smallest batch size at which the rule's prescription fails; None
            where it fails at none.
    """

    metric: Score
    baseline: Baseline | None
    spread: Spread | None
    groups: list[GroupAnswer]
    laws: dict[str, PowerLaw | str]
    breaks: dict[tuple[str, str], int | None]

    def frame(self) -> pd.DataFrame:
        """A table with one row per group. Learning rates and results are numbers; a missing number is NaN."""
        return pd.DataFrame([_row(each, self.metric) for each in self.groups])


def answer(design: StudyDesign, outcomes: Sequence[Outcome]) -> Answer:
    """The answer of a study, computed from its runs alone."""
    against = standard(design, outcomes)
    if against is None:
        return Answer(design.metric, None, None, [], {}, {})
    groups = [_answer(design, outcomes, group, against) for group in design.groups]
    laws: dict[str, PowerLaw | str] = {}
    breaks: dict[tuple[str, str], int | None] = {}
    for technique in dict.fromkeys(group.technique for group in design.groups):
        mine = [each for each in groups if each.group.technique == technique]
        laws[technique] = fit_power_law({each.group.batch_size: each.scalable for each in mine})
        for rule in design.rules:
            failed = [each.group.batch_size for each in mine if each.rules[rule][1] is Verdict.FAILS]
            breaks[technique, rule] = min(failed, default=None)
    return Answer(design.metric, *against, groups, laws, breaks)


def _answer(design: StudyDesign, outcomes: Sequence[Outcome], group: Group, against: Standard) -> GroupAnswer:
    points = points_of(outcomes, group)
    judged = scalable(design, points, against)
    own = competitive(design, points, against.spread)
    rules: dict[str, tuple[float | None, Verdict | None]] = {}
    for rule in design.rules:
        prescribed = design.prescription(rule, group, against.baseline.learning_rate)
        rules[rule] = (prescribed, judged.verdicts.get(prescribed) if prescribed is not None else None)
    why = why_it_stopped(outcomes, group, against, design.tolerance)
    return GroupAnswer(
        group=group,
        points=points,
        verdicts=judged.verdicts,
        best=best(points),
        competitive=own.edge if own else Edge(None, None, None, None, ("undecided",)),
        scalable=judged.edge,
        why=why if "none" in judged.edge.flags or not points else "",
        rules=rules,
        setting=chosen_setting(outcomes, group),
    )


def why_it_stopped(outcomes: Sequence[Outcome], group: Group, against: Standard, tolerance: float) -> str:
    """Why a group does not scale, judged at its own best learning rate; empty where it scales or may scale.

    Returns:
        "diverged", "optimisation gap" (the training score falls short too), "generalisation gap" (only the
        validation score falls short), "out of memory", or "".
    """
    baseline, spread = against
    runs = [run for run in outcomes if run.group == group]
    points = points_of(runs, group)
    top = best(points)
    if top is None:
        return "out of memory" if any(run.status == OUT_OF_MEMORY for run in runs) else ""
    if Verdict.HOLDS in verdicts(points, baseline.reference, tolerance, spread).values():
        return ""
    if margin(top, baseline.reference, tolerance, spread).verdict is not Verdict.FAILS:
        return ""
    if top.diverged:
        return "diverged"
    short = top.train_score < baseline.train_score - tolerance
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
    row["why_it_stopped"] = group_answer.why
    for rule, (rate, verdict) in group_answer.rules.items():
        row |= {f"{rule}_learning_rate": rate, f"{rule}_verdict": verdict.value if verdict else ""}
    return row
