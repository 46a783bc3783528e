"""The curvature along the gradient: of quadratics, where it is known."""

import pytest
import torch

from analysis.lipschitz import HIGHEST, GradientLipschitz
from tests.analysis.test_hessian import quadratic
from tests.analysis.test_sharpness import ONE, Surface, batches, network
from trainables.errors import UserError


def test_it_is_the_curvature_of_a_quadratic_along_its_gradient() -> None:
    """With curvatures 3 and 1 at (1, 2) the gradient is (3, 2), so L = (3 * 9 + 1 * 4) / 13."""
    model = Surface([1.0, 2.0], lambda w: 5 + (3 * w[0] ** 2 + w[1] ** 2) / 2).eval()
    assert GradientLipschitz()(model, lambda: ONE) == pytest.approx(31 / 13, rel=1e-6)


def test_a_step_of_its_inverse_is_the_best_one_along_the_gradient() -> None:
    def loss(w: torch.Tensor) -> torch.Tensor:
        return 5 + (3 * w[0] ** 2 + w[1] ** 2) / 2

    start = torch.tensor([1.0, 2.0], dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(loss(start), start)
    best = 1 / GradientLipschitz()(Surface(start.tolist(), loss).eval(), lambda: ONE)
    after = [loss(start - factor * best * slope).item() for factor in (0.9, 1.0, 1.1, 2.0)]
    assert after[1] < min(after[0], after[2])
    assert after[3] == pytest.approx(loss(start).item(), rel=1e-9), "twice as far is as high as the start"


def test_it_is_zero_where_the_gradient_is_and_negative_on_a_hill() -> None:
    assert GradientLipschitz()(quadratic(3.0, 1.0), lambda: ONE) == 0
    hill = Surface([1.0, 0.0], lambda w: 5 - w[0] ** 2).eval()
    assert GradientLipschitz()(hill, lambda: ONE) == pytest.approx(-2, rel=1e-6)


def test_a_network_is_left_as_it_was() -> None:
    model = network()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    first, second = (GradientLipschitz(answers=9)(model, batches(7)) for _ in range(2))
    assert first == second > 0
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_what_is_not_finite_is_capped_and_no_answers_are_refused() -> None:
    broken = Surface([1.0], lambda w: w.sum() * float("nan")).eval()
    assert GradientLipschitz()(broken, lambda: ONE) == HIGHEST
    with pytest.raises(UserError, match="answers 0"):
        GradientLipschitz(answers=0)
