"""What a run's curves say: when it reached its plateau, and where its loss jumped back up."""

from collections.abc import Sequence
from itertools import pairwise

PLATEAU_WITHIN = 0.01
"""How far below a run's best score its plateau begins: one percentage point."""

JUMP = 1.1
"""A loss this many times that of the epoch before has jumped."""


def plateau(scores: Sequence[float], within: float = PLATEAU_WITHIN) -> int:
    """The first epoch, from 1, at which a run comes within so much of the best score of its own curve.

    Example:
        >>> plateau([0.3, 0.6, 0.795, 0.79, 0.80])
        3

    Source: Kaabachi, Ødum and Knöpfel, Table I, which does not say how the epoch was read off; this is our reading.
    """
    target = max(scores) - within
    return next(epoch for epoch, score in enumerate(scores, start=1) if score >= target)


def loss_jumps(losses: Sequence[float], factor: float = JUMP) -> list[int]:
    """The epochs, from 1, whose mean training loss is above so many times that of the epoch before.

    Example:
        >>> loss_jumps([2.0, 1.0, 1.4, 0.9, 0.95])
        [3]

    Source: Kaabachi, Ødum and Knöpfel, Figure 7 and section IV.
    """
    return [epoch for epoch, (before, now) in enumerate(pairwise(losses), start=2) if now > factor * before]
