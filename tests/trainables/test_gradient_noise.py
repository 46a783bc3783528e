"""The gradient noise scale: known truths recovered, and AdaScale's gain from it."""

import math
from dataclasses import dataclass, replace

import pytest
import torch
from torch import nn

from trainables import Progress, Recipe, Task, train
from trainables.data import Digits
from trainables.decay import StepDecay
from trainables.gradient_noise import GradientNoise, averaged, noise_between
from trainables.growth import AdaptiveGrowth
from trainables.scaling import AdaScale, LinearScaling


@pytest.mark.parametrize("parts", [2, 8])
def test_a_known_gradient_and_covariance_are_recovered(parts: int) -> None:
    """Samples' gradients G + noise with |G|^2 = 4 and tr(Sigma) = 50: from 4,000 batches of 16, both within 3 %."""
    generator = torch.Generator().manual_seed(0)
    mean = torch.zeros(20, dtype=torch.float64)
    mean[0] = 2.0
    totals = []
    for _ in range(4000):
        samples = mean + (50 / 20) ** 0.5 * torch.randn(16, 20, generator=generator, dtype=torch.float64)
        each = samples.view(parts, 16 // parts, 20).mean(1)
        now = noise_between(each.square().sum(1).mean().item(), each.mean(0).square().sum().item(), parts, 16 // parts)
        totals.append((now.squared_norm, now.variance))
    noise = GradientNoise(*torch.tensor(totals, dtype=torch.float64).mean(0).tolist())
    assert noise.squared_norm == pytest.approx(4.0, rel=0.03)
    assert noise.variance == pytest.approx(50.0, rel=0.03)
    assert noise.scale == pytest.approx(12.5, rel=0.05)


def test_the_average_is_plain_first_and_forgets_later() -> None:
    noise = None
    for value in (1.0, 2.0, 6.0):
        noise = averaged(noise, GradientNoise(value, 10 * value))
    assert (noise.squared_norm, noise.variance, noise.measurements) == (pytest.approx(3.0), pytest.approx(30.0), 3)
    forgetful = averaged(GradientNoise(0.0, 0.0, 10_000), GradientNoise(1.0, 1.0))
    assert forgetful.variance == pytest.approx(0.01)


def test_what_is_not_finite_is_skipped() -> None:
    assert noise_between(math.nan, 1.0, 2, 8) is None
    assert noise_between(math.inf, math.inf, 2, 8) is None
    before = GradientNoise(1.0, 2.0)
    assert averaged(before, None) is before
    assert averaged(None, None) is None
    assert GradientNoise(-0.1, 2.0).scale == math.inf


def at(noise: GradientNoise | None, batch_size: int = 512) -> Progress:
    return Progress(0, 10, batch_size=batch_size, base_batch_size=32, noise=noise)


def test_the_gain_is_k_where_noise_rules_and_one_where_it_does_not() -> None:
    assert AdaScale()(at(GradientNoise(0.0, 1.0))) == pytest.approx(16.0)
    assert AdaScale()(at(GradientNoise(-1.0, 1.0))) == pytest.approx(16.0)
    assert AdaScale()(at(GradientNoise(1.0, 0.0))) == 1.0
    assert AdaScale()(at(None)) == 1.0
    assert AdaScale()(at(GradientNoise(0.0, 0.0))) == 1.0


def test_the_gain_is_the_papers_formula() -> None:
    """sigma^2 = 3, mu^2 = 1, k = 16: (3 + 1) / (3/16 + 1)."""
    noise = GradientNoise(squared_norm=1.0, variance=3.0 * 32)
    assert AdaScale()(at(noise)) == pytest.approx(4 / (3 / 16 + 1))
    assert AdaScale().advance(at(noise)) == pytest.approx(4 / (3 / 16 + 1) / 16)
    assert AdaScale()(at(noise, batch_size=32)) == 1.0
    assert AdaScale().noise_parts(at(None, batch_size=32)) == 0
    assert AdaScale()(at(noise, batch_size=16)) == pytest.approx(4 / 7)  # downwards: between k and 1


def test_the_gain_equals_mccandlish_normalised_at_the_base_batch() -> None:
    """eta_max / (1 + B_noise / B) at B over the same at B0."""
    noise = GradientNoise(squared_norm=2.0, variance=300.0)
    ratio = (1 + noise.scale / 32) / (1 + noise.scale / 512)
    assert AdaScale()(at(noise)) == pytest.approx(ratio)


@dataclass(frozen=True)
class Linear:
    """A model without normalisation."""

    def __call__(self) -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))


