"""The formula against hand-computed tables and the papers' own numbers."""

import math
import warnings

import pytest

from trainables import Progress, Recipe, Task, UserError
from trainables.data import Digits
from trainables.decay import (
    CosineDecay,
    Decay,
    ExponentialDecay,
    MultiStepDecay,
    NoDecay,
    PolynomialDecay,
    StableDecay,
    StepDecay,
)
from trainables.engine.checks import check_run
from trainables.growth import FixedBatch, GrowthInPlaceOfDecay, StepGrowth
from trainables.models import SmallCNN
from trainables.optimizers import LAMB, SGD, Adam, AdamW, Optimizer, RMSprop
from trainables.scaling import (
    AdaptiveSquareRootScaling,
    LinearScaling,
    NoScaling,
    PowerScaling,
    Scaling,
    SquareRootScaling,
)
from trainables.warmup import ConstantWarmup, ExponentialWarmup, LEGWarmup, LinearWarmup, NoWarmup, Warmup


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


IMAGENET_SAMPLES = 1_281_167


@pytest.mark.parametrize(
    ("batch_size", "power", "epochs"),
    [(1024, 2.5, 0.3125), (2048, 3.0, 0.625), (4096, 3.5, 1.25), (8192, 4.0, 2.5), (16384, 4.5, 5), (32768, 5.0, 10)],
)
@pytest.mark.parametrize("tuned", [1024, 32768])
def test_legw_is_paper_5s_table_from_either_end(tuned: int, batch_size: int, power: float, epochs: float) -> None:
    """Table 1, up from 1,024 (2^2.5, 0.3125 epochs) or down from 32,768 (2^5, 10 epochs), poly 2 over 90 epochs."""
    base_lr, base_epochs = {1024: (2**2.5, 0.3125), 32768: (2**5.0, 10.0)}[tuned]
    recipe = Recipe(
        base_batch_size=tuned,
        scaling=SquareRootScaling(),
        warmup=LEGWarmup(base_epochs),
        decay=PolynomialDecay(power=2),
    )
    assert recipe.peak_learning_rate(base_lr, batch_size) == pytest.approx(2**power)
    start = recipe.start(batch_size, epochs=90)
    assert recipe.warmup.length(start) == pytest.approx(epochs)
    for share in (0.0, 0.25, 1.0):
        now = at(share * epochs, epochs=90, batch_size=batch_size, base=tuned)
        left = (1 - share * epochs / 90) ** 2
        assert recipe.learning_rate(base_lr, now) == pytest.approx(share * 2**power * left)


def test_paper_5s_iterations_are_a_slip() -> None:
    """0.3125 epochs at 1,024 are 391 steps, not 35,190."""
    assert round(0.3125 * IMAGENET_SAMPLES / 1024) == 391


@pytest.mark.parametrize(
    ("epoch", "share"), [(29.9, 1), (30, 0.1), (60, 0.01), (79.9, 0.01), (80, 0.001), (89.9, 0.001)]
)
def test_multi_step_decay_is_paper_5s(epoch: float, share: float) -> None:
    assert MultiStepDecay(at_epochs=(30, 60, 80))(at(epoch, epochs=90)) == pytest.approx(share)


def test_exponential_decay_is_paper_5s_penn_treebank() -> None:
    """Seven epochs at the peak of 13, then halved after each: the eighth epoch at a half."""
    decay = ExponentialDecay(constant_epochs=7, factor=0.5)
    shares = [decay(at(epoch + 0.5, epochs=13)) for epoch in range(13)]
    assert shares == [1] * 7 + [0.5, 0.25, 0.125, 0.0625, 0.03125, 0.015625]


@pytest.mark.parametrize(
    ("batch_size", "rate"),
    [(32, 0.00025), (64, 0.0005), (128, 0.001), (256, 0.002), (512, 0.004), (1024, 0.008), (2048, 0.016)],
)
def test_linear_scaling_gives_paper_2s_rmsprop_rates(batch_size: int, rate: float) -> None:
    """Table VII: tuned at 128, scaled both ways."""
    recipe = Recipe(base_batch_size=128, optimizer=RMSprop(momentum=0.9, weight_decay=0.05), scaling=LinearScaling())
    assert recipe.peak_learning_rate(0.001, batch_size) == pytest.approx(rate)


@pytest.mark.parametrize(
    ("warmup", "half_way"),
    [
        (ConstantWarmup(fraction=0.05), 1.0),
        (LinearWarmup(fraction=0.05), 512.5),
        (ExponentialWarmup(fraction=0.05), 32.0),
    ],
    ids=repr,
)
def test_paper_1s_three_warmups_over_5_percent_of_70_epochs(warmup: Warmup, half_way: float) -> None:
    """lr = |B| eta with eta = 0.001: at 1,024 up from 0.001 to 1.024 within 3.5 epochs."""
    recipe = Recipe(base_batch_size=1, optimizer=SGD(), scaling=LinearScaling(), warmup=warmup)
    assert recipe.peak_learning_rate(0.001, 1024) == pytest.approx(1.024)
    rates = [recipe.learning_rate(0.001, at(epoch, epochs=70, batch_size=1024, base=1)) for epoch in (0, 1.75, 3.5)]
    assert rates == pytest.approx([0.001, 0.001 * half_way, 1.024])


