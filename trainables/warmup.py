"""Warm-up: the factor of base_lr during the first part of a run.

A warm-up is a frozen dataclass. It is called with the run's Progress and with the scale that the scaling gives, and it
returns the factor that base_lr is multiplied by now. Once the warm-up has ended, this factor is the scale itself. To
add a warm-up, write one more such class here; the contract tests find it.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

from trainables.errors import require
from trainables.progress import Progress


class Warmup(ABC):
    """(progress, scale) -> the factor that base_lr is multiplied by now."""

    @abstractmethod
    def __call__(self, progress: Progress, scale: float) -> float: ...

    @abstractmethod
    def length(self, progress: Progress) -> float:
        """The length of the warm-up, in epochs of the run."""

    def over(self, progress: Progress) -> bool:
        """Whether the warm-up has ended."""
        return progress.epoch >= self.length(progress)


@dataclass(frozen=True)
class NoWarmup(Warmup):
    """No warm-up: the whole scale applies from the first step.

    warmup = scale
    """

    def __call__(self, progress: Progress, scale: float) -> float:
        return scale

    def length(self, progress: Progress) -> float:
        return 0.0


@dataclass(frozen=True)
class TimedWarmup(Warmup):
    """The base class of warm-ups whose length is given, either in epochs or as a fraction of the run.

    Attributes:
        epochs: length in epochs of the run, at least 0.
        fraction: length as a fraction of the run, 0 to 1. Exactly one of epochs and fraction must be given.

    Raises:
        UserError: neither or both of the two are given, or a value is outside its range.
    """

    epochs: float | None = None
    fraction: float | None = None

    def __post_init__(self) -> None:
        name, epochs, fraction = type(self).__name__, self.epochs, self.fraction
        require(
            (epochs is None) != (fraction is None),
            f"{name} epochs {epochs}, fraction {fraction}: exactly one of the two must be given",
        )
        require(epochs is None or epochs >= 0, f"{name} epochs {epochs}: must be at least 0")
        require(fraction is None or 0 <= fraction <= 1, f"{name} fraction {fraction}: must be 0 to 1")

    def __call__(self, progress: Progress, scale: float) -> float:
        length = self.length(progress)
        return scale if progress.epoch >= length else self.ramp(progress.epoch / length, scale)

    def length(self, progress: Progress) -> float:
        if self.epochs is not None:
            return self.epochs
        assert self.fraction is not None
        return self.fraction * progress.epochs

    @abstractmethod
    def ramp(self, done: float, scale: float) -> float:
        """The factor of base_lr when this fraction of the warm-up is done."""


@dataclass(frozen=True)
class ConstantWarmup(TimedWarmup):
    """The learning rate is base_lr until the warm-up ends, and then the whole scale applies at once.

    warmup = 1   while epoch < epochs, then scale

    Example, 5 % of the 70 epochs of Kaabachi et al.:
        >>> warmup = ConstantWarmup(fraction=0.05)
        >>> [warmup(Progress(epoch, 70, batch_size=1024, base_batch_size=1), scale=1024.0) for epoch in (3.4, 3.5)]
        [1.0, 1024.0]

    Attributes:
        epochs, fraction: length of the warm-up; see TimedWarmup.

    Source: Goyal et al. 2017, "Accurate, Large Minibatch SGD", section 2.2 ("constant warmup"); Kaabachi et al.,
    "Effects of batch size scaled learning rates and gradual warm up", section II, experiment 4.
    """

    def ramp(self, done: float, scale: float) -> float:
        return 1.0


@dataclass(frozen=True)
class LinearWarmup(TimedWarmup):
    """The learning rate grows linearly, from base_lr or from zero, up to the scale.

    warmup = start + (scale - start) * epoch / epochs   while epoch < epochs, then scale
    with start = 1 (from base_lr) or 0 (from zero)

    Example, halfway through Goyal et al.'s five epochs from base_lr to eight times base_lr:
        >>> LinearWarmup(epochs=5)(Progress(epoch=2.5, epochs=90, batch_size=2048, base_batch_size=256), scale=8.0)
        4.5

    Attributes:
        epochs, fraction: length of the warm-up; see TimedWarmup.
        start: where the ramp starts, "base_lr" or "zero".

    Raises:
        UserError: the length is outside its range, or start is neither of the two.

    Source: Goyal et al. 2017, "Accurate, Large Minibatch SGD", section 2.2 ("gradual warmup").
    """

    start: Literal["base_lr", "zero"] = "base_lr"

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.start in ("base_lr", "zero"), f"LinearWarmup start {self.start!r}: must be 'base_lr' or 'zero'")

    def ramp(self, done: float, scale: float) -> float:
        start = 1.0 if self.start == "base_lr" else 0.0
        return start + (scale - start) * done


@dataclass(frozen=True)
class ExponentialWarmup(TimedWarmup):
    """The learning rate grows exponentially from base_lr up to the scale: by equal factors in equal times.

    warmup = scale ^ (epoch / epochs)   while epoch < epochs, then scale

    Example, halfway through a warm-up to 1,024 times base_lr:
        >>> ExponentialWarmup(epochs=4)(Progress(epoch=2, epochs=70, batch_size=1024, base_batch_size=1), scale=1024.0)
        32.0

    Attributes:
        epochs, fraction: length of the warm-up; see TimedWarmup.

    Source: Kaabachi et al., "Effects of batch size scaled learning rates and gradual warm up", section II,
    experiment 4.
    """

    def ramp(self, done: float, scale: float) -> float:
        return float(scale**done)


@dataclass(frozen=True)
class LEGWarmup(Warmup):
    """Linear-epoch gradual warm-up: a linear ramp from zero, k times as many epochs long at k times the batch size.

    warmup = scale * epoch / epochs   while epoch < epochs = base_epochs * k, then scale, with k = B / B0

    So it has the same number of steps at every batch size. Where an epoch of the run is several passes over the
    training set, it has as many epochs fewer.

    Together with SquareRootScaling this is LEGW: tune one batch size, small or large, and the learning rate and the
    warm-up of every larger or smaller batch size follow from it.

    Example, the warm-up at batch size 32,768, scaled up from 1,024, in the paper's table 1:
        >>> LEGWarmup(base_epochs=0.3125).length(Progress(0, 90, batch_size=32768, base_batch_size=1024))
        10.0

    Attributes:
        base_epochs: length at the reference batch size, in epochs, at least 0.

    Raises:
        UserError: base_epochs is below 0.

    Source: You et al. 2019, "Large-Batch Training for LSTM and Beyond", section 3.
    """

    base_epochs: float

    def __post_init__(self) -> None:
        require(self.base_epochs >= 0, f"LEGWarmup base_epochs {self.base_epochs}: must be at least 0")

    def __call__(self, progress: Progress, scale: float) -> float:
        return scale if self.over(progress) else scale * progress.epoch / self.length(progress)

    def length(self, progress: Progress) -> float:
        return self.base_epochs * progress.batch_ratio / progress.passes_per_epoch
