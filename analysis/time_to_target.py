"""How long runs take to reach a score, in epochs, optimizer steps, samples and seconds."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from analysis.curves import plateau
from analysis.outcomes import Group
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
    scores = np.array([metric.score_of(row) for row in curve.to_dict("records")])
    above = np.flatnonzero(scores >= target)
    if not len(above):
        return NEVER
    at = int(above[0])
    epochs = curve.index.to_numpy(float)
    spent = np.column_stack([epochs, *(curve[name].to_numpy(float) for name in SPENT)])
    if at == 0:  # a run begins with a score that nobody measured, so the whole first epoch is counted
        return Reached(*map(float, spent[0]))
    share = (target - scores[at - 1]) / (scores[at] - scores[at - 1])
    return Reached(*map(float, spent[at - 1] + share * (spent[at] - spent[at - 1])))


def time_to_plateau(curve: pd.DataFrame, metric: Score) -> Reached:
    """What a run had spent at the end of the first epoch within 0.01 of its own best score; see curves.plateau."""
    at = plateau([metric.score_of(row) for row in curve.to_dict("records")]) - 1
    return Reached(float(curve.index[at]), *(float(curve[name].iloc[at]) for name in SPENT))


class Fastest(NamedTuple):
    """The rate of a group at which a target is reached with the fewest samples, on average over its runs.

    Attributes:
        group: the technique and the batch size.
        learning_rate: the rate, of those that ran.
        reached: means over the runs at that rate; all inf where one of them never reached the target.
        runs: how many runs that rate has.
        logs: the natural logarithms of these runs' samples, inf where one never reached the target.
        most: the natural logarithm of the samples that a run of the group sees in all.
    """

    group: Group
    learning_rate: float
    reached: Reached
    runs: int
    logs: tuple[float, ...]
    most: float


def fastest(frame: pd.DataFrame, curves: Mapping[str, pd.DataFrame], metric: Score, target: float) -> list[Fastest]:
    """For every group that has runs, the rate at which it reaches the target soonest, by batch size and technique.

    Runs with other settings than most of their group's are left out.

    Args:
        frame: the runs, as analysis.runs gives them.
        curves: for each run_id, what the run reported after each epoch.
    """
    found = []
    for (technique, batch_size), mine in frame.groupby(["technique", "batch_size"], sort=False):
        usual = mine["setting"].mode().iloc[0] if len(mine) else ()
        mine = mine[[setting == usual for setting in mine["setting"]]]
        whole = [run_id for run_id in mine["run_id"] if _told(curves.get(run_id))]
        if not whole:
            continue
        most = math.log(max(float(curves[run_id]["samples"].iloc[-1]) for run_id in whole))
        rates = []
        for rate, runs in mine[mine["run_id"].isin(whole)].groupby("learning_rate"):
            reached = [time_to_score(curves[run_id], metric, target) for run_id in runs["run_id"]]
            rates.append((float(np.mean([math.log(each.samples) for each in reached])), float(rate), reached))
        _, rate, reached = min(rates, key=lambda each: each[:2])
        means = Reached(*(float(np.mean(values)) for values in zip(*reached, strict=True)))
        logs = tuple(math.log(each.samples) for each in reached)
        found.append(Fastest(Group(str(technique), int(batch_size)), rate, means, len(reached), logs, most))
    return sorted(found, key=lambda each: (each.group.technique, each.group.batch_size))


def _told(curve: pd.DataFrame | None) -> bool:
    return curve is not None and len(curve) > 0 and all(name in curve and curve[name].notna().all() for name in SPENT)


def speed_ups(of_technique: Sequence[Fastest], baseline: Fastest) -> list[float]:
    """How many times fewer optimizer steps each takes than the baseline's; 0 where it never reaches the target."""
    return [
        baseline.reached.steps / each.reached.steps if math.isfinite(each.reached.steps) else 0.0
        for each in of_technique
    ]
