"""Decay: the factor that lowers the learning rate in the course of a run.

A decay is a frozen dataclass called with the run's Progress. To add one, write one more such class here; the contract
tests find it.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from trainables.errors import require
from trainables.progress import Progress


class Decay(ABC):
    """progress -> the fraction of the peak learning rate to use now, 0 to 1."""

    @abstractmethod
    def __call__(self, progress: Progress) -> float: ...


@dataclass(frozen=True)
class NoDecay(Decay):
    """The learning rate stays at its peak to the end.

    decay = 1
    """

    def __call__(self, progress: Progress) -> float:
        return 1.0


@dataclass(frozen=True)
class StepDecay(Decay):
    """The learning rate is multiplied by a factor every `every_epochs` epochs.

    decay = factor ** floor(epoch / every_epochs)

    Example, the schedule of Li and Sheng in epoch 120 of 200:
        >>> round(StepDecay(every_epochs=50, factor=0.1)(Progress(120, 200, batch_size=32, base_batch_size=32)), 6)
        0.01

    Attributes:
        every_epochs: number of epochs between two drops; epochs of the warm-up count.
        factor: what each drop multiplies the learning rate by, above 0 and at most 1.

    Raises:
        UserError: every_epochs is not above 0, or factor is outside its range.

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
class MultiStepDecay(Decay):
    """The learning rate is multiplied by a factor at each of the given epochs.

    decay = factor ** (how many of at_epochs have been reached)

    Example, LEGW's multi-step schedule of 90 epochs, in epoch 65:
        >>> round(MultiStepDecay(at_epochs=(30, 60, 80))(Progress(65, 90, batch_size=1024, base_batch_size=1024)), 6)
        0.01

    Attributes:
        at_epochs: epochs at which the learning rate drops, ascending and above 0; epochs of the warm-up count.
        factor: what each drop multiplies the learning rate by, above 0 and at most 1.

    Raises:
        UserError: at_epochs is empty, not ascending or not above 0, or factor is outside its range.

    Source: You et al. 2019, "Large-Batch Training for LSTM and Beyond", section 3.2; Goyal et al. 2017, section 5.1.
    """

    at_epochs: tuple[float, ...]
    factor: float = 0.1

    def __post_init__(self) -> None:
        epochs = (0.0, *self.at_epochs)
        ascending = all(before < after for before, after in pairwise(epochs))
        require(
            ascending and bool(self.at_epochs),
            f"MultiStepDecay at_epochs {self.at_epochs}: must be one or more epochs above 0, ascending",
        )
        require(0 < self.factor <= 1, f"MultiStepDecay factor {self.factor}: must be above 0 and at most 1")

    def __call__(self, progress: Progress) -> float:
        return float(self.factor ** sum(progress.epoch >= epoch for epoch in self.at_epochs))


@dataclass(frozen=True)
class ExponentialDecay(Decay):
    """The learning rate stays at its peak for some epochs and is then multiplied by a factor in every epoch.

    decay = factor ** max(0, floor(epoch - constant_epochs) + 1)

    Example, the schedule of LEGW's Penn Treebank model in its 8th epoch and in its last, the 13th:
        >>> decay = ExponentialDecay(constant_epochs=7, factor=0.5)
        >>> [decay(Progress(epoch, 13, batch_size=20, base_batch_size=20)) for epoch in (7, 12)]
        [0.5, 0.015625]

    Attributes:
        constant_epochs: number of epochs before the first drop, warm-up included, at least 1.
        factor: what each later epoch multiplies the learning rate by, above 0 and at most 1.

    Raises:
        UserError: constant_epochs or factor is outside its range.

    Source: You et al. 2019, "Large-Batch Training for LSTM and Beyond", section 5.1.2.
    """

    constant_epochs: float = 1
    factor: float = 0.5

    def __post_init__(self) -> None:
        require(
            self.constant_epochs >= 1, f"ExponentialDecay constant_epochs {self.constant_epochs}: must be at least 1"
        )
        require(0 < self.factor <= 1, f"ExponentialDecay factor {self.factor}: must be above 0 and at most 1")

    def __call__(self, progress: Progress) -> float:
        return float(self.factor ** max(0, math.floor(progress.epoch - self.constant_epochs) + 1))


@dataclass(frozen=True)
class PolynomialDecay(Decay):
    """The learning rate is proportional to a power of the fraction of the run that is left.

    decay = (1 - fraction) ** power

    Example:
        >>> PolynomialDecay(power=2)(Progress(epoch=45, epochs=90, batch_size=1024, base_batch_size=1024))
        0.25

    Attributes:
        power: the exponent, above 0; 1 gives a straight line.

    Raises:
        UserError: power is not above 0.

    Source: You et al. 2019, "Large-Batch Training for LSTM and Beyond", section 3.2 ("poly decay").
    """

    power: float = 2.0

    def __post_init__(self) -> None:
        require(self.power > 0, f"PolynomialDecay power {self.power}: must be above 0")

    def __call__(self, progress: Progress) -> float:
        return float((1.0 - min(1.0, progress.fraction)) ** self.power)


@dataclass(frozen=True)
class CosineDecay(Decay):
    """The learning rate follows half a cosine from the peak at the start of the run down to zero at its end.

    decay = (1 + cos(pi * fraction)) / 2

    Example:
        >>> CosineDecay()(Progress(epoch=50, epochs=100, batch_size=32, base_batch_size=32))
        0.5

    Source: Loshchilov and Hutter 2017, "SGDR", equation 5 with one period and no restart.
    """

    def __call__(self, progress: Progress) -> float:
        return 0.5 * (1.0 + math.cos(math.pi * min(1.0, progress.fraction)))


@dataclass(frozen=True)
class StableDecay(Decay):
    """The learning rate stays at its peak for most of the run and then falls to zero.

    decay = 1 while fraction <= 1 - decay_fraction, then s ("linear") or 1 - sqrt(1 - s) ("root"),
    with s = (1 - fraction) / decay_fraction, the fraction of the fall that is left

    After a warm-up this is the warmup-stable-decay schedule (WSD).

    Example, halfway through a fall that takes the last fifth of a run:
        >>> half_way = Progress(epoch=90, epochs=100, batch_size=32, base_batch_size=32)
        >>> [round(StableDecay(decay_fraction=0.2, shape=shape)(half_way), 3) for shape in ("linear", "root")]
        [0.5, 0.293]

    Attributes:
        decay_fraction: fraction of the whole run that the fall takes, above 0 and at most 1.
        shape: shape of the fall, "linear" or "root".

    Raises:
        UserError: decay_fraction is outside its range, or shape is neither of the two.

    Source: Hu et al. 2024, "MiniCPM", section 4 (WSD); Hägele et al. 2024, "Scaling Laws and Compute-Optimal Training
    Beyond Fixed Training Durations", section 3 (the root).
    """

    decay_fraction: float = 0.2
    shape: Literal["linear", "root"] = "linear"

    def __post_init__(self) -> None:
        share, shape = self.decay_fraction, self.shape
        require(0 < share <= 1, f"StableDecay decay_fraction {share}: must be above 0 and at most 1")
        require(shape in ("linear", "root"), f"StableDecay shape {shape!r}: must be 'linear' or 'root'")

    def __call__(self, progress: Progress) -> float:
        left = min(1.0, (1.0 - min(1.0, progress.fraction)) / self.decay_fraction)
        return left if self.shape == "linear" else 1.0 - math.sqrt(1.0 - left)
