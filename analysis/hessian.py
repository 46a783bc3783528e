"""The top eigenvalue of the Hessian: how strongly the loss curves where it curves most."""

from dataclasses import dataclass

import numpy as np
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh
from torch import nn

from analysis.loss_surface import LossSurface
from trainables.errors import require
from trainables.loss import CrossEntropy, Loss
from trainables.measure import Batches, first_answers

HIGHEST = 1e12
"""The highest eigenvalue that is reported, also where the Hessian is not finite."""


BASIS = 20
"""How many vectors the Lanczos method keeps. Of no more weights than that, the whole Hessian is computed."""


@dataclass(frozen=True)
class TopEigenvalue:
    """The measure `top_eigenvalue` of a final model; see the function of that name.

    Attributes:
        answers: how many answers of the training set are used at the least, in whole batches, the first ones. Where
            these lie sorted by class, as in a folder of images, they do not stand for all.
        tolerance: the relative accuracy of the eigenvalue.
        products: about the most products of the Hessian with a vector.

    Raises:
        UserError: a field is not above 0, or one but the tolerance is no whole number.
    """

    answers: int = 1000
    tolerance: float = 0.01
    products: int = 500

    def __post_init__(self) -> None:
        require(self.tolerance > 0, f"TopEigenvalue tolerance {self.tolerance}: must be above 0")
        for name, value in (("answers", self.answers), ("products", self.products)):
            whole = isinstance(value, int) and value >= 1
            require(whole, f"TopEigenvalue {name} {value}: must be a whole number, at least 1")

    @property
    def name(self) -> str:
        return "top_eigenvalue"

    def __call__(self, model: nn.Module, batches: Batches, loss: Loss = CrossEntropy()) -> float:
        some = first_answers(batches, loss, self.answers)
        return top_eigenvalue(model, some, self.tolerance, self.products, loss)


def top_eigenvalue(
    model: nn.Module, batches: Batches, tolerance: float = 0.01, products: int = 500, loss: Loss = CrossEntropy()
) -> float:
    """The largest eigenvalue of the Hessian of the mean loss over all batches, by the Lanczos method (ARPACK).

    It needs memory for about thirty 64-bit numbers per weight.

    Args:
        model: a model in evaluation mode; it is left as it was.
        batches: gives the inputs and targets, a finite number of batches.
        tolerance: the relative accuracy of the eigenvalue.
        products: about the most products of the Hessian with a vector. Each takes about twice as long as a gradient of
            the batches; twenty to sixty are usual.
        loss: the loss on one batch.

    Returns:
        the eigenvalue, from -HIGHEST to HIGHEST; HIGHEST where the Hessian is not finite, or where so many products did
        not find it.

    Raises:
        UserError: the model is in training mode.

    Source: Ghorbani et al. 2019, "An Investigation into Neural Net Optimization via Hessian Eigenvalue Density",
    section 2. Power iteration, as in Yao et al. 2018, takes eigenvalues of either sign for one another.
    """
    surface = LossSurface(model, batches, loss)
    size = sum(each.numel() for each in surface.parameters)
    try:
        if size <= BASIS:
            matrix = np.stack([_finite(surface.curvature(unit)) for unit in np.eye(size)])
            found = np.linalg.eigvalsh((matrix + matrix.T) / 2)
        else:
            operator = LinearOperator((size, size), lambda vector: _finite(surface.curvature(vector)), dtype=np.float64)
            found = eigsh(
                operator,
                k=1,
                which="LA",
                v0=np.random.default_rng(0).standard_normal(size),
                ncv=BASIS,
                maxiter=max(1, products // BASIS),
                tol=tolerance,
                return_eigenvectors=False,
            )
    except (FloatingPointError, ArpackNoConvergence):
        return HIGHEST
    return float(np.clip(found[-1], -HIGHEST, HIGHEST))


def _finite(values: np.ndarray) -> np.ndarray:
    """The values, if they are finite."""
    if not np.isfinite(values).all():
        raise FloatingPointError
    return values
