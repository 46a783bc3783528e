"""Scaling: the factor of base_lr that a batch size gets.

A scaling is a frozen dataclass called with the run's Progress. To add one, write one more such class here; the
contract tests find it.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from trainables.errors import UserError, require
from trainables.optimizers import AdaptiveOptimizer, Optimizer
from trainables.progress import Progress


class Scaling(ABC):
    """progress -> the factor of base_lr for this batch size, above 0.

    The other methods have defaults for rules that need nothing more.
    """

    @abstractmethod
    def __call__(self, progress: Progress) -> float: ...

    @property
    def name(self) -> str:
        """The rule's name in tables and pictures."""
        return repr(self)

    def peak(self, progress: Progress) -> float:
        """The largest factor that a run can reach. The learning rate of a run is base_lr times this factor."""
        return self(progress)

    def advance(self, progress: Progress) -> float:
        """The part of a step that the schedule advances by in one step; 1 unless the rule slows the schedule down."""
        return 1.0

    def noise_parts(self, progress: Progress) -> int:
        """The number of parts of a batch by which gradient noise is to be measured; 0 to measure none."""
        return 0

    def adapt(self, optimizer: Optimizer, batch_ratio: float) -> Optimizer:
        """The optimizer with its own parameters adapted to a batch `batch_ratio` times as large as the reference."""
        return optimizer


@dataclass(frozen=True)
class NoScaling(Scaling):
    """The learning rate does not depend on the batch size.

    scale = 1

    Source: Li and Sheng, "On the large-batch training of CIFAR-10", Table I ("trivially increasing batch size").
    """

    name = "unscaled"

    def __call__(self, progress: Progress) -> float:
        return 1.0


@dataclass(frozen=True)
class LinearScaling(Scaling):
    """The learning rate grows in proportion to the batch size.

    scale = k, with k = B / B0

    Example:
        >>> LinearScaling()(Progress(epoch=0, epochs=200, batch_size=2048, base_batch_size=32)) * 0.025
        1.6

    Source: Goyal et al. 2017, "Accurate, Large Minibatch SGD", section 2.1.
    """

    name = "linear"

    def __call__(self, progress: Progress) -> float:
        return progress.batch_ratio


@dataclass(frozen=True)
class SquareRootScaling(Scaling):
    """The learning rate grows with the square root of the batch size. With LEGWarmup this is LEGW.

    scale = sqrt(k), with k = B / B0

    Example:
        >>> SquareRootScaling()(Progress(epoch=0, epochs=90, batch_size=4096, base_batch_size=1024))
        2.0

    Source: Krizhevsky 2014, "One weird trick for parallelizing convolutional neural networks", section 5; You et al.
    2019, "Large-Batch Training for LSTM and Beyond", section 3.
    """

    name = "square_root"

    def __call__(self, progress: Progress) -> float:
        return progress.batch_ratio**0.5


@dataclass(frozen=True)
class PowerScaling(Scaling):
    """The learning rate grows with a power of the batch size.

    scale = k^alpha, with k = B / B0

    Example:
        >>> PowerScaling(alpha=0.75)(Progress(epoch=0, epochs=90, batch_size=4096, base_batch_size=256))
        8.0

    Attributes:
        alpha: 0 is NoScaling, 0.5 SquareRootScaling, 1 LinearScaling; 0 to 2.

    Raises:
        UserError: alpha is outside its range.

    Source: Shallue et al. 2019, "Measuring the Effects of Data Parallelism", section 4.7, where no one power fits all.
    """

    alpha: float

    def __post_init__(self) -> None:
        require(0 <= self.alpha <= 2, f"PowerScaling alpha {self.alpha}: must be 0 to 2")

    def __call__(self, progress: Progress) -> float:
        return progress.batch_ratio**self.alpha


@dataclass(frozen=True)
class AdaptiveSquareRootScaling(Scaling):
    """The square-root rule for adaptive optimizers, which also adapts their running averages and epsilon.

    scale = sqrt(k);   1 - beta <- k (1 - beta) for each of their averages;   epsilon <- epsilon / sqrt(k)

    A beta that would fall below 0 is set to 0, with a warning. Adam's beta1 of 0.9 reaches 0 at k = 10.

    Example:
        >>> from trainables.optimizers import Adam
        >>> moved = AdaptiveSquareRootScaling().adapt(Adam(beta1=0.9, beta2=0.999, epsilon=1e-8), batch_ratio=4)
        >>> round(moved.beta1, 6), round(moved.beta2, 6), moved.epsilon
        (0.6, 0.996, 5e-09)

    Raises:
        UserError: `adapt` is called with an optimizer that has no such averages.

    Source: Malladi et al. 2022, "On the SDEs and Scaling Rules for Adaptive Gradient Algorithms",
    section 5.
    """

    def __call__(self, progress: Progress) -> float:
        return progress.batch_ratio**0.5

    def adapt(self, optimizer: Optimizer, batch_ratio: float) -> Optimizer:
        if not isinstance(optimizer, AdaptiveOptimizer):
            raise UserError(
                f"AdaptiveSquareRootScaling optimizer {optimizer!r}: must keep an average of squared gradients that "
                "can be moved, as Adam, AdamW, LAMB and RMSprop do"
            )
        return optimizer.rescaled(batch_ratio)


@dataclass(frozen=True)
class AdaScale(Scaling):
    """The learning rate grows by a gain that is measured: how much a larger batch reduces the noise of the gradient.

    scale = r = (sigma^2 + mu^2) / (sigma^2 / k + mu^2), with k = B / B0, mu^2 = |G|^2, sigma^2 = tr(Sigma) / B0

    The gain r lies between 1 and k. At every step the schedule advances by r steps of the reference batch size, that is
    by r * B0 samples. Where the gain is below k, the run therefore ends before its schedule does, because this project
    compares runs of equal epochs. Below the reference batch size, r lies between k and 1, and the schedule advances by
    one step at every step. The learning rate of a run is the highest that it can reach, the one at full gain.

    Example, noise as large as the signal, at sixteen times the reference batch size:
        >>> from trainables.gradient_noise import GradientNoise
        >>> noise = GradientNoise(squared_norm=1.0, variance=32.0)
        >>> round(AdaScale()(Progress(0, 90, batch_size=512, base_batch_size=32, noise=noise)), 3)
        1.882

    Attributes:
        parts: number of parts of the batch whose gradients are compared; at least 2, and a multiple of the number of
            workers.

    Raises:
        UserError: parts is below 2.

    Source: Johnson et al. 2020, "AdaScale SGD: A User-Friendly Algorithm for Distributed Training", algorithm 1.
    """

    parts: int = 2

    def __post_init__(self) -> None:
        require(self.parts >= 2, f"AdaScale parts {self.parts}: must be at least 2")

    def __call__(self, progress: Progress) -> float:
        k, noise = progress.batch_ratio, progress.noise
        if noise is None:
            return min(1.0, k)
        signal, variance = max(0.0, noise.squared_norm), noise.variance / progress.base_batch_size
        return (variance + signal) / (variance / k + signal) if variance + signal > 0 else 1.0

    def peak(self, progress: Progress) -> float:
        return max(1.0, progress.batch_ratio)

    def advance(self, progress: Progress) -> float:
        batch_size = progress.grown_batch_size or progress.batch_size
        return min(1.0, self(progress) * progress.base_batch_size / batch_size)

    def noise_parts(self, progress: Progress) -> int:
        return 0 if progress.batch_ratio == 1 else self.parts
