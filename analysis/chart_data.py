"""What the charts of the page and of the picture draw, as tables of numbers."""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from analysis.answer import Answer, GroupAnswer
from analysis.edge import Edge
from analysis.looks import TOLERANCES_BELOW
from analysis.outcomes import Group, Outcome
from analysis.runs import StudyRuns
from analysis.scaling_law import PowerLaw
from analysis.study_design import StudyDesign
from analysis.tables import scores
from trainables.history import DIVERGED

CURVE_POINTS = 60
APART = 1.12
"""The intervals of two techniques at a batch size stand this factor apart."""
LEARNING_ROWS, FEWEST_EPOCHS = 4000, 4
"""About so many points of learning curves are drawn in all, but so many of each run at the least, so that the page
stays small."""


class ChartData(NamedTuple):
    """One table for each kind of mark; every row has the technique and the batch size that it belongs to.

    Attributes:
        points: a run: learning_rate, seed, score, its verdict, how it ended, and its score in words.
        edges: an interval of the maximum scalable learning rate: lower, upper, flags, whether it is open above, and
            where it stands beside other techniques'.
        competitive: likewise, of the maximum competitive learning rate.
        nowhere: a batch size at which nothing holds: learning_rate, the range's lower end, why, and where it stands.
        rules: what a rule prescribes: rule, learning_rate.
        laws: the fitted law: learning_rate, and the ends of its band, low and high.
        fitted: the score of a typical run: learning_rate, score.
        learning: a run after an epoch: learning_rate, seed, epoch, score.
        scores: the ends of the score axis.
    """

    points: pd.DataFrame
    edges: pd.DataFrame
    competitive: pd.DataFrame
    nowhere: pd.DataFrame
    rules: pd.DataFrame
    laws: pd.DataFrame
    fitted: pd.DataFrame
    learning: pd.DataFrame
    scores: tuple[float, float]

    @property
    def over_batch_sizes(self) -> list[pd.DataFrame]:
        """The tables of marks at batch sizes that have rows."""
        return [frame for frame in (self.rules, self.edges, self.competitive, self.nowhere) if len(frame)]


def chart_data(runs: StudyRuns, found: Answer) -> ChartData:
    """The tables of a study whose baseline has learnt something; of runs that are evidence, with the chosen setting."""
    assert found.baseline is not None
    design, a0 = runs.design, found.baseline.score
    by_group = {each.group: each for each in found.groups}
    shown = [
        (run_id, run)
        for run_id, run in zip(runs.frame["run_id"], runs.outcomes(), strict=True)
        if run.is_evidence and (run.setting == by_group[run.group].setting or not by_group[run.group].setting)
    ]
    lowest = a0 - TOLERANCES_BELOW * design.tolerance
    highest = max([a0, *(run.score for _, run in shown)])
    ends = (lowest - design.tolerance / 2, highest + design.tolerance / 2)
    low, high = sorted(design.metric.value(score) for score in ends)
    techniques = list(found.laws)
    edges = [row for each in found.groups for row in _edge(design, techniques, each.group, each.scalable)]
    competitive = [row for each in found.groups for row in _edge(design, techniques, each.group, each.competitive)]
    return ChartData(
        points=pd.DataFrame([_point(design, by_group[run.group], run, lowest) for _, run in shown]),
        edges=pd.DataFrame(edges),
        competitive=pd.DataFrame(competitive),
        nowhere=pd.DataFrame([row for each in found.groups for row in _nowhere(design, techniques, each)]),
        rules=pd.DataFrame(
            [row for each in found.groups for row in _rules(design, found.baseline.learning_rate, each)]
        ),
        laws=pd.DataFrame([row for technique in found.laws for row in _law(found, technique, edges)]),
        fitted=pd.DataFrame([row for each in found.groups for row in _fitted(design, each, lowest)]),
        learning=pd.DataFrame(
            [row for run_id, run in shown for row in _learning(design, run, runs.curves[run_id], len(shown))]
        ),
        scores=(low, high),
    )


