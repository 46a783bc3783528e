"""Uplift: how far a technique moves the edge against the study's first one, and what it costs.

A search gives an edge that is hard to find more runs than another. So that no technique seems better for that, they are
also compared from as many runs of each.
"""

import math
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd

from analysis.answer import Answer, GroupAnswer
from analysis.edge import other_order, times_as_high
from analysis.outcomes import Group, Outcome
from analysis.study_design import StudyDesign
from trainables.history import DONE


class Uplift(NamedTuple):
    """A technique at a batch size, against the study's first technique at the same one.

    Attributes:
        technique, batch_size: of what is compared.
        factor: how many times as high its maximum scalable learning rate is: the median, None where one of the two
            edges has no interval with both ends.
        lower, upper: the ends of the factor's 90 % interval, None likewise.
        higher: the probability that its edge is the higher one; an edge above the range is higher than any in it, and
            where nothing holds it is lower.
        score: by how much its best score is above the first technique's; None where one of the two has none.
        cost: how many times as long it trains, for each sample; nan where one of the two trained no run to its end.
    """

    technique: str
    batch_size: int
    factor: float | None
    lower: float | None
    upper: float | None
    higher: float
    score: float | None
    cost: float


def as_many_of_each(design: StudyDesign, outcomes: Sequence[Outcome]) -> list[Outcome]:
    """The runs without those that one technique has more of than another at the same batch size, the last ones.

    At the baseline's batch size all are kept, because A0 is read off its runs; so are those of a batch size at which a
    technique has none, and nothing can be compared.
    """
    evidence = [run for run in outcomes if run.is_evidence]
    had = Counter(run.group for run in evidence)
    fewest = {
        size: min(had[group] for group in design.groups if group.batch_size == size)
        for size in {group.batch_size for group in design.groups} - {design.baseline.batch_size}
    }
    kept: list[Outcome] = []
    so_far: Counter[Group] = Counter()
    for run in evidence:
        so_far[run.group] += 1
        most = fewest.get(run.group.batch_size, 0)
        if most == 0 or so_far[run.group] <= most:
            kept.append(run)
    return kept


def uplifts(found: Answer, frame: pd.DataFrame) -> list[Uplift]:
    """Every technique but the first, at every batch size where both have runs.

    Args:
        found: the answer of a study.
        frame: its runs, as analysis.runs gives them.
    """
    first = found.groups[0].group.technique if found.groups else ""
    of_first = {each.group.batch_size: each for each in found.groups if each.group.technique == first and each.points}
    return [
        _uplift(each, of_first[each.group.batch_size], found, frame)
        for each in found.groups
        if each.group.technique != first and each.points and each.group.batch_size in of_first
    ]


def _uplift(each: GroupAnswer, first: GroupAnswer, found: Answer, frame: pd.DataFrame) -> Uplift:
    assert found.baseline is not None
    edges, others = each.belief.edges, first.belief.edges
    if first.fit == found.baseline.fit:  # its curves have their own A0s; those of other groups have them in this order
        others = others[other_order(len(others))]
    higher = float((edges > others).mean() + (edges == others).mean() / 2)
    factors: Sequence[float | None] = (None, None, None)
    if each.scalable.finite and first.scalable.finite:
        factors = times_as_high(edges, others)
    lower, factor, upper = factors
    score = each.best.score - first.best.score if each.best and first.best else None
    group = each.group
    return Uplift(group.technique, group.batch_size, factor, lower, upper, higher, score, _cost(each, first, frame))


def _cost(each: GroupAnswer, first: GroupAnswer, frame: pd.DataFrame) -> float:
    """The ratio of the median seconds per sample."""
    done = frame[frame["status"] == DONE]
    seconds = [
        (mine["train_seconds"] / mine["samples"]).median()
        for technique, size in (each.group, first.group)
        if len(mine := done[(done["technique"] == technique) & (done["batch_size"] == size)])
    ]
    return float(seconds[0] / seconds[1]) if len(seconds) == 2 else math.nan
