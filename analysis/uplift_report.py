"""Techniques against the first one, in sentences."""

import math

from analysis.answer import Answer, answer
from analysis.runs import StudyRuns
from analysis.uplift import as_many_of_each, uplifts
from analysis.verdict import SURE


def comparisons(runs: StudyRuns, found: Answer) -> list[str]:
    """How far each technique moves the edge and the best score against the first, and what it costs, in sentences."""
    first, metric = runs.design.groups[0].technique, runs.design.metric
    lines = []
    for each in uplifts(found, runs.frame):
        said = []
        if each.factor is not None:
            interval = f"[{each.lower:.2g}, {each.upper:.2g}]"
            said.append(f"its edge is {each.factor:.2g} {interval} times as high (higher with {each.higher:.0%})")
        elif abs(each.higher - 0.5) >= SURE - 0.5:
            said.append(f"its edge is {'higher' if each.higher > 0.5 else 'lower'}")
        if each.score is not None:
            better = "better" if each.score > 0 else "worse"
            said.append(
                f"its best {metric.name.replace('_', ' ')} {metric.show_difference(round(abs(each.score), 3))} {better}"
            )
        if not math.isnan(each.cost):
            said.append(f"a sample takes {each.cost:.2g} times as long")
        if said:
            lines.append(f"{each.technique} against {first} at batch size {each.batch_size}: {', '.join(said)}.")
    return [*lines, *_at_equal_effort(runs, found)]


def _at_equal_effort(runs: StudyRuns, found: Answer) -> list[str]:
    """The same from as many runs of each technique, where the search gave some more than others, in sentences."""
    outcomes, design = runs.outcomes(), runs.design
    fewer = as_many_of_each(design, outcomes)
    first, *others = found.laws
    if not others or len(fewer) == sum(run.is_evidence for run in outcomes):
        return []
    again = answer(design, fewer)
    lines = []
    for each in uplifts(again, runs.frame):
        if each.batch_size == design.baseline.batch_size:
            continue
        told = "at least one of the two edges is open"
        if each.factor is not None:
            told = f"its edge is {each.factor:.2g} [{each.lower:.2g}, {each.upper:.2g}] times as high"
        lines.append(
            f"{each.technique} against {first} at batch size {each.batch_size}, from as many runs of each: {told}."
        )
    largest = [f"{technique} {_largest(again, technique)}" for technique in again.laws]
    return [*lines, f"Largest scalable batch size, from as many runs of each: {', '.join(largest)}."]


def _largest(found: Answer, technique: str) -> int | str:
    """The largest batch size that scales with a technique."""
    scaling = [each.group.batch_size for each in found.groups if each.group.technique == technique and each.scales]
    return max(scaling, default="none")
