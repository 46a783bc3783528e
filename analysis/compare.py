"""Two studies side by side: their edges at every batch size, how far these differ, and their laws."""

from typing import NamedTuple

import pandas as pd

from analysis.answer import Answer, GroupAnswer
from analysis.edge import other_order, times_as_high
from analysis.outcomes import Group
from analysis.runs import StudyRuns
from analysis.scaling_law import PowerLaw
from trainables.errors import require


class Side(NamedTuple):
    """One of the two studies, with its answer."""

    runs: StudyRuns
    found: Answer


def compared(first: Side, second: Side) -> pd.DataFrame:
    """One row per technique and batch size that either study has, in the order of their batch sizes.

    A row has, for each study, the best rate, the score there, and the ends of the maximum scalable learning rate; and
    how many times as high the second study's is as the first's, with its 90 % interval, where both are known.

    Raises:
        UserError: the studies are judged by different metrics.
    """
    metrics = [side.runs.design.metric.name for side in (first, second)]
    require(
        metrics[0] == metrics[1],
        f"studies {first.runs.name} and {second.runs.name}: are judged by {metrics[0]} and {metrics[1]}, and cannot be "
        "compared; choose two of the same metric",
    )
    groups = [{each.group: each for each in side.found.groups} for side in (first, second)]
    order = sorted({*groups[0], *groups[1]}, key=lambda group: (group.technique, group.batch_size))
    return pd.DataFrame([_row(group, groups[0].get(group), groups[1].get(group)) for group in order])


def _row(group: Group, first: GroupAnswer | None, second: GroupAnswer | None) -> dict[str, object]:
    row: dict[str, object] = {"technique": group.technique, "batch_size": group.batch_size}
    for name, each in (("first", first), ("second", second)):
        best = each.best if each else None
        row |= {
            f"{name}_best_learning_rate": best.learning_rate if best else None,
            f"{name}_best_score": best.score if best else None,
            f"{name}_lower": each.scalable.lower if each else None,
            f"{name}_upper": each.scalable.upper if each else None,
            f"{name}_flags": ", ".join(each.scalable.flags) if each else "not in this study",
        }
    ends: tuple[float | None, ...] = (None, None, None)
    if first and second and first.scalable.finite and second.scalable.finite:
        ones, others = first.belief.edges, second.belief.edges
        ones = ones[other_order(len(ones))]  # the two studies' draws have nothing to do with each other
        ends = times_as_high(others, ones)
    return {**row, "factor": ends[1], "factor_lower": ends[0], "factor_upper": ends[2]}


def _steps_sentences(first: Side, second: Side) -> list[str]:
    """What is held equal where that differs, and where an optimisation gap at equal epochs comes from too few steps.

    It does only where equal steps recover it, in a study that is the same otherwise.
    """
    sides = {side.runs.held_equal: side for side in (first, second)}
    if len(sides) < 2:
        return []
    one, other = first.runs, second.runs
    lines = [f"{one.name} gave every batch size equal {one.held_equal}, {other.name} equal {other.held_equal}."]
    same = [
        (runs.params.get("task"), runs.substitute, runs.design.tolerance, runs.design.baseline) for runs in (one, other)
    ]
    if set(sides) != {"epochs", "steps"} or same[0] != same[1]:
        return lines
    equal_steps = {each.group: each for each in sides["steps"].found.groups}
    for each in sides["epochs"].found.groups:
        again = equal_steps.get(each.group)
        if each.why != "optimisation gap" or again is None or not (again.scales or again.why):
            continue
        name = f"{each.group.technique} at {each.group.batch_size}"
        lines.append(
            f"{name} has too few steps at equal epochs: at equal steps it scales."
            if again.scales
            else f"{name} does not scale at equal steps either ({again.why})."
        )
    return lines


def difference_sentences(first: Side, second: Side, rows: pd.DataFrame) -> list[str]:
    """How the two studies' edges and laws differ, in sentences."""
    names = (first.runs.name, second.runs.name)
    tolerances = [side.runs.design.metric.show_difference(side.runs.design.tolerance) for side in (first, second)]
    lines = []
    if tolerances[0] != tolerances[1]:
        lines.append(
            f"Their tolerances differ, {tolerances[0]} and {tolerances[1]}, so their edges mean different things."
        )
    lines += _steps_sentences(first, second)
    known = rows[rows["factor"].notna()]
    apart = known[(known["factor_lower"] > 1) | (known["factor_upper"] < 1)]
    if len(known):
        where = ", ".join(f"{row.technique} at {row.batch_size}" for row in apart.itertuples())
        lines.append(
            f"{len(known)} edges are known in both; {len(apart)} differ" + (f", those of {where}." if where else ".")
        )
    for technique in dict.fromkeys([*first.found.laws, *second.found.laws]):
        laws = [side.found.laws.get(technique) for side in (first, second)]
        said = [
            f"{law.exponent:.2f} [{law.lower:.2f}, {law.upper:.2f}] in {name}"
            for law, name in zip(laws, names, strict=True)
            if isinstance(law, PowerLaw)
        ]
        if said:
            lines.append(f"{technique}: the exponent is {' and '.join(said)}.")
    return lines
