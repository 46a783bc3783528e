"""Outcomes and points: how each run ended, and all runs of a group at one learning rate, taken together.

The metric of the task gives each run its score: for example the accuracy, or minus the loss where the metric is
perplexity. A higher score is better.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from trainables.history import DIVERGED, DONE, STOPPED_EARLY


class Group(NamedTuple):
    """A technique at a batch size. Runs of one group may be compared with each other."""

    technique: str
    batch_size: int


Setting = tuple[tuple[str, float], ...]
"""The values of a study's further dimensions, by name; empty where it searches only the learning rate."""


class Outcome(NamedTuple):
    """How one run ended.

    Attributes:
        group: the run's technique and batch size.
        learning_rate: the peak learning rate, after scaling.
        seed: 0 for a run that searches for the best setting or learning rate, 1 or more for a run that measures.
        status: one of trainables.history.STATUSES.
        score, train_score: the validation and the training score of the last epoch.
        setting: the values of the study's further dimensions.
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
        """Whether the run was given up because it could no longer reach the baseline.

        A run of seed 0 is stopped because it is behind other runs of seed 0, which says nothing about the baseline.
        """
        return self.status == STOPPED_EARLY and self.seed != 0


class Point(NamedTuple):
    """All runs of a group at one learning rate.

    Attributes:
        scores: the scores of the runs that are evidence.
        seeds: the seeds of these runs.
        diverged, futile: how many of these runs diverged, and how many were given up.
        train_score: the mean training score of these runs.
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
        """Whether a run at this learning rate diverged or was given up."""
        return self.diverged + self.futile > 0


def chosen_setting(outcomes: Iterable[Outcome], group: Group) -> Setting:
    """The setting that a group is measured with: the setting of its best run of seed 0."""
    tried = [run for run in outcomes if run.group == group and run.seed == 0 and run.is_evidence]
    return max(tried, key=lambda run: run.score).setting if tried else ()


def points_of(outcomes: Iterable[Outcome], group: Group) -> list[Point]:
    """A group's points in ascending order of the learning rate, from the runs with the chosen setting."""
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


def best(points: Sequence[Point]) -> Point | None:
    """The point with the highest mean score; among equal scores, the point with the lowest learning rate."""
    return max(points, key=lambda point: point.score, default=None)


def leading(points: Sequence[Point], guess: float) -> Point | None:
    """The point around which a search for the best goes on: the best point that has learnt something.

    Where no point is better than a guess, their order is chance. Then the point with the lowest learning rate leads:
    if the rates are too high for any training, the search must go lower.

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