TASK = Task(Linear(), Digits(train_samples=320, validation_samples=100), epochs=4)


def test_the_schedule_advances_by_what_the_gain_makes_of_a_step() -> None:
    """A gain below k makes a slower clock: the run ends after the task's epochs, before its schedule does."""
    recipe = Recipe(base_batch_size=8, scaling=AdaScale(), decay=StepDecay(every_epochs=2))
    slow = train(TASK, recipe, batch_size=64, learning_rate=0.1)
    assert (len(slow.epochs), slow.status) == (4, "done")
    gains = [rate / (0.1 / 8) for rate in slow["last_learning_rate"]]
    assert all(1 < gain < 8 for gain in gains), "no decay so far"
    assert sum(gain / 8 for gain in gains) < 2  # gain of each epoch's last step, so roughly
    whole = train(TASK, replace(recipe, scaling=LinearScaling()), batch_size=64, learning_rate=0.1)
    assert whole["last_learning_rate"] == pytest.approx([0.1, 0.1, 0.01, 0.01])


def test_a_run_at_the_reference_batch_size_is_the_plain_one() -> None:
    for growth in (Recipe().growth, AdaptiveGrowth(max_batch_size=64)):
        plain = Recipe(base_batch_size=32, growth=growth)
        histories = [
            train(TASK, each, batch_size=32, learning_rate=0.1)["train_loss"]
            for each in (plain, replace(plain, scaling=AdaScale()))
        ]
        assert histories[0] == histories[1]


def test_below_the_reference_the_schedule_keeps_to_the_epochs() -> None:
    recipe = Recipe(base_batch_size=160, scaling=AdaScale())
    history = train(TASK, recipe, batch_size=32, learning_rate=0.1)
    assert (len(history.epochs), history.status) == (4, "done")
    assert all(0.1 / 5 <= rate <= 0.1 for rate in history["last_learning_rate"])


def test_a_grown_batch_counts_for_as_many_reference_steps_as_its_rate() -> None:
    """A step along r base steps' worth of rate counts r * B0 samples, however large its batch has become."""
    noise = GradientNoise(squared_norm=1.0, variance=96.0)
    now = at(noise)
    grown = replace(now, grown_batch_size=2048)
    assert AdaScale().advance(grown) * 2048 == pytest.approx(AdaScale().advance(now) * 512)
    assert AdaScale().advance(grown) * 2048 == pytest.approx(AdaScale()(now) * 32)


def test_the_batch_follows_the_noise_scale_and_never_shrinks() -> None:
    growth = AdaptiveGrowth(max_batch_size=512, factor=2, every_epochs=1)

    def size(epoch: float, scale: float, before: int | None) -> int:
        noise = GradientNoise(1.0, scale)
        return growth(Progress(epoch, 10, batch_size=32, base_batch_size=32, grown_batch_size=before, noise=noise))

    assert size(0.9, 1e6, 32) == 32  # not before the first epoch's end
    assert size(1.0, 1e6, 32) == 64
    assert size(5.0, 130.0, 64) == 128
    assert size(5.0, 127.0, 64) == 64
    assert size(6.0, 1.0, 256) == 256
    assert size(9.0, 1e6, 256) == 512
    assert growth(Progress(3, 10, batch_size=32, base_batch_size=32)) == 32
    assert growth.largest(Progress(0, 10, batch_size=32, base_batch_size=32)) == 512
