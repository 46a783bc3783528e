"""Loss: what training minimises.

A loss is a frozen dataclass called with a model's outputs and the targets of the same samples. To add one, subclass
Loss, here or in a module of your own.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from trainables.errors import UserError, require
from trainables.nested import Nested, answers_in, described


class Loss(ABC):
    """(outputs, targets) -> the mean loss over the answers of a batch, a scalar.

    A batch is split over workers and micro-batches, and every sample has the same weight in the mean. So every sample
    must have the same number of answers (predicted classes, tokens or numbers). Where their number varies, the loss
    must first average within each sample.
    """

    @abstractmethod
    def __call__(self, outputs: Any, targets: Nested) -> Tensor: ...

    def total(self, outputs: Any, targets: Nested) -> Tensor:
        """The sum of the loss over the answers, a scalar."""
        return self(outputs, targets) * self.answers(targets)

    def answers(self, targets: Nested) -> int:
        """The number of answers that the mean is taken over."""
        return answers_in(targets)

    def guess(self, classes: int) -> float | None:
        """The loss of a uniform guess among this number of classes; None where a guess has no meaning."""
        return None


@dataclass(frozen=True)
class CrossEntropy(Loss):
    """Minus the logarithm of the probability that the model gives to the right class, averaged over answers, in nats.

    loss = - sum over classes c of q_c log softmax(logits)_c   with q the label, smoothed: (1 - s) [c = y] + s / classes

    Outputs are logits (..., classes), targets are class numbers (...): (batch,) for one answer per sample, or
    (batch, steps) for one per token. Where a model returns a mapping or a tuple, as Hugging Face's models do, the entry
    `logits` of the mapping or the first entry of the tuple is used.

    Attributes:
        label_smoothing: s, at least 0 and below 1.

    Raises:
        UserError: label_smoothing is outside its range, or it is called with outputs and targets of other shapes or
            types.

    Source: Szegedy et al. 2016, "Rethinking the Inception Architecture for Computer Vision", section 7 (smoothing).
    """

    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        smoothing = self.label_smoothing
        require(0 <= smoothing < 1, f"CrossEntropy label_smoothing {smoothing}: must be at least 0 and below 1")

    def __call__(self, outputs: Any, targets: Nested) -> Tensor:
        logits = class_logits(self, outputs, targets)  # (..., classes)
        return F.cross_entropy(logits.flatten(0, -2), targets.flatten(), label_smoothing=self.label_smoothing)

    def total(self, outputs: Any, targets: Nested) -> Tensor:
        logits = class_logits(self, outputs, targets)
        smoothing = self.label_smoothing
        return F.cross_entropy(logits.flatten(0, -2), targets.flatten(), reduction="sum", label_smoothing=smoothing)

    def guess(self, classes: int) -> float | None:
        return math.log(classes)


@dataclass(frozen=True)
class SquaredError(Loss):
    """The mean squared difference between outputs and targets, for regression.

    loss = mean of (output - target)^2

    Outputs and targets must have the same shape. Outputs (batch, 1) with targets (batch,) are refused, because PyTorch
    would compare every output with every target.

    Raises:
        UserError: it is called with outputs and targets of different shapes.

    Source: Bishop 2006, "Pattern Recognition and Machine Learning", equation 1.2.
    """

    def __call__(self, outputs: Any, targets: Nested) -> Tensor:
        return F.mse_loss(same_shape(self, outputs, targets), targets)


def logits_of(outputs: Any) -> Tensor:
    """The logits among a model's outputs."""
    if isinstance(outputs, Mapping):
        return outputs["logits"]
    return outputs[0] if isinstance(outputs, tuple) else outputs


def class_logits(piece: object, outputs: Any, targets: Nested) -> Tensor:
    """The logits (..., classes) among a model's outputs, for targets (...) that are class numbers.

    Raises:
        UserError: the targets are not whole numbers, or their shape is not that of the logits without the last
            dimension.
    """
    logits = logits_of(outputs)
    fits = isinstance(logits, Tensor) and isinstance(targets, Tensor) and logits.shape[:-1] == targets.shape
    if not fits or logits.shape[-1] < 2 or targets.is_floating_point():
        raise UserError(
            f"{piece!r}: needs logits (..., classes) of two classes or more and class numbers (...), got outputs "
            f"{described(outputs)} and targets {described(targets)}; for regression there are SquaredError() and "
            "MeanSquaredError()"
        )
    return logits


def same_shape(piece: object, outputs: Any, targets: Nested) -> Tensor:
    """The values among a model's outputs, which must have the shape of the targets.

    Raises:
        UserError: they are no tensors of one shape.
    """
    values = logits_of(outputs)
    if not (isinstance(values, Tensor) and isinstance(targets, Tensor) and values.shape == targets.shape):
        raise UserError(
            f"{piece!r}: outputs {described(outputs)} and targets {described(targets)} must be tensors of one shape"
        )
    return values
