"""Normalisation batches: statistics that do not depend on the split."""

import copy

import pytest
import torch
from torch import nn

from trainables.errors import UserError
from trainables.layers.batch_statistics import normalise
from trainables.layers.ghost_batch_norm import GhostBatchNorm, ghosts, with_ghost_batches
from trainables.layers.split_invariant import Pass
from trainables.models import ResNet8

SHAPES = [(24, 3), (24, 3, 5), (24, 3, 4, 6), (24, 3, 2, 3, 2)]
LAYERS = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d, 5: nn.BatchNorm3d}


def reference(layer: nn.Module, x: torch.Tensor, groups: int) -> torch.Tensor:
    """What is to be computed, by PyTorch's layer, one group after the other."""
    return torch.cat([layer(part) for part in x.chunk(groups)])


def layer_for(shape: tuple[int, ...]) -> nn.Module:
    layer = LAYERS[len(shape)](shape[1], dtype=torch.float64)
    nn.init.normal_(layer.weight)
    nn.init.normal_(layer.bias)
    return layer


def ghost_of(layer: nn.Module) -> GhostBatchNorm:
    return with_ghost_batches(copy.deepcopy(layer), workers=1)


def a_pass(groups: int, noted: bool) -> Pass:
    return Pass(first=0, keys=torch.zeros(0, dtype=torch.int32), groups=groups, noted=noted)


def in_layout(x: torch.Tensor, channels_last: bool) -> torch.Tensor:
    formats = {4: torch.channels_last, 5: torch.channels_last_3d}
    return x.contiguous(memory_format=formats.get(x.ndim, torch.contiguous_format)) if channels_last else x


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("groups", [1, 4])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("one_sweep", [False, True])
def test_groups_are_normalised_apart_forward_and_backward(
    shape: tuple[int, ...], groups: int, channels_last: bool, one_sweep: bool
) -> None:
    """Both ways of computing it: PyTorch's kernel for each group, and the formula over all of them in one sweep."""
    torch.manual_seed(0)
    layer = layer_for(shape)
    ghost = ghost_of(layer)
    results = []
    x0, upstream = torch.randn(shape, dtype=torch.float64), torch.randn(shape, dtype=torch.float64)
    for ours in (True, False):
        x = in_layout(x0.clone(), channels_last).requires_grad_()
        used = ghost if ours and not one_sweep else layer
        if not ours:
            y = reference(layer, x, groups)
        elif one_sweep:
            y = normalise(x, layer.weight, layer.bias, groups, layer.eps)[0]
        else:
            ghost.begin_pass(a_pass(groups, False))
            y = ghost(x)
        results.append([y.detach(), *torch.autograd.grad(y, (x, used.weight, used.bias), upstream)])
    for mine, theirs in zip(*results, strict=True):
        assert torch.allclose(mine, theirs, rtol=0, atol=1e-12)


@pytest.mark.parametrize("groups", [1, 4])
def test_both_ways_note_the_same_statistics(groups: int) -> None:
    x = torch.randn(24, 3, 4, 4)
    ghost = ghost_of(nn.BatchNorm2d(3))
    ghost.begin_pass(a_pass(groups, True))
    ghost(x)
    (means, variances), *_ = ghost._step.noted
    _, mean, variance = normalise(x, None, None, groups, 1e-5)
    assert torch.allclose(means, mean, atol=1e-6)
    assert torch.allclose(variances, variance, atol=1e-6)


def test_one_normalisation_batch_is_ordinary_batch_norm() -> None:
    theirs, x = nn.BatchNorm1d(3), torch.randn(8, 3)
    ours = ghost_of(nn.BatchNorm1d(3))
    ours.begin_pass(a_pass(1, True))
    assert torch.equal(ours(x), theirs(x))
    ours.settle(1)
    assert torch.allclose(ours.running_mean, theirs.running_mean, atol=1e-7)
    assert torch.allclose(ours.running_var, theirs.running_var, atol=1e-7)
    assert ours.num_batches_tracked == 1
    assert torch.allclose(ours.eval()(x), theirs.eval()(x), atol=1e-6)


