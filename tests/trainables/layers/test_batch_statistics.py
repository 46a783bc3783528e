"""Normalisation in one sweep: its gradient, its precision, and its digits far from zero."""

import torch
import torch.nn.functional as F

from trainables.layers.batch_statistics import normalise


def test_the_one_sweep_gradient_is_the_gradient() -> None:
    x = torch.randn(6, 2, 3, dtype=torch.float64, requires_grad=True)
    weight, bias = torch.randn(2, 2, dtype=torch.float64).requires_grad_().unbind()
    assert torch.autograd.gradcheck(lambda *each: normalise(*each, groups=3, epsilon=1e-5)[0], (x, weight, bias))


def test_half_precision_keeps_statistics_in_32_bits() -> None:
    x = torch.randn(32, 3, 8, 8) * 0.01 + 10  # a mean far from 0, where 8 bits of variance would be nothing
    y, mean, variance = normalise(x.bfloat16(), torch.ones(3), torch.zeros(3), 4, 1e-5)
    assert (y.dtype, mean.dtype, variance.dtype) == (torch.bfloat16, torch.float32, torch.float32)
    assert torch.allclose(mean, x.bfloat16().float().view(4, 8, 3, 64).mean((1, 3)), atol=1e-4)


def test_the_sweep_keeps_its_digits_far_from_zero() -> None:
    """Activations around 1,000 times their deviation, in 32 bits: the weight's gradient as good as PyTorch's."""
    x = torch.randn(64, 4, 8, 8, generator=torch.Generator().manual_seed(0)) + 1000
    upstream = torch.randn(64, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    weight, bias = torch.ones(4, requires_grad=True), torch.zeros(4)
    exact = torch.autograd.grad(
        normalise(x.double(), weight.double(), bias.double(), 1, 1e-5)[0], weight, upstream.double()
    )[0]
    ours = torch.autograd.grad(normalise(x, weight, bias, 1, 1e-5)[0], weight, upstream)[0]
    theirs = torch.autograd.grad(F.batch_norm(x, None, None, weight, bias, True), weight, upstream)[0]
    assert (ours - exact).abs().max() <= 3 * (theirs - exact).abs().max() + 1e-3


def test_what_follows_may_change_its_result_in_place() -> None:
    """As torchvision's residual networks do."""
    x = torch.randn(6, 2, 3, 3, dtype=torch.float64, requires_grad=True)
    found = []
    for activation in (torch.relu, torch.relu_):
        y = activation(normalise(x, None, None, groups=3, epsilon=1e-5)[0])
        found.append(torch.autograd.grad(y.square().sum(), x)[0])
    assert torch.equal(*found)
