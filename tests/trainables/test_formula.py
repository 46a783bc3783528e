"""The formula against hand-computed tables and the papers' own numbers."""

import pytest

from trainables import Progress, Recipe
from trainables.decay import CosineDecay, NoDecay, StepDecay
from trainables.growth import FixedBatch
from trainables.scaling import LinearScaling, NoScaling, SquareRootScaling
from trainables.warmup import LinearWarmup, NoWarmup


def at(epoch: float, epochs: float = 200, batch_size: int = 32, base: int = 32) -> Progress:
    return Progress(epoch=epoch, epochs=epochs, batch_size=batch_size, base_batch_size=base)


@pytest.mark.parametrize(
    ("batch_size", "rate"), [(32, 0.025), (64, 0.05), (128, 0.1), (256, 0.2), (512, 0.4), (1024, 0.8), (2048, 1.6)]
)
def test_linear_scaling_gives_the_learning_rates_of_paper_2(batch_size: int, rate: float) -> None:
    recipe = Recipe(base_batch_size=32, scaling=LinearScaling())
    assert recipe.peak_learning_rate(0.025, batch_size) == pytest.approx(rate)


@pytest.mark.parametrize(
    ("batch_size", "scale"), [(1024, 1.0), (2048, 2**0.5), (4096, 2.0), (32768, 2**2.5), (256, 0.5)]
)
def test_square_root_scaling_goes_up_and_down(batch_size: int, scale: float) -> None:
    assert SquareRootScaling()(at(0, batch_size=batch_size, base=1024)) == pytest.approx(scale)


def test_the_reference_batch_size_need_not_be_run() -> None:
    """Paper 1's rule is lr = |B| eta: linear scaling from a reference of 1."""
    assert Recipe(base_batch_size=1, scaling=LinearScaling()).peak_learning_rate(0.001, 2048) == pytest.approx(2.048)


@pytest.mark.parametrize(
    ("epoch", "from_base", "from_zero"),
    [(0, 1.0, 0.0), (2.5, 2.75, 2.0), (5, 4.5, 4.0), (10, 8.0, 8.0), (150, 8.0, 8.0)],
)
def test_linear_warmup_ramps_from_base_lr_or_from_zero(epoch: float, from_base: float, from_zero: float) -> None:
    assert LinearWarmup(epochs=10)(at(epoch), scale=8.0) == pytest.approx(from_base)
    assert LinearWarmup(epochs=10, start="zero")(at(epoch), scale=8.0) == pytest.approx(from_zero)


@pytest.mark.parametrize(("epoch", "share"), [(0, 1.0), (49.99, 1.0), (50, 0.1), (100, 0.01), (199.9, 0.001)])
def test_step_decay_is_paper_2s(epoch: float, share: float) -> None:
    assert StepDecay(every_epochs=50, factor=0.1)(at(epoch)) == pytest.approx(share)


@pytest.mark.parametrize(("epoch", "share"), [(0, 1.0), (50, 0.853553), (100, 0.5), (200, 0.0)])
def test_cosine_decay(epoch: float, share: float) -> None:
    assert CosineDecay()(at(epoch)) == pytest.approx(share, abs=1e-6)


def test_the_formula_multiplies_its_parts() -> None:
    """Paper 2 at 2,048: base 0.025, scale 64, in epoch 5 of a 10-epoch ramp, and in epoch 60 after one drop."""
    recipe = Recipe(scaling=LinearScaling(), warmup=LinearWarmup(10), decay=StepDecay(50))
    assert recipe.learning_rate(0.025, at(5, batch_size=2048)) == pytest.approx(0.025 * (1 + 63 * 0.5))
    assert recipe.learning_rate(0.025, at(60, batch_size=2048)) == pytest.approx(0.16)


def test_empty_slots_leave_base_lr_alone() -> None:
    recipe = Recipe(scaling=NoScaling(), warmup=NoWarmup(), decay=NoDecay(), growth=FixedBatch())
    assert recipe.learning_rate(0.1, at(17, batch_size=2048)) == 0.1
    assert recipe.growth(at(17, batch_size=2048)) == 2048
