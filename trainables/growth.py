"""Growth: the global batch size in the course of a run.

A growth is a frozen dataclass called with the run's Progress. To add one, write one more such class here; the
contract tests find it. Batch sizes grow by whole factors, so every divisor of the first one divides all of them.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace

from trainables.decay import Decay
from trainables.errors import require
from trainables.progress import Progress

MOST_GROWTHS = 60
"""A limit that no run reaches: after so many doublings the batch is larger than any data set."""


class Growth(ABC):
    """progress -> the global batch size now, which is never smaller than before."""

    @abstractmethod
    def __call__(self, progress: Progress) -> int: ...

    @property
    def ceiling(self) -> int | None:
        """The largest global batch size allowed, in samples; None for no limit."""
        return None

    def rate(self, progress: Progress) -> float:
        """What the growth multiplies the learning rate by; 1 unless the growth also takes the place of a decay."""
        return 1.0

    def largest(self, progress: Progress) -> int:
        """The largest batch size that a run with this start can reach."""
        return self(replace(progress, epoch=math.nextafter(progress.epochs, 0)))

    def noise_parts(self, progress: Progress) -> int:
        """The number of parts of a batch by which gradient noise is to be measured; 0 to measure none."""
        return 0


@dataclass(frozen=True)
class FixedBatch(Growth):
    """The batch size stays the one that the run started with.

    batch_size = B, rate = 1
    """

    def __call__(self, progress: Progress) -> int:
        return progress.batch_size


@dataclass(frozen=True)
class StepGrowth(Growth):
    """AdaBatch: every `every_epochs` epochs, the batch size and the learning rate are each multiplied by a factor.

    batch_size = B * factor^n,  rate = learning_rate_factor^n   with n = floor(epoch / every_epochs)

    After a growth, each step covers `factor` times as many samples, so the learning rate per sample is multiplied by
    learning_rate_factor / factor. Once max_batch_size stops the growth, the learning rate itself is multiplied by this.

    Example, a batch that grows from 1,024 to 16,384 in 100 epochs. It compares with a fixed batch whose learning rate
    is multiplied by 0.25 every 20 epochs:
        >>> growth = StepGrowth(every_epochs=20, factor=2, learning_rate_factor=0.5)
        >>> late = Progress(epoch=99, epochs=100, batch_size=1024, base_batch_size=128)
        >>> growth(late), growth.rate(late)
        (16384, 0.0625)

    Attributes:
        every_epochs: number of epochs between two growths, above 0; epochs of the warm-up count.
        factor: what each growth multiplies the batch size by, a whole number from 2.
        learning_rate_factor: what each growth multiplies the learning rate by, above 0 and at most 1.
        max_batch_size: largest global batch size, in samples; None for no limit.

    Raises:
        UserError: a value is outside its range.

    Source: Devarakonda et al. 2017, "AdaBatch: Adaptive Batch Sizes for Training Deep Neural Networks", sections 2, 3.
    """

    every_epochs: float
    factor: int = 2
    learning_rate_factor: float = 0.5
    max_batch_size: int | None = None

    def __post_init__(self) -> None:
        _check_growths(self)
        share = self.learning_rate_factor
        require(0 < share <= 1, f"StepGrowth learning_rate_factor {share}: must be above 0 and at most 1")

    @property
    def ceiling(self) -> int | None:
        return self.max_batch_size

    def __call__(self, progress: Progress) -> int:
        wanted = progress.batch_size * self.factor ** _times(self, progress)
        return _whole_growths(progress.batch_size, wanted, self.factor, self.max_batch_size)

    def rate(self, progress: Progress) -> float:
        per_sample = (self.learning_rate_factor / self.factor) ** _times(self, progress)
        return per_sample * self(progress) / progress.batch_size


@dataclass(frozen=True)
class GrowthInPlaceOfDecay(Growth):
    """The batch grows by the factor by which a decay would have lowered the learning rate, and the learning rate stays.

    batch_size = B * floor(1 / decay(t)),  rate = decay(t) * batch_size / B, which is 1 where 1 / decay is whole

    Once max_batch_size stops the growth, the learning rate falls instead. The recipe's own decay should be NoDecay.

    Example, a batch that grows by a factor of 5 wherever the learning rate would have been multiplied by 0.2:
        >>> from trainables.decay import StepDecay
        >>> growth = GrowthInPlaceOfDecay(StepDecay(every_epochs=60, factor=0.2))
        >>> growth(Progress(epoch=130, epochs=200, batch_size=128, base_batch_size=128))
        3200

    Attributes:
        decay: the decay that the growth replaces; it must not reach 0 within the run.
        max_batch_size: largest global batch size, in samples; None for no limit.

    Raises:
        UserError: max_batch_size is below 1.

    Source: Smith et al. 2017, "Don't Decay the Learning Rate, Increase the Batch Size", section 4.
    """

    decay: Decay
    max_batch_size: int | None = None

    def __post_init__(self) -> None:
        _check_ceiling(self)

    @property
    def ceiling(self) -> int | None:
        return self.max_batch_size

    def __call__(self, progress: Progress) -> int:
        times = math.floor(min(1 / max(self.decay(progress), 1e-9), 1e9) * (1 + 1e-9))
        if self.max_batch_size is not None:
            times = min(times, max(1, self.max_batch_size // progress.batch_size))
        return progress.batch_size * times

    def rate(self, progress: Progress) -> float:
        return self.decay(progress) * self(progress) / progress.batch_size


@dataclass(frozen=True)
class AdaptiveGrowth(Growth):
    """The batch size follows the measured gradient noise scale and never shrinks.

    batch_size = the largest B * factor^n that is at most B_noise = tr(Sigma) / |G|^2, and at most max_batch_size

    Well below B_noise, a batch twice as large needs nearly half as many steps; well above, it saves hardly any. n is at
    most epoch / every_epochs, so that the noise is averaged over some steps before it is used and the batch cannot grow
    too early.

    Example, a noise scale of 700 samples after three epochs:
        >>> from trainables.gradient_noise import GradientNoise
        >>> noise = GradientNoise(squared_norm=0.01, variance=7.0)
        >>> growth = AdaptiveGrowth(max_batch_size=4096)
        >>> growth(Progress(epoch=3, epochs=90, batch_size=128, base_batch_size=128, noise=noise))
        512

    Attributes:
        max_batch_size: largest global batch size, in samples.
        factor: what each growth multiplies the batch size by, a whole number from 2.
        every_epochs: number of epochs that must pass for each growth, above 0.
        parts: number of parts of the batch whose gradients are compared; at least 2, and a multiple of the number of
            workers.

    Raises:
        UserError: a value is outside its range.

    Source: McCandlish et al. 2018, "An Empirical Model of Large-Batch Training", sections 2.2 and 2.4.
    """

    max_batch_size: int
    factor: int = 2
    every_epochs: float = 1.0
    parts: int = 2

    def __post_init__(self) -> None:
        _check_growths(self)
        require(self.parts >= 2, f"AdaptiveGrowth parts {self.parts}: must be at least 2")

    @property
    def ceiling(self) -> int | None:
        return self.max_batch_size

    def __call__(self, progress: Progress) -> int:
        now = progress.grown_batch_size or progress.batch_size
        if progress.noise is None:
            return now
        allowed = progress.batch_size * self.factor ** _times(self, progress)
        wanted = min(allowed, progress.noise.scale)
        return max(now, _whole_growths(progress.batch_size, wanted, self.factor, self.max_batch_size))

    def largest(self, progress: Progress) -> int:
        return _whole_growths(progress.batch_size, math.inf, self.factor, self.max_batch_size)

    def noise_parts(self, progress: Progress) -> int:
        return self.parts


def _times(growth: StepGrowth | AdaptiveGrowth, progress: Progress) -> int:
    """The number of growths that the epochs so far allow."""
    return min(MOST_GROWTHS, math.floor(progress.epoch / growth.every_epochs))


def _whole_growths(start: int, wanted: float, factor: int, ceiling: int | None) -> int:
    """The largest start * factor^n that is at most `wanted` and at most the ceiling, but never less than start."""
    limit = min(wanted, math.inf if ceiling is None else ceiling)
    size = start
    while size * factor <= limit:
        size *= factor
    return size


def _check_growths(growth: StepGrowth | AdaptiveGrowth) -> None:
    name, factor, every = type(growth).__name__, growth.factor, growth.every_epochs
    require(every > 0, f"{name} every_epochs {every}: must be above 0")
    require(isinstance(factor, int) and factor >= 2, f"{name} factor {factor}: must be a whole number from 2")
    _check_ceiling(growth)


def _check_ceiling(growth: StepGrowth | AdaptiveGrowth | GrowthInPlaceOfDecay) -> None:
    name, ceiling = type(growth).__name__, growth.max_batch_size
    require(ceiling is None or ceiling >= 1, f"{name} max_batch_size {ceiling}: must be at least 1")
