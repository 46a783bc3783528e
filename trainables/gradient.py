"""Gradient: from a batch to the gradient the optimizer steps along.

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
    """A forward and a backward pass over the whole batch at the model's present weights.

    It adds the gradient of the batch's mean loss to .grad and returns that mean loss, a scalar. Micro-batches,
    workers and mixed precision are its own affair.

    Args:
        move_statistics: whether BatchNorm's running statistics take note of the pass.
        average: whether the gradient is averaged over the workers.
    """

    def __call__(self, *, move_statistics: bool = True, average: bool = True) -> Tensor: ...


class Gradient(ABC):
    """(model, backward, progress) -> the batch's mean loss at the model's weights.

    It leaves in each parameter's .grad what the optimizer shall step along, and the weights as they were.
    """

    @abstractmethod
    def __call__(self, model: nn.Module, backward: Backward, progress: Progress) -> Tensor: ...


@dataclass(frozen=True)
class Plain(Gradient):
    """The gradient of the batch's mean loss, as it is.

    g = 1/|B| * sum over x in B of grad l(x, w)
    """

    def __call__(self, model: nn.Module, backward: Backward, progress: Progress) -> Tensor:
        return backward()


@dataclass(frozen=True)
class SharpnessAware(Gradient):
    """What SAM and its kin share: a second gradient, at the worst point of a neighbourhood of the weights.

    Two passes: one to find the step e to that point, one at w + e. The second leaves BatchNorm's running statistics
    alone and sees the same dropout; the loss returned is that of the first. Steps between every `every`-th are plain.

    Attributes:
        rho: radius of the neighbourhood, at least 0; 0 is Plain.
        perturbation: "global": e comes from the whole batch's gradient, and no result depends on the number of workers.
            "per_worker": each worker perturbs along its own share's gradient, which saves an exchange and makes e that
            of a smaller batch (m-sharpness, m = B / workers): here results do depend on the number of workers.
        every: how many steps from one perturbed step to the next, at least 1.

    Raises:
        UserError: a value outside those ranges.
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
        """T: how far the neighbourhood reaches along each weight."""

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
    """Sharpness-aware minimisation: the gradient at the worst point near the weights.

    g = grad L(w + e),   e = rho * grad L(w) / |grad L(w)|_2

    Attributes:
        rho: radius of the neighbourhood, in the weights' own units, at least 0; 0 is Plain.
        perturbation, every: as of SharpnessAware.

    Raises:
        UserError: a value outside those ranges.

    Source: Foret et al. 2021, "Sharpness-Aware Minimization for Efficiently Improving Generalization", algorithm 1 and
    section 4.1 (m-sharpness).
    """

    def size(self, weight: Tensor) -> Tensor | float:
        return 1.0


@dataclass(frozen=True)
class ASAM(SharpnessAware):
    """Adaptive SAM: a neighbourhood whose size follows each weight's own.

    g = grad L(w + e),   e = rho * T^2 grad L(w) / |T grad L(w)|_2   with T = |w| + eta

    Attributes:
        rho: radius in units of the weights, at least 0; about ten times SAM's.
        perturbation, every: as of SharpnessAware.
        eta: keeps small weights moving, at least 0.

    Raises:
        UserError: a value outside those ranges.

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
    """Inside, weights are a step away; afterwards they are exactly what they were."""
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
