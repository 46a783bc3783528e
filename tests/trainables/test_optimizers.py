"""Optimizers against updates computed by hand, from their papers' formulas, over a few steps."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from trainables.optimizers import (
    LAMB,
    LARS,
    SGD,
    Adadelta,
    Adagrad,
    Adam,
    AdamW,
    Muon,
    Optimizer,
    RMSprop,
    set_learning_rate,
)

W0 = torch.tensor([[1.0, -2.0], [0.5, 3.0]], dtype=torch.float64)
GRADIENTS = [
    torch.tensor(values, dtype=torch.float64)
    for values in ([[0.1, 0.2], [-0.3, 0.4]], [[0.5, -0.1], [0.2, 0.1]], [[-0.2, 0.3], [0.1, -0.6]])
]
LR = 0.1
Step = Callable[[Tensor, Tensor, dict, int], Tensor]


def sgd(w: Tensor, g: Tensor, s: dict, t: int) -> Tensor:
    s["v"] = 0.9 * s.get("v", 0) + g + 0.01 * w
    return w - LR * s["v"]


def nesterov(w: Tensor, g: Tensor, s: dict, t: int) -> Tensor:
    s["v"] = 0.9 * s.get("v", 0) + g
    return w - LR * (g + 0.9 * s["v"])


def adagrad(w: Tensor, g: Tensor, s: dict, t: int) -> Tensor:
    s["s"] = s.get("s", 0) + g**2
    return w - LR * g / (s["s"].sqrt() + 1e-10)


def rmsprop(w: Tensor, g: Tensor, s: dict, t: int) -> Tensor:
    g = g + 0.05 * w
    s["s"] = 0.99 * s.get("s", 0) + 0.01 * g**2
    s["v"] = 0.9 * s.get("v", 0) + g / (s["s"].sqrt() + 1e-8)
    return w - LR * s["v"]


def moments(g: Tensor, s: dict) -> tuple[Tensor, Tensor]:
    s["m"] = 0.9 * s.get("m", 0) + 0.1 * g
    s["s"] = 0.99 * s.get("s", 0) + 0.01 * g**2
    return s["m"], s["s"]


def adam(w: Tensor, g: Tensor, s: dict, t: int) -> Tensor:
    m, v = moments(g + 0.01 * w, s)
    return w - LR * m / (1 - 0.9**t) / ((v / (1 - 0.99**t)).sqrt() + 1e-8)


def adamw(w: Tensor, g: Tensor, s: dict, t: int) -> Tensor:
    m, v = moments(g, s)
    return w - LR * 0.01 * w - LR * m / (1 - 0.9**t) / ((v / (1 - 0.99**t)).sqrt() + 1e-8)


def adadelta(w: Tensor, g: Tensor, s: dict, t: int) -> Tensor:
    s["s"] = 0.9 * s.get("s", 0) + 0.1 * g**2
    d = (torch.as_tensor(s.get("u", 0.0)) + 1e-6).sqrt() / (s["s"] + 1e-6).sqrt() * g
    s["u"] = 0.9 * s.get("u", 0) + 0.1 * d**2
    return w - LR * d


def lars(w: Tensor, g: Tensor, s: dict, t: int) -> Tensor:
    """You et al. 2017, equation 6: local rate = trust |w| / (|g| + beta |w|)."""
    local = 0.02 * w.norm() / (g.norm() + 0.01 * w.norm())
    s["v"] = 0.9 * s.get("v", 0) + local * (g + 0.01 * w)
    return w - LR * s["v"]


def lars_vector(w: Tensor, g: Tensor, s: dict, t: int) -> Tensor:
    s["v"] = 0.9 * s.get("v", 0) + g
    return w - LR * s["v"]


def lamb(w: Tensor, g: Tensor, s: dict, t: int) -> Tensor:
    """You et al. 2020, algorithm 2, without the correction of the running means."""
    m, v = moments(g, s)
    u = m / (v.sqrt() + 1e-6) + 0.01 * w
    return w - LR * w.norm() / u.norm() * u


def lamb_vector(w: Tensor, g: Tensor, s: dict, t: int) -> Tensor:
    m, v = moments(g, s)
    return w - LR * m / (v.sqrt() + 1e-6)


@pytest.mark.parametrize(
    ("slot", "layer", "vector"),
    [
        (SGD(momentum=0.9, weight_decay=0.01), sgd, sgd),
        (SGD(momentum=0.9, nesterov=True), nesterov, nesterov),
        (Adagrad(), adagrad, adagrad),
        (RMSprop(momentum=0.9, weight_decay=0.05), rmsprop, rmsprop),
        (Adam(beta2=0.99, weight_decay=0.01), adam, adam),
        (AdamW(beta2=0.99), adamw, adamw),
        (Adadelta(), adadelta, adadelta),
        (LARS(weight_decay=0.01, trust=0.02), lars, lars_vector),
        (LAMB(beta2=0.99), lamb, lamb_vector),
    ],
    ids=lambda value: type(value).__name__,
)
def test_three_steps_by_hand(slot: Optimizer, layer: Step, vector: Step) -> None:
    """A layer of 20 times the usual weights, too: LAMB's library would clamp their norm."""
    for scale in (1.0, 20.0):
        weights = {"layer": (scale * W0, layer), "vector": (scale * W0.flatten(), vector)}
        parameters = {name: nn.Parameter(start.clone()) for name, (start, _) in weights.items()}
        optimizer = slot(parameters.values())
        assert all(group["lr"] == 0 for group in optimizer.param_groups)
        expected, state = {name: start for name, (start, _) in weights.items()}, {"layer": {}, "vector": {}}
        for t, gradient in enumerate(GRADIENTS, start=1):
            for group in optimizer.param_groups:
                group["lr"] = LR
            for name, parameter in parameters.items():
                parameter.grad = gradient.view(parameter.shape).clone()
                expected[name] = weights[name][1](expected[name], gradient.view(parameter.shape), state[name], t)
            optimizer.step()
            for name, parameter in parameters.items():
                assert torch.allclose(parameter, expected[name], rtol=1e-5, atol=1e-9), (name, t)


