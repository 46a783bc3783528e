"""How fast the gradient changes along its own direction, which limits the learning rate of the next step."""

from dataclasses import dataclass

import numpy as np
from torch import nn

from analysis.loss_surface import LossSurface
from trainables.errors import require
from trainables.loss import CrossEntropy, Loss
from trainables.measure import Batches, first_answers

HIGHEST = 1e12
"""The highest value that is reported, also where the loss or a derivative of it is not finite."""


@dataclass(frozen=True)
class GradientLipschitz:
    """The measure `gradient_lipschitz`: the curvature of the loss along its gradient.

        L(x, g) = g' H g / (g' g)    with g and H the gradient and the Hessian of the mean loss at the weights x

    A step of gradient descent with a learning rate of 1 / L is the best one for the second-order approximation of the
    loss; rates above 2 / L raise it. The paper approximates L on a small batch by finite differences; here it is exact
    on the first answers of the training set, the same ones at every step and for every batch size.

    Attributes:
        answers: how many answers of the training set are used at the least, in whole batches, the first ones.

    Raises:
        UserError: answers is no whole number above 0, or the model is in training mode.

    Source: You et al. 2019, "Large-Batch Training for LSTM and Beyond", section 4, Figure 3.
    """

    answers: int = 250

    def __post_init__(self) -> None:
        whole = isinstance(self.answers, int) and self.answers >= 1
        require(whole, f"GradientLipschitz answers {self.answers}: must be a whole number, at least 1")

    @property
    def name(self) -> str:
        return "gradient_lipschitz"

    def __call__(self, model: nn.Module, batches: Batches, loss: Loss = CrossEntropy()) -> float:
        """L(x, g), from -HIGHEST to HIGHEST; 0 where the gradient is exactly 0."""
        surface = LossSurface(model, first_answers(batches, loss, self.answers), loss)
        _, gradient = surface.gradient()
        square = float(gradient @ gradient)
        if square == 0:
            return 0.0
        value = float(gradient @ surface.curvature(gradient)) / square
        return float(np.clip(value, -HIGHEST, HIGHEST)) if np.isfinite(value) else HIGHEST
