"""Warm-up: how much of the scale to apply yet.

A warm-up is a frozen dataclass called with the run's Progress and the scale that its scaling earned; it returns how
many times base_lr to use now, and the scale itself once it is over. To add one, write one more such class here; the
contract tests find it.
"""

from dataclasses import dataclass
from typing import Literal, Protocol

from trainables.errors import require
from trainables.progress import Progress


class Warmup(Protocol):
    """(progress, scale) -> how many times base_lr to use now; `over` says whether the ramp has ended."""

    def __call__(self, progress: Progress, scale: float) -> float: ...

    def over(self, progress: Progress) -> bool: ...


@dataclass(frozen=True)
class NoWarmup:
    """The whole scale from the first step.

    warmup = scale
    """

    def __call__(self, progress: Progress, scale: float) -> float:
        return scale

    def over(self, progress: Progress) -> bool:
        return True


@dataclass(frozen=True)
class LinearWarmup:
    """A straight ramp up to the scale, from base_lr or from zero.

    warmup = start + (scale - start) * epoch / epochs   while epoch < epochs, then scale
    with start = 1 (from base_lr) or 0 (from zero)

    Example, Goyal et al.'s five epochs from base_lr up to eight times base_lr:
        >>> LinearWarmup(epochs=5)(Progress(epoch=2.5, epochs=90, batch_size=2048, base_batch_size=256), scale=8.0)
        4.5

    Attributes:
        epochs: length of the ramp, in epochs of the run.
        start: "base_lr" or "zero".

    Raises:
        UserError: epochs below 0, or a start other than those two.

    Source: Goyal et al. 2017, "Accurate, Large Minibatch SGD", section 2.2 ("gradual warmup").
    """

    epochs: float
    start: Literal["base_lr", "zero"] = "base_lr"

    def __post_init__(self) -> None:
        require(self.epochs >= 0, f"LinearWarmup epochs {self.epochs}: must be at least 0")
        require(self.start in ("base_lr", "zero"), f"LinearWarmup start {self.start!r}: must be 'base_lr' or 'zero'")

    def __call__(self, progress: Progress, scale: float) -> float:
        if self.over(progress):
            return scale
        start = 1.0 if self.start == "base_lr" else 0.0
        return start + (scale - start) * progress.epoch / self.epochs

    def over(self, progress: Progress) -> bool:
        return progress.epoch >= self.epochs
