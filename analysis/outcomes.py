"""Outcomes: how runs ended; and points: all runs of a group at one learning rate, taken together.

A run's score is what its task's metric makes of it: the accuracy, or minus the loss where perplexity is judged. More is
better.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from trainables.history import DIVERGED, DONE, STOPPED_EARLY


class Group(NamedTuple):
    """Runs that may be compared with each other."""

    technique: str
    batch_size: int


Setting = tuple[tuple[str, float], ...]
"""Values of what a study searches besides the learning rate, by name; empty where it searches nothing else."""


class Outcome(NamedTuple):
    """How one run ended.

    Attributes:
        group: its technique and batch size.
        learning_rate: the peak, after scaling.
        seed: 0 where the run looked for the best setting or rate, from 1 where it measured.
        status: one of trainables.history.STATUSES.
        score, train_score: of the last epoch.
        setting: of the study's further dimensions.
    """

    group: Group
    learning_rate: float
    seed: int
    status: str
    score: float
    train_score: float
    setting: Setting = ()

    @property
    def is_evidence(self) -> bool:
        """Whether the run says something about its learning rate: it ran to its end, diverged, or was given up."""
        return self.status in (DONE, DIVERGED) or self.futile

    @property
    def futile(self) -> bool:
        """Whether the run was given up because it could not reach the baseline any more.

        Runs of seed 0 are stopped for being behind each other, which is no such verdict.
        """
        return self.status == STOPPED_EARLY and self.seed != 0


class Point(NamedTuple):
    """All runs of a group at one learning rate.

    Attributes:
        scores: of the runs that are evidence.
        seeds: of the same.
        diverged, futile: how many of them diverged, and how many were given up.
        train_score: their mean.
    """

    learning_rate: float
    scores: tuple[float, ...]
    seeds: tuple[int, ...]
    diverged: int
    futile: int
    train_score: float

    @property
    def score(self) -> float:
        return sum(self.scores) / len(self.scores)

    @property
    def broken(self) -> bool:
        """Whether a run there diverged or was given up."""
        return self.diverged + self.futile > 0


def chosen_setting(outcomes: Iterable[Outcome], group: Group) -> Setting:
    """The setting a group is measured with: that of the best of its runs of seed 0."""
    tried = [run for run in outcomes if run.group == group and run.seed == 0 and run.is_evidence]
    return max(tried, key=lambda run: run.score).setting if tried else ()


def points_of(outcomes: Iterable[Outcome], group: Group) -> list[Point]:
    """A group's points in ascending order of the learning rate, made of the runs that have the chosen setting."""
    mine = [run for run in outcomes if run.group == group and run.is_evidence]
    setting = chosen_setting(mine, group)
    runs: dict[float, list[Outcome]] = defaultdict(list)
    for run in mine:
        if run.setting == setting or not setting:
            runs[run.learning_rate].append(run)
    return [_point(learning_rate, runs[learning_rate]) for learning_rate in sorted(runs)]


def _point(learning_rate: float, runs: Sequence[Outcome]) -> Point:
    return Point(
        learning_rate,
        tuple(run.score for run in runs),
        tuple(run.seed for run in runs),
        sum(run.status == DIVERGED for run in runs),
        sum(run.futile for run in runs),
        sum(run.train_score for run in runs) / len(runs),
    )


def with_run(points: Sequence[Point], learning_rate: float, score: float, diverged: bool) -> list[Point]:
    """The points with one more run."""
    others = [point for point in points if point.learning_rate != learning_rate]
    there = next((point for point in points if point.learning_rate == learning_rate), None)
    old = there or Point(learning_rate, (), (), 0, 0, score)
    new = old._replace(
        scores=(*old.scores, score),
        seeds=(*old.seeds, max(old.seeds, default=0) + 1),
        diverged=old.diverged + diverged,
    )
    return sorted([*others, new], key=lambda point: point.learning_rate)


def best(points: Sequence[Point]) -> Point | None:
    """The point of the highest mean score; of equal ones, that of the lowest learning rate."""
    return max(points, key=lambda point: point.score, default=None)


def leading(points: Sequence[Point], guess: float) -> Point | None:
    """The point around which a search for the best goes on: the best point that has learnt something.

    Where no point is better than a guess, their order is luck. Then the point of the lowest rate leads, because rates
    that are too high for any training are left by going lower.

    Args:
        guess: the highest score that a guess may reach by luck.
    """
    trained = [point for point in points if point.score > guess]
    return best(trained) if trained else min(points, key=lambda point: point.learning_rate, default=None)


def unbroken(points: Sequence[Point]) -> list[Point]:
    """The points at which every run ran to its end."""
    return [point for point in points if not point.broken]


def same_rate(one: float, other: float) -> bool:
    """Whether two learning rates are the same up to rounding."""
    return math.isclose(one, other, rel_tol=1e-6)
