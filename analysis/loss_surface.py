"""The mean loss over all batches as a function of a model's weights, and its derivatives."""

from collections.abc import Iterable
from contextlib import AbstractContextManager, ExitStack

import numpy as np
import torch
from torch import Tensor, nn

from trainables.errors import require
from trainables.layers.split_invariant import split_invariant
from trainables.loss import Loss
from trainables.measure import Batches
from trainables.nested import call


class LossSurface:
    """The mean loss over all batches around the weights of a model, which can be moved.

    States that are carried along streams begin at zero in every pass. The loss of a batch depends on the state from
    earlier batches, but no gradient reaches them.

    Args:
        model: a model in evaluation mode, so that it uses running statistics and drops nothing.
        batches: gives the inputs and targets, a finite number of batches, in the order of their streams where a state
            is carried.
        loss: the loss on one batch.

    Attributes:
        parameters: the parameters of the model that are trained.

    Raises:
        UserError: the model is in training mode.
    """

    def __init__(self, model: nn.Module, batches: Batches, loss: Loss) -> None:
        require(not model.training, "model to measure: is in training mode; call model.eval() first")
        self.parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self._model, self._batches, self._loss = model, batches, loss

    @torch.no_grad()
    def move(self, values: Iterable[Tensor]) -> None:
        """Set the model's weights to these values."""
        for parameter, value in zip(self.parameters, values, strict=True):
            parameter.copy_(value)

    def weights(self) -> list[Tensor]:
        """A copy of the model's weights."""
        return [parameter.detach().clone() for parameter in self.parameters]

    def pieces(self, values: np.ndarray) -> list[Tensor]:
        """The values of one vector in the shapes of the parameters."""
        pieces = torch.from_numpy(values).split([parameter.numel() for parameter in self.parameters])
        return [piece.view_as(each) for piece, each in zip(pieces, self.parameters, strict=True)]

    @torch.no_grad()
    def loss(self) -> float:
        """The mean loss."""
        total, answers = 0.0, 0
        self._restart()
        for inputs, targets in self._batches():
            count = self._loss.answers(targets)
            total += self._loss(call(self._model, inputs), targets).item() * count
            answers += count
        self._restart()
        return total / answers

    def gradient(self) -> tuple[float, np.ndarray]:
        """The mean loss and its gradient in one vector, summed in 64 bits so that it does not matter how samples are
        batched."""
        total, answers, sums = 0.0, 0, self._zeros()
        self._restart()
        with self._derivatives():
            for inputs, targets in self._batches():
                count = self._loss.answers(targets)
                loss = self._loss(call(self._model, inputs), targets) * count
                _add(sums, torch.autograd.grad(loss, self.parameters, allow_unused=True, materialize_grads=True))
                total += loss.item()
                answers += count
        self._restart()
        return total / answers, vector(sums) / answers

    def curvature(self, along: np.ndarray) -> np.ndarray:
        """The Hessian of the mean loss times a vector."""
        direction = [
            piece.to(each.device, each.dtype) for piece, each in zip(self.pieces(along), self.parameters, strict=True)
        ]
        answers, sums = 0, self._zeros()
        self._restart()
        with self._derivatives():
            for inputs, targets in self._batches():
                count = self._loss.answers(targets)
                loss = self._loss(call(self._model, inputs), targets) * count
                slopes = torch.autograd.grad(
                    loss, self.parameters, create_graph=True, allow_unused=True, materialize_grads=True
                )
                slope = torch.stack([(a * b).sum() for a, b in zip(slopes, direction, strict=True)]).sum()
                if slope.requires_grad:
                    _add(sums, torch.autograd.grad(slope, self.parameters, allow_unused=True, materialize_grads=True))
                answers += count
        self._restart()
        return vector(sums) / answers

    def _zeros(self) -> list[Tensor]:
        return [torch.zeros_like(parameter, dtype=torch.float64) for parameter in self.parameters]

    def _restart(self) -> None:
        """Reset carried states, so that each pass reads the same texts from their beginning."""
        for layer in split_invariant(self._model):
            layer.restart()

    def _derivatives(self) -> AbstractContextManager[object]:
        """Gradients on, and cuDNN off for recurrent layers, because it refuses their backward pass in evaluation."""
        recurrent = any(isinstance(module, nn.RNNBase) for module in self._model.modules())
        stack = ExitStack()
        stack.enter_context(torch.enable_grad())
        if recurrent:
            stack.enter_context(torch.backends.cudnn.flags(enabled=False))
        return stack


def _add(sums: list[Tensor], parts: Iterable[Tensor]) -> None:
    for sum_, part in zip(sums, parts, strict=True):
        sum_ += part


def vector(values: Iterable[Tensor]) -> np.ndarray:
    """All values in one vector of 64-bit numbers."""
    return torch.cat([value.double().flatten() for value in values]).cpu().numpy()
