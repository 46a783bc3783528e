"""How long runs take to reach a score, in epochs, optimizer steps, samples and seconds."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from analysis.curves import plateau
from analysis.outcomes import Group
from analysis.tables import scores
from trainables.history import FAILED, OUT_OF_MEMORY
from trainables.score import Score


class Reached(NamedTuple):
    """What a run had spent when it first reached a score: all inf where it never did.

    Attributes:
        epochs, steps, samples: of training; between two epochs, where a straight line between their scores meets it.
        seconds: of training, without evaluation.
    """

    epochs: float
    steps: float
    samples: float
    seconds: float


NEVER = Reached(math.inf, math.inf, math.inf, math.inf)
SPENT = ("steps", "samples", "train_seconds")
"""The columns of a learning curve that say what a run had spent after each epoch."""


def time_to_score(curve: pd.DataFrame, metric: Score, target: float) -> Reached:
    """What a run had spent when its score first was at least the target.

    Args:
        curve: one row per epoch, the epoch as its index, with what the run reported, as analysis.runs gives it.
        metric: what the run is judged by.
        target: the score.
    """
    after = np.array(scores(curve, metric))
    above = np.flatnonzero(after >= target)
    if not len(above):
        return NEVER
    at = int(above[0])
    spent = np.column_stack([curve.index.to_numpy(float), *(curve[name].to_numpy(float) for name in SPENT)])
    if at == 0:  # a run begins with a score that nobody measured, so the whole first epoch is counted
        return Reached(*map(float, spent[0]))
    share = (target - after[at - 1]) / (after[at] - after[at - 1])
    return Reached(*map(float, spent[at - 1] + share * (spent[at] - spent[at - 1])))


class Measured(NamedTuple):
    """The samples that a run took to a target.

    Attributes:
        log: their natural logarithm; where the run never reached the target, that of all samples that it saw.
        known: "exactly", "at most" where it did in its first epoch, or "more" where it never did.
    """

    log: float
    known: str = "exactly"


class Fastest(NamedTuple):
    """The rate of a group at which a target is reached soonest.

    Attributes:
        group: the technique and the batch size.
        learning_rate: the rate: of those at which most runs reach the target, the one that takes the fewest samples.
        reached: means over the runs at that rate that reached the target; all inf where none did.
        plateau: the mean epoch at which these runs come within 0.01 of their own best score; see curves.plateau.
        runs: the samples of each run at that rate.
    """

    group: Group
    learning_rate: float
    reached: Reached
    plateau: float
    runs: tuple[Measured, ...]


def fastest(frame: pd.DataFrame, curves: Mapping[str, pd.DataFrame], metric: Score, target: float) -> list[Fastest]:
    """For every group that has runs, the rate at which it reaches the target soonest, by technique and batch size.

    Args:
        frame: the runs, as analysis.runs gives them; those that failed or ran out of memory say nothing.
        curves: for each run_id, what the run reported after each epoch.
    """
    told = [_told(curves.get(run_id)) for run_id in frame["run_id"]]
    runs = frame[pd.Series(told, index=frame.index, dtype=bool) & ~frame["status"].isin((FAILED, OUT_OF_MEMORY))]
    found = []
    for (technique, batch_size), mine in runs.groupby(["technique", "batch_size"], sort=False):
        group = Group(str(technique), int(batch_size))
        rates = [
            _at_rate(group, float(rate), [curves[run_id] for run_id in of_rate["run_id"]], metric, target)
            for rate, of_rate in mine.groupby("learning_rate")
        ]
        found.append(min(rates, key=_lateness))
    return sorted(found, key=lambda each: (each.group.technique, each.group.batch_size))


def _at_rate(group: Group, rate: float, curves: list[pd.DataFrame], metric: Score, target: float) -> Fastest:
    reached = [time_to_score(curve, metric, target) for curve in curves]
    those = [each for each in reached if math.isfinite(each.samples)]
    means = Reached(*(float(np.mean(values)) for values in zip(*those, strict=True))) if those else NEVER
    plateaus = float(np.mean([curve.index[plateau(scores(curve, metric)) - 1] for curve in curves]))
    runs = tuple(_measured(each, curve) for each, curve in zip(reached, curves, strict=True))
    return Fastest(group, rate, means, plateaus, runs)


def _measured(reached: Reached, curve: pd.DataFrame) -> Measured:
    if math.isinf(reached.samples):
        return Measured(math.log(float(curve["samples"].iloc[-1])), "more")
    return Measured(math.log(reached.samples), "exactly" if reached.epochs > curve.index[0] else "at most")


def _lateness(each: Fastest) -> tuple[float, float]:
    missed = sum(run.known == "more" for run in each.runs) / len(each.runs)
    return missed, float(np.mean([run.log for run in each.runs]))


def _told(curve: pd.DataFrame | None) -> bool:
    return curve is not None and len(curve) > 0 and all(name in curve and curve[name].notna().all() for name in SPENT)


def speed_ups(points: Sequence[Fastest], baseline: Fastest) -> list[float]:
    """How many times fewer optimizer steps each takes than the baseline's; 0 where it never reaches the target."""
    return [
        baseline.reached.steps / each.reached.steps if math.isfinite(each.reached.steps) else 0.0 for each in points
    ]
