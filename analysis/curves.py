"""What is read from a run's learning curves: the epoch of its plateau, and the epochs where its loss jumped up."""

from collections.abc import Sequence
from itertools import pairwise

PLATEAU_WITHIN = 0.01
"""A run has reached its plateau when its score is within this distance of its best score: one percentage point."""

JUMP = 1.1
"""The loss has jumped when it is more than this many times the loss of the epoch before."""
LEAST_JUMP = 0.02
"""A jump is also at least this share of the first epoch's loss, because small losses vary by much of themselves."""


def plateau(scores: Sequence[float], within: float = PLATEAU_WITHIN) -> int:
    """The first epoch, counted from 1, whose score is at most `within` below the best score of the run.

    Example:
        >>> plateau([0.3, 0.6, 0.795, 0.79, 0.80])
        3

    Source: Kaabachi, Ødum and Knöpfel, Table I, which does not say how the epoch was read off; this is our reading.
    """
    target = max(scores) - within
    return next(epoch for epoch, score in enumerate(scores, start=1) if score >= target)


def loss_jumps(losses: Sequence[float], factor: float = JUMP) -> list[int]:
    """The epochs, counted from 1, whose mean training loss is more than `factor` times that of the epoch before.

    The rise is at least LEAST_JUMP of the first epoch's loss.

    Example:
        >>> loss_jumps([2.0, 1.0, 1.4, 0.9, 0.95, 0.03, 0.05])
        [3]

    Source: Kaabachi, Ødum and Knöpfel, Figure 7 and section IV.
    """
    return [
        epoch
        for epoch, (before, now) in enumerate(pairwise(losses), start=2)
        if now > factor * before and now - before >= LEAST_JUMP * losses[0]
    ]
