"""How soon each technique reaches the score that still holds, at each batch size, and the critical batch size."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd
from rich import box
from rich.table import Table
from rich.text import Text

from analysis.answer import Answer
from analysis.critical_batch import OVERHEAD, CriticalBatch, critical_batch
from analysis.runs import StudyRuns
from analysis.time_to_target import Fastest, fastest, speed_ups


class TimeToTarget(NamedTuple):
    """How soon a technique reaches a score.

    Attributes:
        target: the score, A0 less the tolerance.
        points: the fastest rate at each batch size, by size.
        speed_ups: for each point, how many times fewer steps it takes than the baseline's batch size; none where that
            never reaches the target.
        critical: the critical batch size, where it can be said.
        noise: what the gradient noise measured in its runs predicts for it, in samples; None where none was measured.
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
    points = fastest(runs.frame, runs.curves, metric, target)
    known = {}
    for technique in found.laws:
        mine = [point for point in points if point.group.technique == technique]
        base = [point for point in mine if point.group.batch_size == runs.design.baseline.batch_size]
        if not mine:
            continue
        faster = speed_ups(mine, base[0]) if base and math.isfinite(base[0].reached.steps) else []
        noise = runs.frame[runs.frame["technique"] == technique].get("noise_scale", pd.Series(dtype=float)).dropna()
        known[technique] = TimeToTarget(
            target, mine, faster, critical_batch(mine), float(noise.median()) if len(noise) else None
        )
    return known


def time_sentences(runs: StudyRuns, known: dict[str, TimeToTarget]) -> list[str]:
    """The critical batch size of each technique, in a sentence."""
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
            "step_speed_up": each.speed_ups[at] if each.speed_ups else math.nan,
        }
        for technique, each in known.items()
        for at, point in enumerate(each.points)
    ]
    return pd.DataFrame(rows)


def time_table(technique: str, known: TimeToTarget, shown: str) -> Table:
    """The fastest rate of a technique at each batch size, and what it takes."""
    table = Table(
        title=f"\n{technique}: soonest to {shown}",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 2, 0, 0),
        pad_edge=False,
    )
    for heading in ("batch\nsize", "at rate", "epochs", "steps", "samples", "seconds", "fewer\nsteps"):
        table.add_column(heading, justify="left" if heading == "at rate" else "right", no_wrap=True)
    for at, point in enumerate(known.points):
        table.add_row(*map(Text, _cells(point, known.speed_ups[at : at + 1])))
    return table


def _cells(point: Fastest, faster: Sequence[float]) -> list[str]:
    reached = point.reached
    if math.isinf(reached.epochs):
        return [str(point.group.batch_size), f"{point.learning_rate:.3g}", "never", "", "", "", ""]
    return [
        str(point.group.batch_size),
        f"{point.learning_rate:.3g}",
        f"{reached.epochs:.1f}",
        f"{reached.steps:,.0f}",
        f"{reached.samples:,.0f}",
        f"{reached.seconds:.1f}",
        f"{faster[0]:.1f}x" if faster else "",
    ]
