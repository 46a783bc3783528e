"""Measure: a number that is measured on the final model of a run, in addition to what every run reports."""

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from torch import nn

from trainables.loss import Loss
from trainables.nested import Nested

Batches = Callable[[], Iterable[tuple[Nested, Nested]]]
"""A function. Each call returns the same batches of inputs and targets, from the first to the last."""


def first_answers(batches: Batches, loss: Loss, answers: int) -> Batches:
    """The first batches, as many as hold this number of answers, for measures that are too slow for all of them."""

    def some() -> Iterator[tuple[Nested, Nested]]:
        left = answers
        for inputs, targets in batches():
            yield inputs, targets
            left -= loss.answers(targets)
            if left <= 0:
                return

    return some


class Measure(Protocol):
    """A frozen dataclass that measures one number on a trained model.

    Attributes:
        name: the name under which the number is reported.
    """

    @property
    def name(self) -> str: ...

    def __call__(self, model: nn.Module, batches: Batches, loss: Loss) -> float:
        """The measured number, which must be finite.

        Args:
            model: the trained model, in evaluation mode; it must be left unchanged.
            batches: the training set without augmentation.
            loss: the task's loss.
        """
        ...
