"""Dropout drawn by sample: the right share, independent draws, and the same whatever the split."""

import pytest
import torch
from torch import nn

from trainables.errors import UserError
from trainables.layers.sample_dropout import SampleDropout, with_sample_dropout
from trainables.layers.split_invariant import Pass, split_invariant


def keys(samples: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(-(2**31), 2**31, (samples,), generator=generator, dtype=torch.int32)


def a_pass(keys: torch.Tensor) -> Pass:
    return Pass(first=0, keys=keys, groups=1, noted=True)


def dropped(p: float, layer: int = 0, samples: int = 256, width: int = 256) -> torch.Tensor:
    module = SampleDropout(p, layer, channelwise=False)
    module.begin_pass(a_pass(keys(samples)))
    return module(torch.ones(samples, width)) == 0


@pytest.mark.parametrize("p", [0.05, 0.1, 0.5, 0.9])
def test_the_share_dropped_is_p_and_the_mean_stays(p: float) -> None:
    module = SampleDropout(p, 0, channelwise=False)
    module.begin_pass(a_pass(keys(256)))
    y = module(torch.ones(256, 256))
    deviation = (p * (1 - p) / 65536) ** 0.5
    assert (y == 0).double().mean().item() == pytest.approx(p, abs=4 * deviation)
    assert y.mean().item() == pytest.approx(1, abs=4 * deviation / (1 - p))
    assert set(y.unique().tolist()) == {0.0, torch.tensor(1.0).mul(1 / (1 - p)).item()}


def test_draws_look_independent_across_samples_places_layers_and_calls() -> None:
    """Correlations of 65,536 fair coins stay within 4 deviations, 4 / 256."""
    base = dropped(0.5).double() - 0.5
    module = SampleDropout(0.5, 0, channelwise=False)
    module.begin_pass(a_pass(keys(256)))
    first, second = (module(torch.ones(256, 256)) == 0 for _ in range(2))
    assert torch.equal(first, dropped(0.5))
    others = {
        "next sample": base.roll(1, 0),
        "next place": base.roll(1, 1),
        "next layer": dropped(0.5, layer=1).double() - 0.5,
        "next call": second.double() - 0.5,
    }
    for name, other in others.items():
        assert abs((4 * base * other).mean().item()) < 4 / 256, name
    assert abs(4 * base.mean(0).square().mean().item() - 1 / 256) < 0.002  # no place is favoured
    assert abs(4 * base.mean(1).square().mean().item() - 1 / 256) < 0.002  # no sample is


def test_a_part_of_the_samples_draws_as_the_whole_does() -> None:
    whole, part = (SampleDropout(0.3, 2, channelwise=False) for _ in range(2))
    x, k = torch.randn(8, 5, 3), keys(8)
    whole.begin_pass(a_pass(k))
    part.begin_pass(a_pass(k[2:5]))
    assert torch.equal(whole(x)[2:5], part(x[2:5]))


def test_positions_of_a_sample_may_lie_in_its_rows() -> None:
    """(samples * positions, width), as a model flattens a sequence: the same draws as (samples, positions, width)."""
    flat, deep = (SampleDropout(0.3, 0, channelwise=False) for _ in range(2))
    x = torch.randn(4, 5, 6)
    for module in (flat, deep):
        module.begin_pass(a_pass(keys(4)))
    assert torch.equal(flat(x.flatten(0, 1)).view(4, 5, 6), deep(x))


def test_what_has_no_samples_first_and_what_comes_too_late_is_refused() -> None:
    module = SampleDropout(0.3, 0, channelwise=False)
    module.begin_pass(a_pass(keys(4)))
    with pytest.raises(UserError, match=r"SampleDropout\(p=0.3.*\): its input of shape \(1, 6\) must have the 4"):
        module(torch.randn(1, 6))
    module.end_pass()
    with pytest.raises(UserError, match="checkpointed activations need p = 0"):
        module(torch.randn(4, 6))


def test_channels_are_dropped_whole() -> None:
    module = SampleDropout(0.5, 0, channelwise=True)
    module.begin_pass(a_pass(keys(16)))
    y = module(torch.ones(16, 8, 4, 4)).flatten(2)
    assert torch.equal(y.amin(2), y.amax(2))
    assert 0.3 < (y == 0).double().mean().item() < 0.7


def test_evaluation_and_the_ends() -> None:
    x = torch.randn(4, 6)
    module = SampleDropout(0.5, 0, channelwise=False)
    assert torch.equal(module.eval()(x), x)
    for p, expected in ((0.0, x), (1.0, torch.zeros(4, 6))):
        module = SampleDropout(p, 0, channelwise=False)
        module.begin_pass(a_pass(keys(4)))
        assert torch.equal(module(x), expected)


def test_a_models_layers_are_found_wherever_they_are() -> None:
    shared = nn.Dropout(0.4)
    assert split_invariant(with_sample_dropout(nn.Sequential(shared, nn.ReLU(), shared))) == [shared]
    model = nn.Sequential(nn.Dropout(0.1), nn.Sequential(nn.Linear(2, 2), nn.Dropout2d(0.2)), nn.Dropout(0.1))
    found = split_invariant(with_sample_dropout(model))
    assert [module.p for module in found] == [0.1, 0.2, 0.1]
    assert len({module._layer for module in found}) == 3
