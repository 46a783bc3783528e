"""How soon each technique reaches the score that still holds, at each batch size, and the critical batch size."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd
from rich import box
from rich.table import Table
from rich.text import Text

from analysis.answer import Answer
from analysis.critical_batch import OVERHEAD, CriticalBatch, at_overhead, critical_batch
from analysis.runs import StudyRuns
from analysis.time_to_target import Fastest, Reached, fastest, speed_ups


class TimeToTarget(NamedTuple):
    """How soon a technique reaches a score.

    Attributes:
        target: the score, A0 less the tolerance.
        points: the fastest rate at each batch size, by size.
        speed_ups: for each point, how many times fewer steps it takes than the baseline's batch size; none where that
            never reaches the target.
        critical: the critical batch size, where it can be said.
        noise: what the gradient noise that was measured in the runs at the fastest rates predicts for it, in samples;
            None where none was measured.
    """

    target: float
    points: list[Fastest]
    speed_ups: list[float]
    critical: CriticalBatch | None
    noise: float | None


def times(runs: StudyRuns, found: Answer) -> dict[str, TimeToTarget]:
    """By technique, how soon it reaches the score that still holds; only techniques whose curves were kept."""
    assert found.baseline is not None
    metric, target = runs.design.metric, found.baseline.score - runs.design.tolerance
    settings = {each.group: each.setting for each in found.groups}
    chosen = [each.setting == own or not own for each in runs.outcomes() for own in [settings.get(each.group, ())]]
    frame = runs.frame[pd.Series(chosen, index=runs.frame.index, dtype=bool)]
    points = fastest(frame, runs.curves, metric, target)
    known = {}
    for technique in found.laws:
        mine = [point for point in points if point.group.technique == technique]
        base = [point for point in mine if point.group.batch_size == runs.design.baseline.batch_size]
        if not mine:
            continue
        faster = speed_ups(mine, base[0]) if base and math.isfinite(base[0].reached.steps) else []
        of_technique = frame[frame["technique"] == technique]
        grows = (of_technique["last_batch_size"].fillna(of_technique["batch_size"]) != of_technique["batch_size"]).any()
        critical = None if grows else critical_batch(mine)
        known[technique] = TimeToTarget(target, mine, faster, critical, _predicted(of_technique, mine))
    return known


def _predicted(frame: pd.DataFrame, points: list[Fastest]) -> float | None:
    """The critical batch size that the gradient noise of the runs at the fastest rates predicts."""
    rates = {(point.group.batch_size, point.learning_rate) for point in points}
    at_them = [pair in rates for pair in zip(frame["batch_size"], frame["learning_rate"], strict=True)]
    noise = frame[at_them].get("noise_scale", pd.Series(dtype=float)).dropna()
    return float(at_overhead(points[0].group.batch_size, noise.median())) if len(noise) else None


def time_sentences(runs: StudyRuns, known: dict[str, TimeToTarget]) -> list[str]:
    """The critical batch size of each technique, in a sentence.

    At equal steps or seconds a larger batch has more samples to spend, and its decay comes later; how many it takes
    says nothing then.
    """
    if runs.held_equal != "epochs":
        return []
    lines = []
    for technique, each in known.items():
        found = each.critical
        if found is None:
            continue
        shown = runs.design.metric.show(each.target)
        interval = f"{found.lower:,.0f} to {found.upper:,.0f}" if found.upper else f"at least {found.lower:,.0f}"
        noise = f"; its gradient noise predicts {each.noise:,.0f} samples" if each.noise is not None else ""
        lines.append(
            f"{technique}: the largest batch that reaches {shown} with at most {OVERHEAD:.0%} more samples than "
            f"batch size {found.smallest} is about {found.median:,.0f} (90 % interval {interval}){noise}."
        )
    return lines


def time_frame(known: dict[str, TimeToTarget]) -> pd.DataFrame:
    """One row per technique and batch size: the fastest rate, and what it takes to the target; inf where never."""
    rows = [
        {
            "technique": technique,
            "batch_size": point.group.batch_size,
            "learning_rate": point.learning_rate,
            **point.reached._asdict(),
            "plateau_epoch": point.plateau,
            "step_speed_up": each.speed_ups[at] if each.speed_ups else math.nan,
        }
        for technique, each in known.items()
        for at, point in enumerate(each.points)
    ]
    names = ["technique", "batch_size", "learning_rate", *Reached._fields, "plateau_epoch", "step_speed_up"]
    return pd.DataFrame(rows, columns=names)


def time_table(technique: str, known: TimeToTarget, shown: str) -> Table:
    """The fastest rate of a technique at each batch size, and what it takes."""
    table = Table(
        title=f"\n{technique}: soonest to {shown}",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 2, 0, 0),
        pad_edge=False,
    )
    for heading in ("batch\nsize", "at rate", "epochs", "steps", "samples", "seconds", "fewer\nsteps", "own\nplateau"):
        table.add_column(heading, justify="left" if heading == "at rate" else "right", no_wrap=True)
    for at, point in enumerate(known.points):
        table.add_row(*map(Text, _cells(point, known.speed_ups[at : at + 1])))
    return table


def _cells(point: Fastest, faster: Sequence[float]) -> list[str]:
    reached = point.reached
    rate, spent = "-", ["never", "", "", "", ""]
    if math.isfinite(reached.epochs):
        rate = f"{point.learning_rate:.3g}"
        spent = [
            f"{reached.epochs:.1f}",
            f"{reached.steps:,.0f}",
            f"{reached.samples:,.0f}",
            f"{reached.seconds:.1f}",
            f"{faster[0]:.1f}x" if faster else "",
        ]
    return [str(point.group.batch_size), rate, *spent, f"{point.plateau:.1f}"]
