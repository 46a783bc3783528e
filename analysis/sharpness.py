"""The sharpness of the minimum that a run ended in: how much the loss rises close to the final weights."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from scipy import optimize
from torch import Tensor, nn

from trainables.errors import require
from trainables.layers.split_invariant import split_invariant
from trainables.loss import CrossEntropy, Loss
from trainables.measure import Batches
from trainables.nested import call

MOST_SHARPNESS = 1e12
"""The highest value that is reported, also where the loss or its gradient is not finite at or near the weights."""


@dataclass(frozen=True)
class Sharpness:
    """The measure `sharpness` of a final model, over its training set; see the function of that name.

    Attributes:
        epsilon: half the side of the box, relative to a weight's absolute value plus one.
        iterations: the most iterations of L-BFGS-B.

    Raises:
        UserError: epsilon is not above 0, or there is less than 1 iteration.
    """

    epsilon: float = 1e-3
    iterations: int = 10

    def __post_init__(self) -> None:
        require(self.epsilon > 0, f"Sharpness epsilon {self.epsilon}: must be above 0")
        require(self.iterations >= 1, f"Sharpness iterations {self.iterations}: must be at least 1")

    @property
    def name(self) -> str:
        return "sharpness"

    def __call__(self, model: nn.Module, batches: Batches, loss: Loss = CrossEntropy()) -> float:
        return sharpness(model, batches, self.epsilon, self.iterations, loss)


def sharpness(
    model: nn.Module, batches: Batches, epsilon: float = 1e-3, iterations: int = 10, loss: Loss = CrossEntropy()
) -> float:
    """The rise of the loss within a small box around the weights x, in per cent of 1 + loss.

        phi = 100 * (max over z in C of f(x + z) - f(x)) / (1 + f(x)),   C = {z: |z_i| <= epsilon * (|x_i| + 1)}

    Here f is the mean loss over all batches. The box has all dimensions (the paper's A is the identity). As in the
    paper, a few iterations of L-BFGS-B search for the maximum, beginning at x. That search can end where it starts, so
    the corner of the box that the gradient points to is tried as well. The highest loss that was seen is used, so phi
    is a lower bound of the true value. It is at least 0, and it is 0 where the gradient is exactly 0.

    The search needs memory for about forty 64-bit numbers per weight, and makes thirteen or more passes over the
    batches.

    Args:
        model: a model in evaluation mode, so that it uses running statistics and drops nothing. Weights and gradients
            are left as they were. States that are carried along streams begin at zero in every pass and are zero
            afterwards. The loss of a batch depends on the state from earlier batches, but no gradient reaches them.
        batches: gives the inputs and targets, a finite number of batches, in the order of their streams where a state
            is carried.
        epsilon: half the side of the box, relative to |x_i| + 1.
        iterations: the most iterations of L-BFGS-B.
        loss: the loss on one batch, of which f is the mean.

    Returns:
        phi, or MOST_SHARPNESS where phi is higher or a loss or gradient is not finite.

    Raises:
        UserError: the model is in training mode.

    Source: Keskar et al. 2017, "On Large-Batch Training for Deep Learning", metric 2.1, with the paper's
    epsilon and number of iterations.
    """
    require(not model.training, "sharpness model: is in training mode; call model.eval() first")
    surface = _Surface(model, batches, loss)
    saved = [parameter.detach().clone() for parameter in surface.parameters]
    try:
        x = _vector(saved)
        reach = epsilon * (np.abs(x) + 1)
        descent, slope = surface(x)
        surface(x + reach * np.sign(-slope))
        optimize.minimize(
            surface,
            x,
            jac=True,
            method="L-BFGS-B",
            bounds=optimize.Bounds(x - reach, x + reach),
            # Near a minimum, changes and gradients are small from the start, so they must not end the search.
            options={"maxiter": iterations, "ftol": 0.0, "gtol": 0.0},
        )
    finally:
        surface.move(saved)
    start = -descent
    return min(100 * (surface.highest - start) / (1 + start), MOST_SHARPNESS) if surface.finite else MOST_SHARPNESS


class _Surface:
    """Minus the mean loss over all batches, and its gradient, as functions of the model's weights in one vector.

    Attributes:
        parameters: the parameters of the model that are trained.
        highest: the highest loss seen so far.
        finite: whether all losses and gradients seen so far were finite.
    """

    def __init__(self, model: nn.Module, batches: Batches, loss: Loss) -> None:
        self.parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self.highest, self.finite = -np.inf, True
        self._model, self._batches, self._loss = model, batches, loss

    def __call__(self, vector: np.ndarray) -> tuple[float, np.ndarray]:
        if not self.finite:  # no loss can be higher; a constant value ends the search
            return 0.0, np.zeros_like(vector)
        sizes = [parameter.numel() for parameter in self.parameters]
        pieces = torch.from_numpy(vector).split(sizes)
        self.move([piece.view_as(each) for piece, each in zip(pieces, self.parameters, strict=True)])
        loss, gradient = self._evaluate()
        self.finite = bool(np.isfinite(loss) and np.isfinite(gradient).all())
        self.highest = max(self.highest, loss)
        return (-loss, -gradient) if self.finite else (0.0, np.zeros_like(vector))

    @torch.no_grad()
    def move(self, values: list[Tensor]) -> None:
        """Set the model's weights to these values."""
        for parameter, value in zip(self.parameters, values, strict=True):
            parameter.copy_(value)
        self._restart()

    def _evaluate(self) -> tuple[float, np.ndarray]:
        """Mean loss and its gradient, summed in 64 bits so that they do not depend on how samples are batched."""
        total, answers = 0.0, 0
        gradient = [torch.zeros_like(parameter, dtype=torch.float64) for parameter in self.parameters]
        with torch.enable_grad(), self._backward_in_evaluation():
            for inputs, targets in self._batches():
                count = self._loss.answers(targets)
                loss = self._loss(call(self._model, inputs), targets) * count
                parts = torch.autograd.grad(loss, self.parameters, allow_unused=True, materialize_grads=True)
                for sum_, part in zip(gradient, parts, strict=True):
                    sum_ += part
                total += loss.item()
                answers += count
        return total / answers, _vector(gradient) / answers

    def _restart(self) -> None:
        """Reset carried states, so that each pass reads the same texts from their beginning."""
        for layer in split_invariant(self._model):
            layer.restart()

    def _backward_in_evaluation(self) -> AbstractContextManager[None]:
        """Turn cuDNN off for recurrent layers, because it refuses their backward pass in evaluation mode."""
        recurrent = any(isinstance(module, nn.RNNBase) for module in self._model.modules())
        return torch.backends.cudnn.flags(enabled=False) if recurrent else nullcontext()


def _vector(values: list[Tensor]) -> np.ndarray:
    """All values in one vector of 64-bit numbers."""
    return torch.cat([value.double().flatten() for value in values]).cpu().numpy()
