"""Optimizers: slots that build torch optimizers.

An optimizer slot is a frozen dataclass called with the parameters. The learning rate is not part of it: the formula
in recipe.py sets it before every step. To add one, write one more such class here; the contract tests find it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import nn

from trainables.errors import require


class Optimizer(Protocol):
    """parameters -> a torch optimizer over them, its learning rate still 0."""

    def __call__(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer: ...


@dataclass(frozen=True)
class SGD:
    """Stochastic gradient descent with momentum and L2 weight decay, as torch.optim.SGD defines them.

    v = momentum * v + g + weight_decay * w;   w = w - lr * v

    Attributes:
        momentum: at least 0 and below 1.
        weight_decay: at least 0.
        nesterov: look ahead along v; needs momentum above 0.

    Raises:
        UserError: a value outside those ranges.

    Source: Sutskever et al. 2013, "On the importance of initialization and momentum in deep learning".
    """

    momentum: float = 0.0
    weight_decay: float = 0.0
    nesterov: bool = False

    def __post_init__(self) -> None:
        require(0 <= self.momentum < 1, f"SGD momentum {self.momentum}: must be at least 0 and below 1")
        require(self.weight_decay >= 0, f"SGD weight_decay {self.weight_decay}: must be at least 0")
        require(not self.nesterov or self.momentum > 0, "SGD nesterov True: needs momentum above 0")

    def __call__(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        return torch.optim.SGD(
            parameters, lr=0.0, momentum=self.momentum, weight_decay=self.weight_decay, nesterov=self.nesterov
        )