@pytest.mark.parametrize("slot", [LARS(), LAMB(), Adam(), Muon()], ids=repr)
def test_an_optimizers_state_can_be_saved_and_loaded(slot: Optimizer) -> None:
    """Also the libraries', for resuming."""
    results = []
    for stop in (False, True):
        parameter = nn.Parameter(W0.clone())
        optimizer = slot([parameter])
        for gradient in GRADIENTS:
            if stop:
                state = optimizer.state_dict()
                optimizer = slot([parameter])
                optimizer.load_state_dict(state)
            for group in optimizer.param_groups:
                group["lr"] = LR
            parameter.grad = gradient.clone()
            optimizer.step()
        results.append(parameter.detach().clone())
    assert torch.equal(*results)


def orthogonalised(matrix: Tensor) -> Tensor:
    """Jordan et al.'s five Newton-Schulz steps, in 64 bits."""
    x = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
    x = x / x.norm()
    for _ in range(5):
        a = x @ x.T
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    return x.T if matrix.shape[0] > matrix.shape[1] else x


def test_muon_steps_along_orthogonal_matrices_and_adamw_for_the_rest() -> None:
    """A convolution's weights as a matrix of its output channels; the rest at its own ratio of the rate."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 6, 3), nn.Flatten(), nn.Linear(4, 3)).double()
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    optimizer = Muon(momentum=0.9, adamw_ratio=0.05, weight_decay=0.1)(model.parameters())
    set_learning_rate(optimizer, LR)
    for value in model.parameters():
        value.grad = torch.randn_like(value)
    gradients = {name: value.grad.clone() for name, value in model.named_parameters()}
    optimizer.step()
    for name, value in model.named_parameters():
        w, g = before[name], gradients[name]
        if w.ndim == 1:
            rate = LR * 0.05
            expected = w - rate * 0.1 * w - rate * g / (g.abs() + 1e-10)
            assert torch.allclose(value, expected, rtol=0, atol=1e-12), name
            continue
        matrix = g.flatten(1)
        v = 0.1 * matrix
        u = orthogonalised(0.9 * v + 0.1 * matrix)
        longer = max(1.0, matrix.shape[0] / matrix.shape[1]) ** 0.5
        expected = w - LR * 0.1 * w - LR * longer * u.view_as(w)
        assert torch.allclose(value, expected, rtol=0, atol=0.05 * LR), name  # the library computes in 16 bits
        moved = (w - LR * 0.1 * w - value).detach().flatten(1) / (LR * longer)
        assert 0.5 < torch.linalg.svdvals(moved).min() <= torch.linalg.svdvals(moved).max() < 1.5, name


def test_every_group_steps_at_its_own_ratio() -> None:
    weights = [nn.Parameter(torch.ones(2)) for _ in range(2)]
    groups = [{"params": weights[:1]}, {"params": weights[1:], "lr_ratio": 0.25}]
    optimizer = torch.optim.SGD(groups, lr=0.0)
    set_learning_rate(optimizer, 0.4)
    assert [group["lr"] for group in optimizer.param_groups] == [0.4, 0.1]
    set_learning_rate(optimizer, 0.2)
    assert [group["lr"] for group in optimizer.param_groups] == [0.2, 0.05]
