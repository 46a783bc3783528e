"""Decay: what share of the peak learning rate is left.

A decay is a frozen dataclass called with the run's Progress. To add one, write one more such class here; the contract
tests find it.
"""

import math
from dataclasses import dataclass
from typing import Protocol

from trainables.errors import require
from trainables.progress import Progress


class Decay(Protocol):
    """progress -> share of the peak learning rate to use now, 0 to 1."""

    def __call__(self, progress: Progress) -> float: ...


@dataclass(frozen=True)
class NoDecay:
    """The peak learning rate to the end.

    decay = 1
    """

    def __call__(self, progress: Progress) -> float:
        return 1.0


@dataclass(frozen=True)
class StepDecay:
    """The learning rate is multiplied by a factor every so many epochs.

    decay = factor ** floor(epoch / every_epochs)

    Example, paper 2's schedule in epoch 120 of 200:
        >>> round(StepDecay(every_epochs=50, factor=0.1)(Progress(120, 200, batch_size=32, base_batch_size=32)), 6)
        0.01

    Attributes:
        every_epochs: distance between two drops, in epochs, warm-up included.
        factor: what each drop multiplies by, above 0 and at most 1.

    Raises:
        UserError: every_epochs or factor outside those ranges.

    Source: He et al. 2016, "Deep Residual Learning", section 4.2; Li and Sheng, section III-A (0.1 every 50 of 200).
    """

    every_epochs: float
    factor: float = 0.1

    def __post_init__(self) -> None:
        require(self.every_epochs > 0, f"StepDecay every_epochs {self.every_epochs}: must be above 0")
        require(0 < self.factor <= 1, f"StepDecay factor {self.factor}: must be above 0 and at most 1")

    def __call__(self, progress: Progress) -> float:
        return self.factor ** math.floor(progress.epoch / self.every_epochs)


@dataclass(frozen=True)
class CosineDecay:
    """Half a cosine from the peak at the start of the run down to zero at its end.

    decay = (1 + cos(pi * fraction)) / 2

    Example:
        >>> CosineDecay()(Progress(epoch=50, epochs=100, batch_size=32, base_batch_size=32))
        0.5

    Source: Loshchilov and Hutter 2017, "SGDR", equation 5 with one period and no restart.
    """

    def __call__(self, progress: Progress) -> float:
        return 0.5 * (1.0 + math.cos(math.pi * min(1.0, progress.fraction)))