@pytest.mark.parametrize("passes", [1, 2, 4])
def test_running_statistics_are_the_formulas(passes: int) -> None:
    """However many passes (micro-batches) the four normalisation batches of a step came in."""
    ghost, parts = ghost_of(nn.BatchNorm1d(2).double()), torch.randn(4, 8, 2, dtype=torch.float64)
    for each in parts.chunk(passes):
        ghost.begin_pass(a_pass(4 // passes, True))
        ghost(each.flatten(0, 1))
    ghost.settle(4)
    assert torch.allclose(ghost.running_mean, (1 - 0.9**4) * parts.mean(1).mean(0))
    assert torch.allclose(ghost.running_var, 0.9**4 + (1 - 0.9**4) * parts.var(1).mean(0))


def test_a_pass_that_is_not_noted_or_forgotten_leaves_running_statistics_alone() -> None:
    ghost = ghost_of(nn.BatchNorm1d(2))
    for note, forget in ((False, False), (True, True)):
        ghost.begin_pass(a_pass(2, note))
        ghost(torch.randn(8, 2))
        if forget:
            ghost.forget()
        ghost.settle(2)
    assert torch.equal(ghost.running_mean, torch.zeros(2))
    assert ghost.num_batches_tracked == 0


def test_a_cumulative_layer_averages_all_steps() -> None:
    ghost = ghost_of(nn.BatchNorm1d(2, momentum=None).double())
    steps = torch.randn(3, 8, 2, dtype=torch.float64)
    for step in steps:
        ghost.begin_pass(a_pass(1, True))
        ghost(step)
        ghost.settle(1)
    assert torch.allclose(ghost.running_mean, steps.mean((0, 1)))


def test_a_model_keeps_its_weights_and_its_keys() -> None:
    model = ResNet8(width=2)()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    count = sum(isinstance(module, nn.BatchNorm2d) for module in model.modules())
    swapped = with_ghost_batches(model, workers=1)
    assert len(ghosts(swapped)) == count == 9
    assert list(swapped.state_dict()) == list(before)
    x = torch.randn(4, 3, 32, 32)
    original = ResNet8(width=2)()
    original.load_state_dict(before)
    assert torch.allclose(swapped.eval()(x), original.eval()(x))


class Frozen(nn.Sequential):
    """Keeps its BatchNorm in evaluation, as models do that are tuned with small batches."""

    def train(self, mode: bool = True) -> nn.Module:
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm1d):
                module.eval()
        return self


def test_a_layer_stays_what_it_was_to_everything_that_asks() -> None:
    """Frozen layers stay frozen, hooks stay hooked, and one used twice is one."""
    frozen = with_ghost_batches(Frozen(nn.Linear(2, 2), nn.BatchNorm1d(2)), workers=1).train()
    frozen(torch.randn(4, 2))
    frozen[1].settle(1)
    assert not frozen[1].training
    assert frozen[1].num_batches_tracked == 0

    shared, calls = nn.BatchNorm1d(2), []
    shared.register_forward_hook(lambda *_: calls.append(1))
    model = with_ghost_batches(nn.Sequential(nn.Linear(2, 2), shared, nn.Linear(2, 2), shared), workers=1)
    assert ghosts(model) == [shared]
    shared.begin_pass(a_pass(2, True))
    model(torch.randn(8, 2))
    assert len(calls) == len(shared._step.noted) == 2


@pytest.mark.parametrize("options", [{"affine": False}, {"track_running_stats": False}], ids=str)
@pytest.mark.parametrize("mixed", [False, True])
def test_layers_without_weights_or_statistics(options: dict[str, bool], mixed: bool) -> None:
    ghost, theirs = ghost_of(nn.BatchNorm2d(3, **options)), nn.BatchNorm2d(3, **options)
    x = torch.randn(8, 3, 4, 4)
    ghost.begin_pass(a_pass(1, True))
    with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
        assert torch.allclose(ghost(x), theirs(x), atol=1e-6)
    ghost(x.bfloat16() if mixed else x)
    assert all(each.dtype == torch.float32 for noted in ghost._step.noted for each in noted)
    ghost.settle(1)
    assert torch.isfinite(ghost.eval()(x)).all()


class Activated(nn.BatchNorm2d):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(super().forward(x))


@pytest.mark.parametrize("layer", [Activated(3), nn.LazyBatchNorm2d()], ids=["own forward", "lazy"])
def test_layers_that_cannot_be_told_apart_are_refused(layer: nn.Module) -> None:
    with pytest.raises(UserError, match=f"BatchNorm layer {type(layer).__name__}: has a forward pass of its own"):
        with_ghost_batches(nn.Sequential(layer), workers=1)


def test_one_value_has_no_variance_either_way() -> None:
    ghost = ghost_of(nn.BatchNorm1d(3))
    ghost.begin_pass(a_pass(4, False))
    for attempt in (lambda: ghost(torch.randn(4, 3)), lambda: normalise(torch.randn(4, 3), None, None, 4, 1e-5)):
        with pytest.raises(ValueError, match="Expected more than 1 value per channel"):
            attempt()
