"""Normalisation batches: statistics that do not depend on the split."""

import pytest
import torch
from torch import nn

from trainables.checks import check_run
from trainables.data import Digits
from trainables.errors import UserError
from trainables.models import SmallCNN
from trainables.normalization import momenta, running_statistics
from trainables.recipe import Recipe, Task


@pytest.mark.parametrize(("total", "here"), [(1, 1), (4, 4), (8, 4), (8, 1)])
def test_momenta_weigh_batches_equally(total: int, here: int) -> None:
    left, weights = 1.0, [0.0] * here
    for position, momentum in enumerate(momenta(0.1, total, here)):
        weights = [weight * (1 - momentum) for weight in weights]
        weights[position] = momentum
        left *= 1 - momentum
    assert left == pytest.approx(0.9**total)
    assert weights == pytest.approx([(1 - 0.9**total) / here] * here)


def test_one_normalisation_batch_is_ordinary_batch_norm() -> None:
    ours, theirs, x = nn.BatchNorm1d(3), nn.BatchNorm1d(3), torch.randn(8, 3)
    with running_statistics(ours, 0, 1, 1):
        ours(x)
    theirs(x)
    assert torch.equal(ours.running_mean, theirs.running_mean)
    assert torch.equal(ours.running_var, theirs.running_var)
    assert ours.momentum == 0.1


def test_running_statistics_are_the_formulas() -> None:
    layer, parts = nn.BatchNorm1d(2).double(), torch.randn(4, 8, 2, dtype=torch.float64)
    for position, part in enumerate(parts):
        with running_statistics(layer, position, 4, 4):
            layer(part)
    expected = 0.9**4 * 0 + (1 - 0.9**4) * parts.mean(1).mean(0)
    assert torch.allclose(layer.running_mean, expected)
    assert torch.allclose(layer.running_var, 0.9**4 + (1 - 0.9**4) * parts.var(1).mean(0))


def test_splits_that_would_change_the_statistics_are_refused() -> None:
    task = Task(SmallCNN(), Digits(), epochs=1)
    with pytest.raises(UserError, match=r"norm_batch_size None: .* cannot be had while it is split over 2 workers"):
        check_run(task, Recipe(), 64, 0.1, workers=2)
    with pytest.raises(UserError, match="norm_batch_size 16: batch size 16 over 2 workers leaves 8 samples each"):
        check_run(task, Recipe(norm_batch_size=16), 16, 0.1, workers=2)
    with pytest.raises(UserError, match="batch size 63: is not divisible by 2 workers"):
        check_run(task, Recipe(norm_batch_size=16), 63, 0.1, workers=2)
    check_run(task, Recipe(norm_batch_size=16), 64, 0.1, workers=2)
