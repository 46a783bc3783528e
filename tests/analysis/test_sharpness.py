"""Sharpness: boxes whose highest loss is known, and models left as they were."""

import copy
import math
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn

from analysis.sharpness import MOST_SHARPNESS, Sharpness, sharpness
from trainables import Task
from trainables.data import Digits
from trainables.errors import UserError
from trainables.layers.split_invariant import split_invariant
from trainables.measure import Measure
from trainables.models import LSTMClassifier, LSTMLanguageModel, SmallCNN

ONE = [(torch.zeros(1, 1), torch.zeros(1, dtype=torch.int64))]


class Surface(nn.Module):
    """A model whose cross-entropy with label 0 is a function of its weights, above 0."""

    def __init__(self, weights: list[float], loss: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.tensor(weights, dtype=torch.float64))
        self.loss = loss

    def forward(self, x: Tensor) -> Tensor:
        logit = self.loss(self.weights).expm1().log()  # log(exp(0) + exp(logit)) is the loss
        return torch.stack([torch.zeros_like(logit), logit]).expand(len(x), 2)


def bowl(curvature: float) -> Callable[[Tensor], Tensor]:
    return lambda weights: 0.5 + curvature / 2 * (weights**2).sum()


def of(model: nn.Module, **options: float) -> float:
    return sharpness(model.eval(), lambda: ONE, **options)


def phi(high: float, low: float) -> float:
    return 100 * (high - low) / (1 + low)


@pytest.mark.parametrize("epsilon", [1e-3, 5e-4, 0.1])
@pytest.mark.parametrize("curvature", [0.1, 1.0, 30.0])
def test_a_bowl_is_highest_in_its_farthest_corner(curvature: float, epsilon: float) -> None:
    weights = [0.3, -0.02, 1.5]
    low, high = (
        0.5 + curvature / 2 * sum((abs(w) + side * (abs(w) + 1)) ** 2 for w in weights) for side in (0, epsilon)
    )
    assert of(Surface(weights, bowl(curvature)), epsilon=epsilon) == pytest.approx(phi(high, low), rel=1e-9)


def test_a_linear_classifier_of_one_sample_is_highest_where_its_margin_is_least() -> None:
    model = nn.Linear(3, 2, bias=False).double().eval()
    x = torch.tensor([[1.0, -2.0, 0.5]], dtype=torch.float64)
    with torch.no_grad():
        margin = (model(x)[0, 0] - model(x)[0, 1]).item()
        reach = (1e-3 * (model.weight.abs() + 1) * x.abs()).sum().item()
    low, high = math.log1p(math.exp(-margin)), math.log1p(math.exp(-(margin - reach)))
    assert sharpness(model, lambda: [(x, ONE[0][1])]) == pytest.approx(phi(high, low), rel=1e-9)


def test_a_ridge_inside_the_box_is_found_although_the_corner_lies_beyond_it() -> None:
    def ridge(
        weights: Tensor,
    ) -> Tensor:  # highest at (0.045, 0.045), and in the corner (0.1, 0.1) lower than at the start
        return 1 - ((weights - 0.045) ** 2).sum()

    assert of(Surface([0.0, 0.0], ridge), epsilon=0.1) == pytest.approx(phi(1, 1 - 2 * 0.045**2), rel=1e-6)


def test_more_iterations_find_the_top_of_a_curved_ridge() -> None:
    tops, curvatures = torch.tensor([0.04, 0.03, 0.02]).double(), torch.tensor([0.1, 1.0, 10.0]).double()
    model = Surface([0.0, 0.0, 0.0], lambda weights: 1 - (curvatures * (weights - tops) ** 2).sum())
    truth = phi(1, model.loss(torch.zeros(3)).item())
    assert of(model, epsilon=0.1) == pytest.approx(truth, rel=1e-3)
    assert of(model, epsilon=0.1, iterations=1) < 0.95 * truth


def test_the_corner_counts_where_the_search_does_not_get_there() -> None:
    """A step close to the edge of the box, on the far side of what the slope at the start promises."""

    def steps(weights: Tensor) -> Tensor:
        return 1 + 1e-3 * weights.sum() + 0.1 * torch.sigmoid(1000 * (weights - 0.0099)).sum()

    model = Surface([0.0, 0.0], steps)
    low, high = model.loss(torch.zeros(2)).item(), model.loss(torch.full((2,), 0.01)).item()
    assert of(model, epsilon=0.01, iterations=1) >= phi(high, low) * (1 - 1e-6)


def test_a_flat_surface_has_none() -> None:
    assert of(Surface([0.3, -1.0], lambda weights: 0.7 + 0 * weights.sum())) == 0
    assert of(Surface([0.0, 0.0], bowl(1.0))) == 0  # a gradient of exactly 0 points nowhere


def test_sharper_and_wider_is_more() -> None:
    torch.manual_seed(0)
    by_curvature = [of(Surface([0.3, -0.2], bowl(curvature))) for curvature in (0.1, 1.0, 10.0)]
    by_epsilon = [sharpness(network(), batches(16), epsilon) for epsilon in (1e-4, 5e-4, 1e-3)]
    for values in (by_curvature, by_epsilon):
        assert 0 < values[0] < values[1] < values[2]


