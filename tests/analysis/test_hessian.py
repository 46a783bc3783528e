"""The top eigenvalue: of quadratics, of a network whose Hessian is written out, and models left as they were."""

import copy
import math
import random

import pytest
import torch
from torch import Tensor, nn

from analysis.hessian import BASIS, HIGHEST, TopEigenvalue, top_eigenvalue
from analysis.sharpness import AscentSharpness
from tests.analysis.test_sharpness import ONE, Surface, batches, network
from trainables.errors import UserError
from trainables.loss import CrossEntropy
from trainables.measure import Measure, first_answers
from trainables.models import LSTMClassifier


def quadratic(*curvatures: float) -> nn.Module:
    """A loss with these eigenvalues at its weights, along directions that are not those of the weights."""
    count = len(curvatures)
    generator = torch.Generator().manual_seed(3)
    directions, _ = torch.linalg.qr(torch.randn(count, count, generator=generator, dtype=torch.float64))
    hessian = directions @ torch.diag(torch.tensor(curvatures, dtype=torch.float64)) @ directions.T
    return Surface([0.0] * count, lambda weights: 5 + weights @ hessian @ weights / 2).eval()


@pytest.mark.parametrize(
    ("curvatures", "largest"),
    [
        ((3.0, 1.0, 0.2), 3.0),
        ((0.5, -0.1), 0.5),
        ((-4.0, 1.0, 2.0), 2.0),
        ((-4.0, -1.0, -2.0), -1.0),
        ((0.7,), 0.7),
    ],
)
def test_the_largest_eigenvalue_of_a_quadratic_is_found(curvatures: tuple[float, ...], largest: float) -> None:
    assert top_eigenvalue(quadratic(*curvatures), lambda: ONE) == pytest.approx(largest, rel=1e-6)


def test_eigenvalues_of_similar_size_and_either_sign_are_told_apart() -> None:
    """As the measure is used: with its usual accuracy, and more weights than the method keeps vectors."""
    draw = random.Random(0)
    for outer in ((0.431, -0.428), (-0.746, 0.744), (5.0, 4.9, -5.0), (0.1, -9.0)):
        spectrum = (*outer, *(draw.uniform(-1, 1) * 0.1 for _ in range(BASIS + 10)))
        assert top_eigenvalue(quadratic(*spectrum), lambda: ONE) == pytest.approx(max(spectrum), rel=0.02)


def test_a_network_has_the_eigenvalue_of_its_hessian_however_samples_are_batched() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 3)).double().eval()
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn(9, 4, generator=generator, dtype=torch.float64)
    labels = torch.randint(3, (9,), generator=generator)
    parameters = dict(model.named_parameters())
    sizes = [each.numel() for each in parameters.values()]

    def loss(vector: Tensor) -> Tensor:
        pieces = {
            name: piece.view_as(each)
            for (name, each), piece in zip(parameters.items(), vector.split(sizes), strict=True)
        }
        return nn.functional.cross_entropy(torch.func.functional_call(model, pieces, (inputs,)), labels)

    weights = nn.utils.parameters_to_vector(parameters.values()).detach()
    truth = torch.linalg.eigvalsh(torch.autograd.functional.hessian(loss, weights))[-1].item()
    for size in (9, 4):
        found = top_eigenvalue(model, lambda size=size: zip(inputs.split(size), labels.split(size), strict=True), 1e-6)
        assert found == pytest.approx(truth, rel=1e-3)


def test_a_flat_surface_has_none_and_what_is_not_finite_is_capped() -> None:
    assert top_eigenvalue(
        Surface([0.3, 1.0], lambda weights: 0.7 + weights.sum()).eval(), lambda: ONE
    ) == pytest.approx(0, abs=1e-9)
    steep = Surface([0.0], lambda weights: 1 + weights.abs().sqrt().sum()).eval()
    assert top_eigenvalue(steep, lambda: ONE) == HIGHEST


def test_the_model_is_left_as_it_was_and_an_lstm_can_be_measured() -> None:
    model = network()
    before = copy.deepcopy(model.state_dict())
    with torch.no_grad():
        assert top_eigenvalue(model, batches(16)) > 0
        assert AscentSharpness()(model, batches(16)) > 0
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    torch.manual_seed(0)
    inputs, labels = torch.rand(4, 1, 28, 28), torch.arange(4)
    assert math.isfinite(top_eigenvalue(LSTMClassifier(width=8)().eval(), lambda: [(inputs, labels)]))


def test_it_is_a_measure_of_the_first_answers() -> None:
    measure: Measure = TopEigenvalue(answers=8, tolerance=0.1)
    model, seen = network(), []
    model.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
    assert measure.name == "top_eigenvalue"
    assert measure(model, batches(5)) == top_eigenvalue(model, first_answers(batches(5), CrossEntropy(), 8), 0.1)
    assert set(seen) == {5}
    assert len(list(first_answers(batches(5), CrossEntropy(), 8)())) == 2
    assert eval(repr(measure)) == measure


@pytest.mark.parametrize("rho", [0.05, 0.5])
def test_ascent_sharpness_is_the_rise_along_the_gradient(rho: float) -> None:
    weights = torch.tensor([0.3, -0.4], dtype=torch.float64)
    model = Surface(weights.tolist(), lambda weights: 1 + (weights**2).sum()).eval()
    assert AscentSharpness(rho)(model, lambda: ONE) == pytest.approx((0.5 + rho) ** 2 - 0.25, rel=1e-9)
    assert torch.equal(model.weights.detach(), weights)
    assert AscentSharpness(rho)(Surface([0.0], lambda weights: 1 + (weights**2).sum()).eval(), lambda: ONE) == 0
    assert eval(repr(AscentSharpness(rho))) == AscentSharpness(rho)


def test_what_cannot_be_measured_is_refused() -> None:
    with pytest.raises(UserError, match="model to measure: is in training mode"):
        top_eigenvalue(network().train(), batches(16))
    with pytest.raises(UserError, match="TopEigenvalue products 0: must be a whole number"):
        TopEigenvalue(products=0)
    with pytest.raises(UserError, match="AscentSharpness rho 0: must be above 0"):
        AscentSharpness(rho=0)
