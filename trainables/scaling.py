"""Scaling: how many times base_lr a batch size earns.

A scaling is a frozen dataclass called with the run's Progress. To add one, write one more such class here; the
contract tests find it.
"""

from dataclasses import dataclass
from typing import Protocol

from trainables.progress import Progress


class Scaling(Protocol):
    """progress -> how many times base_lr this batch size earns (> 0)."""

    def __call__(self, progress: Progress) -> float: ...


@dataclass(frozen=True)
class NoScaling:
    """The learning rate does not depend on the batch size.

    scale = 1

    Source: Li and Sheng, "On the large-batch training of CIFAR-10", Table I ("trivially increasing batch size").
    """

    def __call__(self, progress: Progress) -> float:
        return 1.0


@dataclass(frozen=True)
class LinearScaling:
    """The learning rate grows in proportion to the batch size.

    scale = k, with k = B / B0

    Example:
        >>> LinearScaling()(Progress(epoch=0, epochs=200, batch_size=2048, base_batch_size=32)) * 0.025
        1.6

    Source: Goyal et al. 2017, "Accurate, Large Minibatch SGD", section 2.1.
    """

    def __call__(self, progress: Progress) -> float:
        return progress.batch_ratio


@dataclass(frozen=True)
class SquareRootScaling:
    """The learning rate grows with the square root of the batch size.

    scale = sqrt(k), with k = B / B0

    Example:
        >>> SquareRootScaling()(Progress(epoch=0, epochs=90, batch_size=4096, base_batch_size=1024))
        2.0

    Source: Krizhevsky 2014, "One weird trick for parallelizing convolutional neural networks", section 5; You et al.
    2019, "Large-Batch Training for LSTM and Beyond", section 3.
    """

    def __call__(self, progress: Progress) -> float:
        return progress.batch_ratio**0.5
