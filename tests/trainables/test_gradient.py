"""Gradients: SAM and ASAM by hand, their identities, and what they must leave alone."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from trainables import Progress, Recipe, Task, train
from trainables.data import Digits
from trainables.engine.run import Run
from trainables.gradient import ASAM, SAM, Gradient, Plain
from trainables.models import SmallCNN
from trainables.optimizers import SGD

TASK = Task(SmallCNN(width=4), Digits(train_samples=200, validation_samples=100), epochs=2)
AT = Progress(0, 1, batch_size=8, base_batch_size=8)


class Bowl(nn.Module):
    """L(w) = sum of c w^2 / 2, whose gradient is c w."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor([3.0, -4.0], dtype=torch.float64))
        self.c = torch.tensor([1.0, 10.0], dtype=torch.float64)
        self.passes: list[dict[str, bool]] = []

    def backward(self, **how: bool) -> Tensor:
        self.passes.append(how)
        loss = (self.c * self.w**2).sum() / 2
        loss.backward()
        return loss.detach()


def gradient_of(bowl: Bowl, gradient: Gradient, step: int = 0) -> tuple[float, Tensor]:
    loss = gradient(bowl, bowl.backward, replace(AT, steps=step))
    assert bowl.w.tolist() == [3.0, -4.0], "the weights must come back exactly"
    return float(loss), bowl.w.grad


def test_plain_is_the_gradient() -> None:
    loss, gradient = gradient_of(Bowl(), Plain())
    assert loss == 84.5
    assert gradient.tolist() == [3.0, -40.0]


def test_sam_by_hand() -> None:
    """g = (3, -40), |g| = sqrt(1609); at w + 0.5 g / |g| the gradient is c times that; the loss stays L(w)."""
    loss, gradient = gradient_of(Bowl(), SAM(rho=0.5))
    norm = 1609**0.5
    assert loss == 84.5
    assert gradient.tolist() == pytest.approx([3 + 0.5 * 3 / norm, 10 * (-4 - 0.5 * 40 / norm)])


def test_asam_by_hand() -> None:
    """T = |w| + 1 = (4, 5): T g = (12, -200), e = rho T^2 g / |T g|."""
    loss, gradient = gradient_of(Bowl(), ASAM(rho=0.5, eta=1.0))
    norm = (12**2 + 200**2) ** 0.5
    assert loss == 84.5
    assert gradient.tolist() == pytest.approx([3 + 0.5 * 4 * 12 / norm, 10 * (-4 - 0.5 * 5 * 200 / norm)])


def test_the_second_pass_is_not_noted_and_the_first_exchanged_only_where_it_must_be() -> None:
    for perturbation, exchanged in (("global", True), ("per_worker", False)):
        bowl = Bowl()
        gradient_of(bowl, SAM(perturbation=perturbation))
        assert bowl.passes == [{"average": exchanged}, {"move_statistics": False}]


def test_every_third_step_is_perturbed() -> None:
    passes = []
    for step in range(7):
        bowl = Bowl()
        gradient_of(bowl, SAM(every=3), step)
        passes.append(len(bowl.passes))
    assert passes == [2, 1, 1, 2, 1, 1, 2]


def test_no_gradient_means_no_perturbation() -> None:
    bowl = Bowl()
    with torch.no_grad():
        bowl.c.zero_()
    assert gradient_of(bowl, SAM(rho=0.5))[1].tolist() == [0.0, 0.0]


def test_weights_come_back_when_the_second_pass_fails() -> None:
    bowl = Bowl()

    def backward(**how: bool) -> Tensor:
        if how.get("move_statistics") is False:
            raise torch.OutOfMemoryError("no")
        return bowl.backward(**how)

    with pytest.raises(torch.OutOfMemoryError):
        SAM(rho=0.5)(bowl, backward, AT)
    assert bowl.w.tolist() == [3.0, -4.0]


@pytest.mark.parametrize("gradient", [SAM(rho=0.0), ASAM(rho=0.0), SAM(every=1000)], ids=repr)
def test_no_radius_is_plain_bit_for_bit(gradient: Gradient) -> None:
    """With BatchNorm: its running statistics too. `every=1000` perturbs the first step, so it is begun after it."""
    states = []
    for each in (Plain(), gradient):
        recipe = Recipe(optimizer=SGD(momentum=0.9), gradient=each, norm_batch_size=10)
        run = Run(TASK, recipe, TASK.data.load(Path()), 20, 0.05, seed=3, dtype=torch.float64)
        run._steps = 1
        run.train_epoch()
        states.append(run.state_dict()["model"])
    for name, value in states[0].items():
        assert torch.equal(value, states[1][name]), name


def test_sam_reports_the_loss_at_the_weights() -> None:
    """The first step's loss is that of the same weights, whatever is stepped along."""
    whole = replace(TASK, epochs=1)
    losses = [
        train(whole, Recipe(gradient=each, norm_batch_size=20), batch_size=200, learning_rate=0.1)["train_loss"][0]
        for each in (Plain(), SAM(rho=0.5), ASAM(rho=5.0))
    ]
    assert losses[0] == losses[1] == losses[2]
