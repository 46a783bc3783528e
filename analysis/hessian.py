"""The top eigenvalue of the Hessian: how strongly the loss curves where it curves most."""

from dataclasses import dataclass

import numpy as np
from torch import nn

from analysis.loss_surface import LossSurface
from trainables.errors import require
from trainables.loss import CrossEntropy, Loss
from trainables.measure import Batches, first_answers

HIGHEST = 1e12
"""The highest eigenvalue that is reported, also where the Hessian is not finite."""


@dataclass(frozen=True)
class TopEigenvalue:
    """The measure `top_eigenvalue` of a final model; see the function of that name.

    Attributes:
        answers: how many answers of the training set are used at the least, in whole batches.
        iterations: the most products of the Hessian with a vector.
        tolerance: the estimate has settled when it changes by less than this share of itself.

    Raises:
        UserError: a field is not above 0.
    """

    answers: int = 1000
    iterations: int = 50
    tolerance: float = 0.01

    def __post_init__(self) -> None:
        for name, value in self.__dict__.items():
            require(value > 0, f"TopEigenvalue {name} {value}: must be above 0")

    @property
    def name(self) -> str:
        return "top_eigenvalue"

    def __call__(self, model: nn.Module, batches: Batches, loss: Loss = CrossEntropy()) -> float:
        some = first_answers(batches, loss, self.answers)
        return top_eigenvalue(model, some, self.iterations, self.tolerance, loss)


def top_eigenvalue(
    model: nn.Module, batches: Batches, iterations: int = 50, tolerance: float = 0.01, loss: Loss = CrossEntropy()
) -> float:
    """The largest eigenvalue of the Hessian H of the mean loss over all batches, by power iteration.

        v <- (H v - shift v) / |H v - shift v|,    eigenvalue = v' H v

    Power iteration finds the eigenvalue of the largest magnitude. Where that is negative, it begins again with that
    eigenvalue as the shift, so that the largest one is found.

    Args:
        model: a model in evaluation mode; it is left as it was.
        batches: gives the inputs and targets, a finite number of batches.
        iterations: the most products of the Hessian with a vector for each power iteration. Each takes about twice as
            long as a gradient of the batches.
        tolerance: the estimate has settled when it changes by less than this share of itself.
        loss: the loss on one batch.

    Returns:
        the eigenvalue, from -HIGHEST to HIGHEST; HIGHEST where the Hessian is not finite.

    Raises:
        UserError: the model is in training mode.

    Source: Yao et al. 2018, "Hessian-based Analysis of Large Batch Training and Robustness to Adversaries", section 2.
    """
    surface = LossSurface(model, batches, loss)
    largest = _power(surface, 0.0, iterations, tolerance)
    found = _power(surface, largest, iterations, tolerance) if largest < 0 else largest
    return float(np.clip(found, -HIGHEST, HIGHEST)) if np.isfinite(found) else HIGHEST


def _power(surface: LossSurface, shift: float, iterations: int, tolerance: float) -> float:
    """The eigenvalue that lies farthest from the shift; nan where the Hessian is not finite."""
    vector = np.random.default_rng(0).standard_normal(sum(each.numel() for each in surface.parameters))
    eigenvalue, before = 0.0, np.nan
    for _ in range(iterations):
        vector /= np.linalg.norm(vector)
        product = surface.curvature(vector)
        if not np.isfinite(product).all():
            return np.nan
        eigenvalue = float(vector @ product)
        vector = product - shift * vector
        if abs(eigenvalue - before) <= tolerance * abs(eigenvalue) or not vector.any():
            break
        before = eigenvalue
    return eigenvalue