def test_adabatch_is_paper_3s_cifar_schedule() -> None:
    """1,024 to 16,384 over 100 epochs, doubled every 20 with 0.5; per sample it falls as a fixed batch's 0.25 does."""
    growth = StepGrowth(every_epochs=20, factor=2, learning_rate_factor=0.5)
    fixed = StepDecay(every_epochs=20, factor=0.25)
    epochs = [at(epoch, epochs=100, batch_size=1024, base=128) for epoch in (0, 19.99, 20, 40, 60, 80, 99.99)]
    assert [growth(each) for each in epochs] == [1024, 1024, 2048, 4096, 8192, 16384, 16384]
    assert [growth.rate(each) for each in epochs] == [1, 1, 0.5, 0.25, 0.125, 0.0625, 0.0625]
    for each in epochs:
        assert growth.rate(each) / growth(each) == pytest.approx(fixed(each) / 1024)


@pytest.mark.parametrize(("factor", "share"), [(2, 0.2), (4, 0.4), (8, 0.8)])
def test_adabatch_is_paper_3s_imagenet_schedule(factor: int, share: float) -> None:
    """Every 30 of 90 epochs, against a fixed batch whose rate falls to 0.1; 8,192 x 8 x 8 = 524,288."""
    growth = StepGrowth(every_epochs=30, factor=factor, learning_rate_factor=share)
    late = at(89, epochs=90, batch_size=8192, base=256)
    assert growth(late) == growth.largest(at(0, epochs=90, batch_size=8192, base=256)) == 8192 * factor**2
    assert (growth(late) == 524_288) == (factor == 8)
    assert growth.rate(late) / growth(late) == pytest.approx(StepDecay(every_epochs=30, factor=0.1)(late) / 8192)


def test_a_ceiling_leaves_the_rate_per_sample_as_it_would_have_been() -> None:
    free = StepGrowth(every_epochs=20, factor=2, learning_rate_factor=0.5)
    capped = StepGrowth(every_epochs=20, factor=2, learning_rate_factor=0.5, max_batch_size=3000)
    for epoch in (0, 20, 40, 60, 80):
        now = at(epoch, epochs=100, batch_size=1024, base=128)
        assert capped(now) == min(2048, free(now))
        assert capped.rate(now) / capped(now) == pytest.approx(free.rate(now) / free(now))


@pytest.mark.parametrize(
    "decay", [StepDecay(60, 0.2), MultiStepDecay((60, 120, 160), 0.2), PolynomialDecay(1.0)], ids=repr
)
@pytest.mark.parametrize("ceiling", [None, 1000])
def test_growth_in_place_of_decay_is_smiths(decay: Decay, ceiling: int | None) -> None:
    """The rate per sample falls as the decay's would; where 1 / decay is whole and no ceiling is met the rate stays."""
    growth = GrowthInPlaceOfDecay(decay, max_batch_size=ceiling)
    for epoch in (0, 59, 60, 100, 121, 161, 199):
        now = at(epoch, epochs=200, batch_size=128, base=128)
        assert growth.rate(now) / growth(now) == pytest.approx(decay(now) / 128)
        if isinstance(decay, MultiStepDecay) and ceiling is None:
            assert growth.rate(now) == pytest.approx(1.0)
            assert growth(now) == 128 * 5 ** sum(epoch >= each for each in (60, 120, 160))
        assert ceiling is None or growth(now) <= ceiling


@pytest.mark.parametrize(("alpha", "same"), [(0.0, NoScaling()), (0.5, SquareRootScaling()), (1.0, LinearScaling())])
def test_power_scaling_holds_the_three_rules(alpha: float, same: Scaling) -> None:
    for batch_size in (8, 32, 4096):
        assert PowerScaling(alpha)(at(0, batch_size=batch_size)) == pytest.approx(same(at(0, batch_size=batch_size)))


@pytest.mark.parametrize(
    ("optimizer", "expected"),
    [
        (Adam(0.9, 0.999, epsilon=1e-8), Adam(0.6, 0.996, epsilon=5e-9)),
        (AdamW(0.9, 0.98), AdamW(0.6, 0.92, epsilon=5e-9)),
        (RMSprop(alpha=0.99, momentum=0.9), RMSprop(alpha=0.96, momentum=0.9, epsilon=5e-9)),
        (LAMB(0.9, 0.999), LAMB(0.6, 0.996, epsilon=5e-7)),
    ],
    ids=repr,
)
def test_the_adaptive_rule_moves_averages_and_epsilon(optimizer: Optimizer, expected: Optimizer) -> None:
    """Malladi et al. at k = 4: the rate doubles, 1 - beta grows fourfold, epsilon halves; and back at k = 1/4."""
    recipe = Recipe(base_batch_size=32, optimizer=optimizer, scaling=AdaptiveSquareRootScaling())
    assert recipe.peak_learning_rate(0.001, 128) == pytest.approx(0.002)
    moved = recipe.optimizer_at(128)
    assert vars(moved) == pytest.approx(vars(expected))
    back = Recipe(base_batch_size=128, optimizer=moved, scaling=AdaptiveSquareRootScaling()).optimizer_at(32)
    assert vars(back) == pytest.approx(vars(optimizer))
    assert recipe.optimizer_at(32) == optimizer or vars(recipe.optimizer_at(32)) == pytest.approx(vars(optimizer))


