"""The sharpness of the minimum that a run ended in: how much the loss rises close to the final weights."""

from dataclasses import dataclass

import numpy as np
from scipy import optimize
from torch import nn

from analysis.loss_surface import LossSurface, vector
from trainables.errors import require
from trainables.loss import CrossEntropy, Loss
from trainables.measure import Batches

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


@dataclass(frozen=True)
class AscentSharpness:
    """The measure `ascent_sharpness` of a final model, over its training set: what SAM perturbs the weights to feel.

        L(w + rho * g / |g|) - L(w)    with g the gradient of the mean loss L over all batches

    It takes two passes over the batches. It is at most MOST_SHARPNESS, also where a loss is not finite.

    Attributes:
        rho: how far the weights move, in the Euclidean norm.

    Raises:
        UserError: rho is not above 0, or the model is in training mode.

    Source: Foret et al. 2021, "Sharpness-Aware Minimization for Efficiently Improving Generalization", equation 2.
    """

    rho: float = 0.05

    def __post_init__(self) -> None:
        require(self.rho > 0, f"AscentSharpness rho {self.rho}: must be above 0")

    @property
    def name(self) -> str:
        return "ascent_sharpness"

    def __call__(self, model: nn.Module, batches: Batches, loss: Loss = CrossEntropy()) -> float:
        surface = LossSurface(model, batches, loss)
        saved = surface.weights()
        try:
            low, slope = surface.gradient()
            norm = float(np.linalg.norm(slope))
            if norm == 0:
                return 0.0
            surface.move(surface.pieces(vector(saved) + self.rho * slope / norm))
            high, _ = surface.gradient()
        finally:
            surface.move(saved)
        return min(high - low, MOST_SHARPNESS) if np.isfinite(high - low) else MOST_SHARPNESS


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
    surface = LossSurface(model, batches, loss)
    climb = _Climb(surface)
    saved = surface.weights()
    try:
        x = vector(saved)
        reach = epsilon * (np.abs(x) + 1)
        descent, slope = climb(x)
        climb(x + reach * np.sign(-slope))
        optimize.minimize(
            climb,
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
    return min(100 * (climb.highest - start) / (1 + start), MOST_SHARPNESS) if climb.finite else MOST_SHARPNESS


class _Climb:
    """Minus the mean loss, and its gradient, as functions of the model's weights in one vector.

    Attributes:
        highest: the highest loss seen so far.
        finite: whether all losses and gradients seen so far were finite.
    """

    def __init__(self, surface: LossSurface) -> None:
        self.highest, self.finite = -np.inf, True
        self._surface = surface

    def __call__(self, values: np.ndarray) -> tuple[float, np.ndarray]:
        if not self.finite:  # no loss can be higher; a constant value ends the search
            return 0.0, np.zeros_like(values)
        self._surface.move(self._surface.pieces(values))
        loss, gradient = self._surface.gradient()
        self.finite = bool(np.isfinite(loss) and np.isfinite(gradient).all())
        self.highest = max(self.highest, loss)
        return (-loss, -gradient) if self.finite else (0.0, np.zeros_like(values))