Row = dict[str, Any]


def _group(group: Group) -> Row:
    return {"technique": group.technique, "batch_size": group.batch_size}


def _point(design: StudyDesign, each: GroupAnswer, run: Outcome, lowest: float) -> Row:
    return {
        **_group(run.group),
        "learning_rate": run.learning_rate,
        "seed": run.seed,
        "score": design.metric.value(max(run.score, lowest)),
        "verdict": each.verdicts[run.learning_rate].value,
        "how": "diverged" if run.status == DIVERGED else "given up" if run.futile else "trained",
        "shown": design.metric.show(run.score),
    }


def _beside(techniques: list[str], group: Group) -> float:
    """Where a group's edge stands on the axis of batch sizes."""
    return group.batch_size * APART ** (techniques.index(group.technique) - (len(techniques) - 1) / 2)


def _edge(design: StudyDesign, techniques: list[str], group: Group, edge: Edge) -> list[Row]:
    if edge.lower is None:
        return []
    upper, flags = edge.upper or design.learning_rates[1], ", ".join(edge.flags) or "decided"
    ends = {"lower": edge.lower, "upper": upper, "open": edge.upper is None}
    return [{**_group(group), "at": _beside(techniques, group), **ends, "flags": flags}]


def _nowhere(design: StudyDesign, techniques: list[str], each: GroupAnswer) -> list[Row]:
    if "none" not in each.scalable.flags:
        return []
    at, lowest = _beside(techniques, each.group), design.learning_rates[0]
    return [{**_group(each.group), "at": at, "learning_rate": lowest, "why": each.why}]


def _rules(design: StudyDesign, base: float, each: GroupAnswer) -> list[Row]:
    at = design.groups.index(each.group)
    return [
        {**_group(each.group), "rule": rule.replace("_", " "), "learning_rate": base * ratios[at]}
        for rule, ratios in design.rules.items()
    ]


def _law(found: Answer, technique: str, edges: list[Row]) -> list[Row]:
    law, sizes = found.laws[technique], [row["batch_size"] for row in edges if row["technique"] == technique]
    if not isinstance(law, PowerLaw) or not sizes:
        return []
    at = np.geomspace(min(sizes), max(sizes), CURVE_POINTS)
    rates = law.factor * at**law.exponent
    names = ("batch_size", "learning_rate", "low", "high")
    columns = zip(at.tolist(), rates.tolist(), *(end.tolist() for end in law.band(at)), strict=True)
    return [{"technique": technique, **dict(zip(names, row, strict=True))} for row in columns]


def _fitted(design: StudyDesign, each: GroupAnswer, lowest: float) -> list[Row]:
    if not each.points or not each.best:
        return []
    rates = np.geomspace(each.points[0].learning_rate, each.points[-1].learning_rate, CURVE_POINTS)
    typical = np.median(each.fit.curves.typical(np.log2(rates), 0.0), axis=0) * design.tolerance
    return [
        {**_group(each.group), "learning_rate": rate, "score": design.metric.value(max(score, lowest))}
        for rate, score in zip(rates.tolist(), typical.tolist(), strict=True)
    ]


def _learning(design: StudyDesign, run: Outcome, curve: pd.DataFrame, runs: int) -> list[Row]:
    """The learning curve of a run, of which as many epochs are left out as the number of runs takes."""
    step = max(1, len(curve) // max(FEWEST_EPOCHS, LEARNING_ROWS // runs))
    some = sorted({*range(0, len(curve), step), len(curve) - 1}) if len(curve) else []
    own = {**_group(run.group), "learning_rate": run.learning_rate, "seed": run.seed}
    after = list(zip(curve.index.tolist(), scores(curve, design.metric), strict=True))
    return [{**own, "epoch": after[at][0], "score": round(design.metric.value(after[at][1]), 5)} for at in some]
