"""What is measured on the final model of a run, besides what every run reports."""

from collections.abc import Callable, Iterable
from typing import Protocol

from torch import nn

from trainables.loss import Loss
from trainables.nested import Nested

Batches = Callable[[], Iterable[tuple[Nested, Nested]]]
"""Each call goes once over the same inputs and targets."""


class Measure(Protocol):
    """A frozen dataclass that measures one number on a trained model.

    Attributes:
        name: under which the number is reported.
    """

    @property
    def name(self) -> str: ...

    def __call__(self, model: nn.Module, batches: Batches, loss: Loss) -> float:
        """The number, finite.

        Args:
            model: in evaluation mode; left as it was.
            batches: the training set as it is judged.
            loss: the task's.
        """
        ...
