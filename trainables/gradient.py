"""Gradient: from a batch to the gradient the optimizer steps along.

A gradient is a frozen dataclass. To add one, write one more such class here; the contract tests find it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor, nn


class Gradient(Protocol):
    """(model, backward) -> loss, leaving in each parameter's .grad what the optimizer shall step along.

    `backward()` runs forward and backward over the whole batch at the model's present weights, adds the gradient of the
    batch's mean loss to .grad, already averaged over the workers, and returns that mean loss, a scalar.
    """

    def __call__(self, model: nn.Module, backward: Callable[[], Tensor]) -> Tensor: ...


@dataclass(frozen=True)
class Plain:
    """The gradient of the batch's mean loss, as it is.

    g = 1/|B| * sum over x in B of grad l(x, w)
    """

    def __call__(self, model: nn.Module, backward: Callable[[], Tensor]) -> Tensor:
        return backward()
