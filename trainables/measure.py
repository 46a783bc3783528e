"""Measure: what is measured on a model, in addition to what every run reports."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import nn

from trainables.errors import require
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
    """A frozen dataclass that measures one number on a model, or several in a fixed order.

    Attributes:
        name: the name under which the number or the numbers are reported.
    """

    @property
    def name(self) -> str: ...

    def __call__(self, model: nn.Module, batches: Batches, loss: Loss) -> float | Sequence[float]:
        """The measured number or numbers, which must be finite.

        Args:
            model: the model, in evaluation mode; it must be left unchanged.
            batches: the training set without augmentation.
            loss: the task's loss.
        """
        ...


@dataclass(frozen=True)
class Tracked:
    """A measure of one number that is taken during training, before the first step and then before every so many steps.

    It is taken on a copy of the model, so training does not depend on it, and its time is not counted as training time.

    Attributes:
        measure: what is measured.
        every: the number of steps from one measurement to the next.
        until: the number of steps after which it is taken no more; None for the whole run.

    Raises:
        UserError: every or until is not a whole number, at least 1.
    """

    measure: Measure
    every: int
    until: int | None = None

    def __post_init__(self) -> None:
        for name, value in (("every", self.every), ("until", self.until)):
            whole = isinstance(value, int) and value >= 1
            accepted = whole or (name == "until" and value is None)
            require(accepted, f"Tracked {name} {value!r}: must be a whole number of steps, at least 1")

    def due(self, steps: int) -> bool:
        """Whether it is taken before the next step, after so many steps."""
        return steps % self.every == 0 and (self.until is None or steps < self.until)

    @property
    def name(self) -> str:
        return self.measure.name