def network() -> nn.Module:
    torch.manual_seed(0)
    return SmallCNN(width=4, classes=3)().eval()


def batches(size: int) -> Callable[[], Iterator[tuple[Tensor, Tensor]]]:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(16, 1, 8, 8, generator=generator)
    labels = torch.randint(3, (16,), generator=generator)
    return lambda: zip(inputs.split(size), labels.split(size), strict=True)


def test_it_does_not_matter_how_samples_are_batched() -> None:
    whole = sharpness(network(), batches(16))
    assert whole > 0
    assert sharpness(network(), batches(5)) == pytest.approx(whole, rel=1e-3)  # 32 bits, of which loss takes some


def test_it_is_at_least_what_one_step_along_the_gradients_signs_gives() -> None:
    model = network()
    (inputs, labels), *_ = batches(16)()
    low = nn.functional.cross_entropy(model(inputs), labels)
    gradients = torch.autograd.grad(low, list(model.parameters()))
    corner = copy.deepcopy(model)
    with torch.no_grad():
        for parameter, gradient in zip(corner.parameters(), gradients, strict=True):
            parameter += 1e-3 * (parameter.abs() + 1) * gradient.sign()
        high = nn.functional.cross_entropy(corner(inputs), labels)
    assert sharpness(model, batches(16)) >= phi(high.item(), low.item()) * (1 - 1e-4)


def test_no_point_outside_the_box_is_visited() -> None:
    model, seen = network(), []
    model.register_forward_pre_hook(lambda *_: seen.append(nn.utils.parameters_to_vector(model.parameters()).detach()))
    sharpness(model, batches(16), epsilon=1e-2)
    reach = 1e-2 * (seen[0].abs() + 1)
    assert len(seen) > 3
    assert max(((point - seen[0]).abs() / reach).max().item() for point in seen) == pytest.approx(1, abs=1e-4)


def test_the_model_is_left_as_it_was() -> None:
    model = network()
    frozen, *_ = model.parameters()
    frozen.requires_grad_(False)
    before = copy.deepcopy(model.state_dict())
    with torch.no_grad():  # as whoever evaluates may hold it
        assert sharpness(model, batches(16)) > 0
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not model.training


def test_weights_come_back_when_the_data_fails() -> None:
    model, visits = network(), []

    def failing() -> Iterator[tuple[Tensor, Tensor]]:
        visits.append(1)
        yield from batches(16)()
        if len(visits) == 2:
            raise OSError("gone")

    before = copy.deepcopy(model.state_dict())
    with pytest.raises(OSError, match="gone"):
        sharpness(model, failing)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("where", [0.0, 0.005])
def test_what_is_not_finite_is_capped(where: float) -> None:
    """Either at the weights or somewhere in the box."""
    model = Surface([0.0], lambda weights: torch.where(weights >= where, math.inf, 1 + weights).sum())
    assert of(model, epsilon=0.01) == MOST_SHARPNESS
    assert model.weights.item() == 0


def test_a_language_model_begins_its_texts_anew_in_every_pass() -> None:
    torch.manual_seed(0)
    model = LSTMLanguageModel(vocabulary=11, width=6)().double().eval()
    text = torch.randint(11, (3, 13))

    def pieces() -> Iterator[tuple[Tensor, Tensor]]:
        return ((text[:, at : at + 4], text[:, at + 1 : at + 5]) for at in (0, 4, 8))

    once = sharpness(model, pieces)
    assert once > 0
    assert sharpness(model, pieces) == once
    model(text[:2])  # leaves a state of other streams behind
    assert sharpness(model, pieces) == once
    assert all(layer._state is None for layer in split_invariant(model))


def test_an_lstm_classifier_can_be_measured() -> None:
    torch.manual_seed(0)
    inputs, labels = torch.rand(4, 1, 28, 28), torch.arange(4)
    assert sharpness(LSTMClassifier(width=8)().eval(), lambda: [(inputs, labels)]) > 0


def test_it_is_a_measure() -> None:
    measure: Measure = Sharpness(epsilon=5e-4, iterations=3)
    assert measure.name == "sharpness"
    assert measure(network(), batches(16)) == sharpness(network(), batches(16), 5e-4, 3)
    assert eval(repr(measure)) == measure


def test_two_measures_of_one_name_are_refused() -> None:
    with pytest.raises(UserError, match="sharpness would be reported twice"):
        Task(SmallCNN(), Digits(), 5, measures=(Sharpness(), Sharpness(epsilon=0.01)))


def test_what_cannot_be_measured_is_refused() -> None:
    with pytest.raises(UserError, match=r"model to measure: is in training mode; call model.eval\(\) first"):
        sharpness(network().train(), batches(16))
    with pytest.raises(UserError, match="Sharpness epsilon 0: must be above 0"):
        Sharpness(epsilon=0)
    with pytest.raises(UserError, match="Sharpness iterations 0: must be at least 1"):
        Sharpness(iterations=0)
