"""Slices of the loss: of quadratics, whose every slice is known, and of models left as they were."""

import copy

import pytest
import torch
from torch import Tensor, nn

from analysis.landscape import HIGHEST, LossLine, LossPlane, filter_normalised, losses_around, places
from tests.analysis.test_hessian import quadratic
from tests.analysis.test_sharpness import ONE, Surface, batches, network
from trainables.errors import UserError
from trainables.loss import CrossEntropy


class Bowl(nn.Module):
    """A loss of 2 + |w - 1|^2 / 2 in a matrix w that is 1, as logits of two classes."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.ones(3, 4, dtype=torch.float64))
        self.shift = nn.Parameter(torch.ones(2, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        logit = (2 + (self.weights - 1).square().sum() / 2 + (self.shift - 1).square().sum()).expm1().log()
        return torch.stack([x.new_zeros((), dtype=torch.float64), logit])[None]


def test_the_line_through_a_bowl_is_its_parabola() -> None:
    """A direction is as long as the weights filter by filter, so the loss is 2 + a^2 |w|^2 / 2, and biases stay."""
    losses = LossLine(points=5, answers=1)(Bowl().eval(), lambda: ONE)
    assert losses == pytest.approx([2 + at**2 * 12 / 2 for at in (-1, -0.5, 0, 0.5, 1)], rel=1e-9)


def test_a_plane_holds_the_line_and_is_lowest_in_the_middle() -> None:
    model = Bowl().eval()
    line, plane = LossLine(points=5)(model, lambda: ONE), LossPlane(points=5)(model, lambda: ONE)
    rows = torch.tensor(plane).reshape(5, 5)
    assert rows[:, 2].tolist() == pytest.approx(line, rel=1e-9)
    assert rows.argmin() == 12
    assert torch.allclose(rows, rows.flip(0, 1)), "a bowl is symmetric"


def test_filters_of_a_direction_are_as_long_as_those_of_the_weights() -> None:
    weights = torch.randn(4, 3, 2, 2, generator=torch.Generator().manual_seed(5))
    direction = filter_normalised(weights, torch.Generator().manual_seed(0))
    assert torch.allclose(direction.flatten(1).norm(dim=1), weights.flatten(1).norm(dim=1))
    assert not torch.allclose(direction, weights)
    assert filter_normalised(torch.ones(7), torch.Generator()).abs().sum() == 0


def test_the_model_stays_as_it_was_and_the_middle_is_its_loss() -> None:
    model = network()
    before = copy.deepcopy(model.state_dict())
    losses = losses_around(model, batches(7), [(0.0,), (1.0,)], CrossEntropy())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    total = sum(len(y) for _, y in batches(7)())
    mean = sum(nn.functional.cross_entropy(model(x), y).item() * len(y) for x, y in batches(7)()) / total
    assert losses[0] == pytest.approx(mean, rel=1e-6)
    assert losses[1] != losses[0]


def test_what_is_not_finite_is_capped() -> None:
    model = Surface([1.0, 1.0], lambda weights: weights.sum() * float("nan")).eval()
    assert losses_around(model, lambda: ONE, [(0.0,)]) == (HIGHEST,)


def test_places_go_from_one_end_to_the_other() -> None:
    assert places(3).tolist() == [-1, 0, 1]


@pytest.mark.parametrize("kind", [LossLine, LossPlane])
def test_an_even_number_of_points_and_no_answers_are_refused(kind: type) -> None:
    with pytest.raises(UserError, match="points 4: must be an odd number"):
        kind(points=4)
    with pytest.raises(UserError, match="answers 0: must be a whole number"):
        kind(answers=0)
    with pytest.raises(UserError, match="is in training mode"):
        kind()(quadratic(1.0).train(), lambda: ONE)
