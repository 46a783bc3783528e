"""Gradient: how the gradient that the optimizer steps along is computed from a batch.

A gradient is a frozen dataclass. To add one, write one more such class here; the contract tests find it.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor, nn

from trainables.errors import require
from trainables.progress import Progress


class Backward(Protocol):
    """A forward and a backward pass over the whole batch at the model's current weights.

    It adds the gradient of the batch's mean loss to .grad and returns that mean loss, a scalar. It takes care of
    micro-batches, workers and mixed precision.

    Args:
        move_statistics: whether the pass counts for BatchNorm's running statistics and for states that layers carry.
        average: whether the gradient is averaged over the workers.
    """

    def __call__(self, *, move_statistics: bool = True, average: bool = True) -> Tensor: ...


class Gradient(ABC):
    """(model, backward, progress) -> the batch's mean loss at the model's weights.

    It leaves the gradient for the optimizer in each parameter's .grad, and it leaves the weights unchanged.
    """

    @abstractmethod
    def __call__(self, model: nn.Module, backward: Backward, progress: Progress) -> Tensor: ...


@dataclass(frozen=True)
class Plain(Gradient):
    """The gradient of the batch's mean loss, unchanged.

    g = 1/|B| * sum over x in B of grad l(x, w)
    """

    def __call__(self, model: nn.Module, backward: Backward, progress: Progress) -> Tensor:
        return backward()


@dataclass(frozen=True)
class SharpnessAware(Gradient):
    """The base class of SAM and ASAM: the gradient at the point of highest loss in a neighbourhood of the weights.

    It makes two passes over the batch: the first finds the step e to that point, and the second computes the gradient
    at w + e. The second pass does not change BatchNorm's running statistics and drops the same values as the first. The
    loss returned is that of the first pass. Only every `every`-th step works like this; the others use the plain
    gradient.

    Attributes:
        rho: radius of the neighbourhood, at least 0; 0 gives the plain gradient.
        perturbation: "global" computes e from the gradient of the whole batch, so results do not depend on the number
            of workers. "per_worker" computes e on each worker from the gradient of its own share. This saves one
            exchange and makes e that of a smaller batch (m-sharpness, m = B / workers), so results depend on the number
            of workers.
        every: number of steps from one perturbed step to the next, at least 1.

    Raises:
        UserError: a value is outside its range.
    """

    rho: float = 0.05
    perturbation: Literal["global", "per_worker"] = "global"
    every: int = 1

    def __post_init__(self) -> None:
        name = type(self).__name__
        require(0 <= self.rho < math.inf, f"{name} rho {self.rho}: must be at least 0 and finite")
        require(
            self.perturbation in ("global", "per_worker"),
            f"{name} perturbation {self.perturbation!r}: must be 'global' or 'per_worker'",
        )
        whole = isinstance(self.every, int) and self.every >= 1
        require(whole, f"{name} every {self.every}: must be a whole number, at least 1")

    @abstractmethod
    def size(self, weight: Tensor) -> Tensor | float:
        """T: how far the neighbourhood reaches along each weight, as a multiple of rho."""

    def __call__(self, model: nn.Module, backward: Backward, progress: Progress) -> Tensor:
        if progress.steps % self.every:
            return backward()
        loss = backward(average=self.perturbation == "global")
        weights = [parameter for parameter in model.parameters() if parameter.grad is not None]
        with torch.no_grad():
            scaled = [weight.grad * self.size(weight) for weight in weights if weight.grad is not None]
            norm = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(each) for each in scaled]))
            length = self.rho / (norm + torch.finfo(norm.dtype).tiny)
            steps = [length * self.size(weight) * each for weight, each in zip(weights, scaled, strict=True)]
        for weight in weights:
            weight.grad = None
        with _moved(weights, steps):
            backward(move_statistics=False)
        return loss


@dataclass(frozen=True)
class SAM(SharpnessAware):
    """Sharpness-aware minimisation: the gradient at the point of highest loss near the weights.

    g = grad L(w + e),   e = rho * grad L(w) / |grad L(w)|_2

    Attributes:
        rho: radius of the neighbourhood, in units of the weights, at least 0; 0 gives the plain gradient.
        perturbation, every: see SharpnessAware.

    Raises:
        UserError: a value is outside its range.

    Source: Foret et al. 2021, "Sharpness-Aware Minimization for Efficiently Improving Generalization", algorithm 1 and
    section 4.1 (m-sharpness).
    """

    def size(self, weight: Tensor) -> Tensor | float:
        return 1.0


@dataclass(frozen=True)
class ASAM(SharpnessAware):
    """Adaptive SAM: SAM with a neighbourhood that reaches further along larger weights.

    g = grad L(w + e),   e = rho * T^2 grad L(w) / |T grad L(w)|_2   with T = |w| + eta

    Attributes:
        rho: radius of the neighbourhood relative to the size of the weights, at least 0; usually about ten times SAM's.
        perturbation, every: see SharpnessAware.
        eta: added to the size of each weight so that small weights are perturbed too, at least 0.

    Raises:
        UserError: a value is outside its range.

    Source: Kwon et al. 2021, "ASAM: Adaptive Sharpness-Aware Minimization", algorithm 1.
    """

    rho: float = 0.5
    eta: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.eta >= 0, f"ASAM eta {self.eta}: must be at least 0")

    def size(self, weight: Tensor) -> Tensor | float:
        return weight.abs() + self.eta


@contextmanager
def _moved(weights: list[nn.Parameter], steps: list[Tensor]) -> Iterator[None]:
    """Inside the context, the steps are added to the weights; afterwards the weights are exactly what they were."""
    before = [weight.detach().clone() for weight in weights]
    try:
        with torch.no_grad():
            for weight, step in zip(weights, steps, strict=True):
                weight.add_(step)
        yield
    finally:
        with torch.no_grad():
            for weight, old in zip(weights, before, strict=True):
                weight.copy_(old)
