"""Slices of the loss around a minimum, in directions that are scaled filter by filter."""

from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from torch import Tensor, nn

from analysis.loss_surface import LossSurface
from trainables.errors import require
from trainables.loss import CrossEntropy, Loss
from trainables.measure import Batches, first_answers

REACH = 1.0
"""How far a slice goes from the minimum on either side, in multiples of a direction."""
HIGHEST = 1e12
"""The highest loss that is reported, also where a loss is not finite."""


def places(points: int) -> np.ndarray:
    """(points,) the multiples of a direction at which a slice is taken; the middle one is 0."""
    return np.linspace(-REACH, REACH, points)


@dataclass(frozen=True)
class _Slice:
    """What a line and a plane share.

    Attributes:
        points: how many losses are computed along a direction, an odd number, so that the middle one is the minimum's.
        answers: how many answers of the training set are used at the least, in whole batches, the first ones.
        seed: of the directions; the first is the same for a line and a plane.

    Raises:
        UserError: points is no odd number of at least 3, or answers no whole number above 0.
    """

    points: int
    answers: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        kind, points, answers = type(self).__name__, self.points, self.answers
        odd = isinstance(points, int) and points >= 3 and points % 2 == 1
        require(odd, f"{kind} points {points}: must be an odd number, at least 3")
        whole = isinstance(answers, int) and answers >= 1
        require(whole, f"{kind} answers {answers}: must be a whole number, at least 1")

    def _losses(self, model: nn.Module, batches: Batches, loss: Loss, directions: int) -> tuple[float, ...]:
        """The losses at every combination of the places along so many directions, the last one varying fastest."""
        some = first_answers(batches, loss, self.answers)
        return losses_around(model, some, list(product(places(self.points), repeat=directions)), loss, self.seed)


@dataclass(frozen=True)
class LossLine(_Slice):
    """The measure `loss_line` of a final model: the loss along one random direction; see `_Slice`, `losses_around`."""

    points: int = 21

    @property
    def name(self) -> str:
        return "loss_line"

    def __call__(self, model: nn.Module, batches: Batches, loss: Loss = CrossEntropy()) -> tuple[float, ...]:
        """The loss at each of `places(points)`."""
        return self._losses(model, batches, loss, directions=1)


@dataclass(frozen=True)
class LossPlane(_Slice):
    """The measure `loss_plane` of a final model: the loss in the plane of two random directions; see `losses_around`.

    Its fields are those of `_Slice`.
    """

    points: int = 11

    @property
    def name(self) -> str:
        return "loss_plane"

    def __call__(self, model: nn.Module, batches: Batches, loss: Loss = CrossEntropy()) -> tuple[float, ...]:
        """The points x points losses, row by row; a row has one multiple of the first direction."""
        return self._losses(model, batches, loss, directions=2)


def losses_around(
    model: nn.Module,
    batches: Batches,
    where: list[tuple[float, ...]],
    loss: Loss = CrossEntropy(),
    seed: int = 0,
) -> tuple[float, ...]:
    """The mean loss over all batches at weights w + a * d1 + b * d2 + ... for each (a, b, ...).

    The directions are random, with normally distributed entries. Each filter of a direction, all weights that lead to
    one output, is scaled to the norm of the same filter of w, so that slices of networks with differently scaled
    weights can be compared. Biases and the weights of normalisation layers are not moved.

    Args:
        model: a model in evaluation mode; it is left as it was.
        batches: gives the inputs and targets, a finite number of batches.
        where: the multiples of the directions; all tuples have the same length.
        loss: the loss on one batch.
        seed: of the directions.

    Returns:
        the losses, HIGHEST where one is higher or not finite.

    Raises:
        UserError: the model is in training mode.

    Source: Li et al. 2018, "Visualizing the Loss Landscape of Neural Nets", section 4; Li and Sheng, Figure 1b.
    """
    surface = LossSurface(model, batches, loss)
    saved = surface.weights()
    generator = torch.Generator().manual_seed(seed)
    directions = [[filter_normalised(each, generator) for each in saved] for _ in where[0]]
    found = []
    try:
        for at in where:
            steps = zip(saved, *directions, strict=True)
            surface.move(each + sum(a * d for a, d in zip(at, along, strict=True)) for each, *along in steps)
            value = surface.loss()
            found.append(min(value, HIGHEST) if np.isfinite(value) else HIGHEST)
    finally:
        surface.move(saved)
    return tuple(found)


def filter_normalised(weights: Tensor, generator: torch.Generator) -> Tensor:
    """A random direction for these weights, each filter of it as long as theirs; 0 for weights of one dimension.

    Args:
        weights: (outputs, ...) the weights of a layer.
        generator: of the random numbers, on the CPU.
    """
    direction = torch.randn(weights.shape, generator=generator).to(weights.device, weights.dtype)
    if weights.ndim < 2:
        return torch.zeros_like(weights)
    rows, of_weights = direction.flatten(1), weights.flatten(1)
    scale = of_weights.norm(dim=1, keepdim=True) / rows.norm(dim=1, keepdim=True).clamp_min(1e-10)
    return (rows * scale).view_as(weights)
