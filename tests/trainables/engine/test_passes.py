"""An epoch of several passes over the training set, or of part of one: the same run, told in other epochs."""

from dataclasses import replace

import pytest
import torch

from tests.trainables.engine.test_run import TASK, run, weights
from trainables import Recipe, UserError, train
from trainables.decay import CosineDecay, StepDecay
from trainables.engine.run import Run
from trainables.scaling import LinearScaling
from trainables.warmup import LEGWarmup, LinearWarmup

RECIPE = Recipe(base_batch_size=10, scaling=LinearScaling(), warmup=LinearWarmup(fraction=0.25), decay=CosineDecay())


def trained(epochs: int, passes: float, recipe: Recipe = RECIPE, batch_size: int = 20) -> Run:
    made = run(replace(TASK, epochs=epochs, passes_per_epoch=passes), recipe, batch_size)
    while made.status == "running":
        made.train_epoch()
    return made


@pytest.mark.parametrize(("epochs", "passes"), [(2, 3.0), (12, 0.5), (1, 6.0)])
def test_schedules_are_stretched_over_as_many_passes(epochs: int, passes: float) -> None:
    assert torch.equal(weights(trained(epochs, passes)), weights(trained(6, 1.0)))


def test_epochs_of_a_schedule_are_those_of_the_run() -> None:
    recipe = Recipe(warmup=LinearWarmup(epochs=1, start="zero"), decay=StepDecay(every_epochs=2))
    twice = replace(recipe, warmup=LinearWarmup(epochs=2, start="zero"), decay=StepDecay(every_epochs=4))
    assert torch.equal(weights(trained(3, 2.0, recipe)), weights(trained(6, 1.0, twice)))


def test_legw_warms_up_for_as_many_steps_at_every_batch_size() -> None:
    """At equal epochs that is as many times longer in epochs; at equal steps it is as many epochs."""
    warmup = LEGWarmup(base_epochs=0.5)
    recipe = Recipe(base_batch_size=32)
    assert warmup.length(recipe.start(128, 90)) == 2.0
    assert warmup.length(recipe.start(128, 90, passes_per_epoch=4.0)) == 0.5


def test_an_epoch_ends_inside_a_pass_and_the_next_goes_on_there() -> None:
    """0.35 passes of 200 samples are 70, and a batch that has begun is completed."""
    history = train(replace(TASK, epochs=4, passes_per_epoch=0.35), Recipe(), batch_size=20, learning_rate=0.05)
    assert history["samples"] == [80, 140, 220, 280]
    assert history["steps"] == [4, 7, 11, 14]
    assert history["epoch"] == [1, 2, 3, 4]


@pytest.mark.parametrize("ended", [1, 2, 3])
def test_a_run_resumed_inside_a_pass_equals_an_uninterrupted_one(ended: int) -> None:
    task = replace(TASK, epochs=5, passes_per_epoch=0.35)
    whole, first, second = (run(task, RECIPE) for _ in range(3))
    for made in (whole, first):
        for _ in range(ended):
            made.train_epoch()
    second.load_state_bytes(first.state_bytes())
    expected, resumed = whole.train_epoch(), second.train_epoch()
    assert torch.equal(weights(whole), weights(second))
    assert (resumed.samples, resumed.train_loss) == (expected.samples, expected.train_loss)


def test_an_epoch_without_a_step_is_refused() -> None:
    task = replace(TASK, passes_per_epoch=0.4)
    with pytest.raises(UserError, match=r"passes per epoch 0\.4: at batch size 90 an epoch would be 0\.8 steps"):
        train(task, Recipe(), batch_size=90, learning_rate=0.05)
    assert train(replace(task, passes_per_epoch=0.5), Recipe(), 90, learning_rate=0.05)["steps"] == [1, 2]


def test_impossible_passes_are_refused() -> None:
    for passes in (0.0, -1.0, float("inf"), float("nan")):
        with pytest.raises(UserError, match=r"Task passes_per_epoch .*: must be a positive number"):
            replace(TASK, passes_per_epoch=passes)