def test_the_adaptive_rule_clamps_with_a_warning() -> None:
    recipe = Recipe(base_batch_size=32, optimizer=Adam(), scaling=AdaptiveSquareRootScaling())
    with pytest.warns(UserWarning, match=r"beta1 0.9: would be -0.6 at 16 times the base batch size; 0 is used"):
        moved = recipe.optimizer_at(512)
    assert (moved.beta1, moved.beta2) == (0.0, pytest.approx(0.984))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        recipe.optimizer_at(256)


@pytest.mark.parametrize(
    ("recipe", "batch_size", "words"),
    [
        (
            Recipe(warmup=LinearWarmup(epochs=6)),
            32,
            r"warmup LinearWarmup\(.*\): lasts 6 epochs at batch size 32, but the",
        ),
        (
            Recipe(warmup=LEGWarmup(0.5)),
            512,
            r"warmup LEGWarmup\(.*\): lasts 8 epochs at batch size 512, but the run has 5",
        ),
        (Recipe(growth=StepGrowth(1, factor=8)), 32, r"growth StepGrowth\(.*reaches a batch of 131,072 from 32 in 5"),
        (Recipe(growth=GrowthInPlaceOfDecay(CosineDecay())), 32, "growth GrowthInPlaceOfDecay.*set max_batch_size"),
        (Recipe(growth=StepGrowth(1, max_batch_size=16)), 32, r"max_batch_size 16 is below the batch size it starts"),
        (Recipe(growth=StepGrowth(0.001)), 32, "growth StepGrowth.*set max_batch_size"),
        (Recipe(scaling=AdaptiveSquareRootScaling()), 32, "AdaptiveSquareRootScaling optimizer SGD"),
    ],
)
def test_what_the_task_makes_impossible_is_refused_before_it_starts(
    recipe: Recipe, batch_size: int, words: str
) -> None:
    with pytest.raises(UserError, match=words) as caught:
        check_run(Task(SmallCNN(), Digits(), epochs=5), recipe, batch_size, 0.1)
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, ValueError)


def test_a_warmup_of_the_whole_run_is_none_too_long() -> None:
    check_run(Task(SmallCNN(), Digits(), epochs=5), Recipe(warmup=LinearWarmup(fraction=1.0)), 32, 0.1)
    assert math.isclose(LinearWarmup(fraction=1.0).length(at(0, epochs=5)), 5)


@pytest.mark.parametrize(("epoch", "share"), [(0, 1.0), (49.99, 1.0), (50, 0.1), (100, 0.01), (199.9, 0.001)])
def test_step_decay_is_paper_2s(epoch: float, share: float) -> None:
    assert StepDecay(every_epochs=50, factor=0.1)(at(epoch)) == pytest.approx(share)


@pytest.mark.parametrize(("epoch", "share"), [(0, 1.0), (50, 0.853553), (100, 0.5), (200, 0.0)])
def test_cosine_decay(epoch: float, share: float) -> None:
    assert CosineDecay()(at(epoch)) == pytest.approx(share, abs=1e-6)


@pytest.mark.parametrize(
    ("fraction", "linear", "root"),
    [(0.0, 1.0, 1.0), (0.7, 1.0, 1.0), (0.85, 0.5, 1 - 0.5**0.5), (0.925, 0.25, 1 - 0.75**0.5), (1.0, 0.0, 0.0)],
)
def test_warmup_stable_decay_keeps_the_peak_and_falls_at_the_end(fraction: float, linear: float, root: float) -> None:
    progress = Progress(epoch=20 * fraction, epochs=20, batch_size=32, base_batch_size=32)
    assert StableDecay(decay_fraction=0.3)(progress) == pytest.approx(linear)
    assert StableDecay(decay_fraction=0.3, shape="root")(progress) == pytest.approx(root)


def test_the_formula_multiplies_its_parts() -> None:
    """Paper 2 at 2,048: base 0.025, scale 64, in epoch 5 of a 10-epoch ramp, and in epoch 60 after one drop."""
    recipe = Recipe(scaling=LinearScaling(), warmup=LinearWarmup(10), decay=StepDecay(50))
    assert recipe.learning_rate(0.025, at(5, batch_size=2048)) == pytest.approx(0.025 * (1 + 63 * 0.5))
    assert recipe.learning_rate(0.025, at(60, batch_size=2048)) == pytest.approx(0.16)


def test_empty_slots_leave_base_lr_alone() -> None:
    recipe = Recipe(scaling=NoScaling(), warmup=NoWarmup(), decay=NoDecay(), growth=FixedBatch())
    assert recipe.learning_rate(0.1, at(17, batch_size=2048)) == 0.1
    assert recipe.growth(at(17, batch_size=2048)) == 2048
