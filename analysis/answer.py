"""The answer in numbers: each group's best, competitive and scalable learning rate, and what the rules did."""

from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd

from analysis.edge import Edge, competitive, scalable
from analysis.frontier import (
    Baseline,
    Group,
    Noise,
    Outcome,
    Point,
    Setting,
    Verdict,
    baseline,
    best,
    chosen_setting,
    noise,
    points,
    why_it_stopped,
)
from analysis.question import Question
from analysis.scaling_law import PowerLaw, fit_power_law
from trainables.metric import Metric


class GroupAnswer(NamedTuple):
    """What was found in one group.

    Attributes:
        known: its points.
        found: the verdict on each learning rate, against A0.
        best: the point of the highest score; None where no run has ended.
        competitive, scalable: the edges against its own best score and against A0.
        why: why it does not scale, or "".
        setting: of the study's further dimensions, that it was measured with.
        rules: by rule, the prescribed learning rate and its verdict; None where outside the range or not run.
    """

    group: Group
    known: list[Point]
    found: dict[float, Verdict]
    best: Point | None
    competitive: Edge
    scalable: Edge
    why: str
    rules: dict[str, tuple[float | None, Verdict | None]]
    setting: Setting


class Answer(NamedTuple):
    """What a study found.

    Attributes:
        metric: what runs were judged by.
        yardstick: None where the baseline's seeds have not run; then there are no groups either.
        laws: by technique, the power law through its scalable edges, or why there is none.
        breaks: by technique and rule, the lowest batch size at which the rule's prescription fails, or None.
    """

    metric: Metric
    yardstick: Baseline | None
    noise: Noise | None
    groups: list[GroupAnswer]
    laws: dict[str, PowerLaw | str]
    breaks: dict[tuple[str, str], int | None]

    def frame(self) -> pd.DataFrame:
        """One row per group; learning rates and results as numbers, NaN where there is none."""
        return pd.DataFrame([_row(answer, self.metric) for answer in self.groups])


def answer(question: Question, outcomes: Sequence[Outcome]) -> Answer:
    """Everything the report says, from the runs alone."""
    yardstick = baseline(outcomes, question.baseline)
    if yardstick is None or not yardstick.scores:
        return Answer(question.metric, None, None, [], {}, {})
    spread = noise(outcomes, yardstick, question.tolerance, question.floor)
    groups = [_answer(question, outcomes, group, yardstick, spread) for group in question.groups]
    laws: dict[str, PowerLaw | str] = {}
    breaks: dict[tuple[str, str], int | None] = {}
    for technique in dict.fromkeys(group.technique for group in question.groups):
        mine = [found for found in groups if found.group.technique == technique]
        laws[technique] = fit_power_law({found.group.batch_size: found.scalable for found in mine})
        for rule in question.rules:
            failed = [found.group.batch_size for found in mine if found.rules[rule][1] is Verdict.FAILS]
            breaks[technique, rule] = min(failed, default=None)
    return Answer(question.metric, yardstick, spread, groups, laws, breaks)


def _answer(
    question: Question, outcomes: Sequence[Outcome], group: Group, yardstick: Baseline, spread: Noise
) -> GroupAnswer:
    known = points(outcomes, group)
    found, _, _, scalable_edge = scalable(question, known, yardstick.reference, spread)
    own = competitive(question, known, spread)
    rules: dict[str, tuple[float | None, Verdict | None]] = {}
    for rule in question.rules:
        prescribed = question.prescription(rule, group, yardstick.learning_rate)
        rules[rule] = (prescribed, found.get(prescribed) if prescribed is not None else None)
    why = why_it_stopped(outcomes, group, yardstick, question.tolerance, spread)
    return GroupAnswer(
        group=group,
        known=known,
        found=found,
        best=best(known),
        competitive=own.edge if own else Edge(None, None, None, None, ("undecided",)),
        scalable=scalable_edge,
        why=why if "none" in scalable_edge.flags or not known else "",
        rules=rules,
        setting=chosen_setting(outcomes, group),
    )


def _row(found: GroupAnswer, metric: Metric) -> dict[str, object]:
    row: dict[str, object] = {
        "technique": found.group.technique,
        "batch_size": found.group.batch_size,
        **dict(found.setting),
        "runs": sum(len(point.scores) for point in found.known),
        "best_learning_rate": found.best.learning_rate if found.best else None,
        f"best_{metric.name}": metric.value(found.best.score) if found.best else None,
    }
    for name, interval in (("competitive", found.competitive), ("scalable", found.scalable)):
        row |= {
            f"{name}_lower": interval.lower,
            f"{name}_upper": interval.upper,
            f"{name}_held": interval.held,
            f"{name}_failed": interval.failed,
            f"{name}_flags": " ".join(interval.flags),
        }
    row["why_it_stopped"] = found.why
    for rule, (rate, verdict) in found.rules.items():
        row |= {f"{rule}_learning_rate": rate, f"{rule}_verdict": verdict.value if verdict else ""}
    return row
