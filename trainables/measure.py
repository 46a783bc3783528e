"""What is measured on the final model of a run, besides what every run reports."""

from collections.abc import Callable, Iterable
from typing import Protocol

from torch import Tensor, nn


class Measure(Protocol):
    """A frozen dataclass that measures one number on a trained model.

    Attributes:
        name: of the metric it reports.
    """

    @property
    def name(self) -> str: ...

    def __call__(self, model: nn.Module, batches: Callable[[], Iterable[tuple[Tensor, Tensor]]]) -> float:
        """The number, finite.

        Args:
            model: in evaluation mode; left as it was.
            batches: each call goes once over the training set as it is judged: inputs and labels.
        """
        ...
