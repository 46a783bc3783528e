"""The answer of a study in three sentences: how far the learning rate scales, by which law, and how sure that is."""

import numpy as np
import pandas as pd

from analysis.answer import Answer, GroupAnswer
from analysis.scaling_law import PowerLaw
from analysis.study_design import StudyDesign

LINEAR, ROOT = 1.0, 0.5


def headline(design: StudyDesign, found: Answer, frame: pd.DataFrame) -> list[str]:
    """Three sentences on a study whose baseline has learnt something.

    Args:
        design: what was compared.
        found: the answer.
        frame: the runs, as analysis.runs gives them.
    """
    return [_how_far(design, found), _law(found), _how_sure(found, frame)]


def _how_far(design: StudyDesign, found: Answer) -> str:
    """How far the first technique scales up, and which other one scales farther."""
    first, *others = found.laws
    scaling = {technique: _largest(design, found, technique) for technique in found.laws}
    largest = scaling[first]
    smallest = min((each.batch_size for each in design.groups), default=0)
    if design.baseline.batch_size == max(each.batch_size for each in design.groups) > smallest:
        below = [
            each.group.batch_size
            for each in found.groups
            if each.group.technique == first and each.scales and each.group.batch_size < design.baseline.batch_size
        ]
        said = f"With {first}, the learning rate scales down from batch size {design.baseline.batch_size:,}"
        said += f" to {min(below):,}" if below else ", as far as is known, to no other"
    elif largest is None:
        said = f"With {first}, no batch size above the baseline's {design.baseline.batch_size:,} is known to scale"
    else:
        at = {each.group.batch_size: each for each in found.groups if each.group.technique == first}
        start, end = at[design.baseline.batch_size], at[largest]
        said = f"With {first}, the learning rate scales up to batch size {largest:,}"
        if start.scalable.finite and end.scalable.finite:
            low, high = (_median(each) for each in (start, end))
            said += (
                f", where it may be as high as {high:.2g} ({end.scalable.lower:.2g} to {end.scalable.upper:.2g}), "
                f"{high / low:.2g} times as high as at {design.baseline.batch_size:,}"
            )
    stops = [each for each in _above(design, found, first) if each.why and not each.scales]
    if stops:
        said += f"; at {stops[0].group.batch_size:,} it does not ({stops[0].why})"
    farther = [name for name in others if (scaling[name] or 0) > (largest or design.baseline.batch_size)]
    if farther:
        best = max(farther, key=lambda name: scaling[name] or 0)
        said += f"; {best} scales to {scaling[best]:,}"
    return f"{said}."


def _median(each: GroupAnswer) -> float:
    """Where a group's edge most likely lies."""
    edges = each.belief.edges
    return float(2.0 ** np.median(edges[np.isfinite(edges)]))


def _above(design: StudyDesign, found: Answer, technique: str) -> list[GroupAnswer]:
    return [
        each
        for each in found.groups
        if each.group.technique == technique and each.group.batch_size > design.baseline.batch_size
    ]


def _largest(design: StudyDesign, found: Answer, technique: str) -> int | None:
    return max((each.group.batch_size for each in _above(design, found, technique) if each.scales), default=None)


def _law(found: Answer) -> str:
    """The law of the first technique that has one, against the linear and the square-root rule."""
    for technique, law in found.laws.items():
        if isinstance(law, PowerLaw):
            rules = [
                name
                for name, exponent in (("the linear rule's 1", LINEAR), ("the square-root rule's 0.5", ROOT))
                if law.lower <= exponent <= law.upper
            ]
            agrees = (
                f", which agrees with {' and with '.join(rules)}"
                if rules
                else ", which excludes the linear rule's 1 and the square-root rule's 0.5"
            )
            return (
                f"The maximum scalable learning rate of {technique} grows as the batch size to the power "
                f"{law.exponent:.2f} (90 % interval {law.lower:.2f} to {law.upper:.2f}){agrees}."
            )
    reason = str(next(iter(found.laws.values()))).removeprefix("no exponent: ")
    return f"There is no exponent yet: {reason}."


def _how_sure(found: Answer, frame: pd.DataFrame) -> str:
    """How many runs it took, and what is undecided."""
    runs, seconds = len(frame), frame["train_seconds"].sum()
    cost = f"{runs} runs, {seconds / 60:.0f} minutes of training" if seconds >= 60 else f"{runs} runs"
    unsettled = [each for each in found.groups if each.limit]
    if not unsettled:
        return f"It took {cost}, and decided every batch size."
    listed = ", ".join(f"{each.group.technique} at {each.group.batch_size:,}" for each in unsettled)
    return f"It took {cost}, and left open {listed}; more runs (--max-runs) would settle what is open."
