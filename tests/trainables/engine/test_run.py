"""One run: identities, reproducibility, divergence, and what is refused."""

import math
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from trainables import Recipe, Task, UserError, train
from trainables.data import Digits
from trainables.data.loading.images import normalise
from trainables.decay import CosineDecay
from trainables.engine.run import Run, _draw
from trainables.models import SmallCNN
from trainables.optimizers import SGD
from trainables.scaling import LinearScaling, NoScaling, SquareRootScaling
from trainables.warmup import LinearWarmup

TASK = Task(SmallCNN(width=4), Digits(train_samples=200, validation_samples=100), epochs=2)


@dataclass(frozen=True)
class Linear:
    """A model without normalisation."""

    def __call__(self) -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))


def run(task: Task = TASK, recipe: Recipe = Recipe(), batch_size: int = 20, learning_rate: float = 0.05) -> Run:
    images = task.data.load(Path())
    return Run(task, recipe, images, batch_size, learning_rate, seed=3, dtype=torch.float64)


def weights(trained: Run) -> torch.Tensor:
    return torch.cat([value.flatten().double() for value in trained.state_dict()["model"].values()])


def test_no_slots_is_plain_sgd_bit_for_bit() -> None:
    task = replace(TASK, model=Linear())
    images = task.data.load(Path())
    ours = run(task, Recipe(optimizer=SGD()))
    ours.train_epoch()

    torch.manual_seed(3)
    model = Linear()().double()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    order = torch.randperm(200, generator=torch.Generator().manual_seed(_draw(3, 0, "samples")))
    for step in range(10):
        batch = order[20 * step : 20 * step + 20]
        optimizer.zero_grad()
        inputs = normalise(images.train.images[batch], images.mean, images.std, torch.float64)
        F.cross_entropy(model(inputs), images.train.labels[batch]).backward()
        optimizer.step()
    theirs = torch.cat([parameter.detach().flatten() for parameter in model.parameters()])
    assert torch.equal(weights(ours), theirs)


def test_recipes_that_differ_only_in_scaling_are_the_same_run() -> None:
    """The learning rate is the peak, so the rule cancels; from zero, so does the ramp."""
    results = []
    for scaling in (NoScaling(), LinearScaling(), SquareRootScaling()):
        trained = run(recipe=Recipe(base_batch_size=5, scaling=scaling, warmup=LinearWarmup(1, start="zero")))
        trained.train_epoch()
        results.append(weights(trained))
    assert torch.allclose(results[0], results[1], rtol=0, atol=1e-12)
    assert torch.allclose(results[0], results[2], rtol=0, atol=1e-12)


def test_the_peak_learning_rate_is_reached_when_warmup_ends() -> None:
    recipe = Recipe(base_batch_size=5, scaling=LinearScaling(), warmup=LinearWarmup(1))
    trained = run(recipe=recipe, learning_rate=0.08)
    assert trained.train_epoch().last_learning_rate == pytest.approx(0.02 * (1 + 3 * 0.9))
    assert trained.train_epoch().last_learning_rate == pytest.approx(0.08)


def test_a_resumed_run_equals_an_uninterrupted_one() -> None:
    recipe = Recipe(optimizer=SGD(momentum=0.9), decay=CosineDecay(), norm_batch_size=10)
    whole, first, second = (run(recipe=recipe) for _ in range(3))
    whole.train_epoch()
    first.train_epoch()
    second.load_state_bytes(first.state_bytes())
    expected, resumed = whole.train_epoch(), second.train_epoch()
    assert torch.equal(weights(whole), weights(second))
    assert resumed["validation_accuracy"] == expected["validation_accuracy"]
    assert (resumed.epoch, resumed.samples, resumed.status) == (2, 400, "done")


def test_seeds_differ_and_the_same_seed_repeats() -> None:
    accuracies = [
        train(TASK, Recipe(), batch_size=20, learning_rate=0.1, seed=seed)["train_loss"][-1] for seed in (1, 1, 2)
    ]
    assert accuracies[0] == accuracies[1] != accuracies[2]


def test_the_last_partial_batch_is_dropped_and_not_counted() -> None:
    history = train(TASK, Recipe(), batch_size=30, learning_rate=0.05)
    assert history["samples"] == [180, 360]
    assert history["steps"] == [6, 12]


def test_a_diverging_run_is_a_measurement() -> None:
    history = train(replace(TASK, epochs=5), Recipe(), batch_size=20, learning_rate=1e6)
    last = history.epochs[-1]
    assert history.status == last.status == "diverged"
    assert len(history.epochs) < 5
    assert last["validation_accuracy"] == 0.1
    assert last["test_accuracy"] == 0.1
    assert last.validation_loss == pytest.approx(math.log(10))
    assert last.diverged == 1
    assert set(last.numbers()) == set(TASK.reported_names) - {
        "noise_scale",
        "validation_perplexity",
        "test_perplexity",
    }  # where asked for
    assert all(math.isfinite(value) for value in last.numbers().values())


def test_a_not_a_number_ends_the_run_inside_the_epoch() -> None:
    history = train(
        replace(TASK, model=Linear()), Recipe(optimizer=SGD()), batch_size=1, learning_rate=1e308, dtype=torch.float64
    )
    assert history.status == "diverged"
    assert history["steps"] == [20]


def test_test_accuracy_is_reported_at_the_end_only() -> None:
    history = train(TASK, Recipe(), batch_size=20, learning_rate=0.05)
    assert history["test_accuracy"][0] is None
    assert 0 <= history["test_accuracy"][1] <= 1


@pytest.mark.parametrize(
    ("recipe", "batch_size", "learning_rate", "words"),
    [
        (Recipe(), 201, 0.1, "batch size 201: must be 1 to 200, the training samples"),
        (Recipe(), 20, 0.0, "learning rate 0.0: must be a positive number"),
        (Recipe(), 20, -1.0, "learning rate -1.0"),
        (Recipe(), 20, math.nan, "learning rate nan"),
        (Recipe(norm_batch_size=8), 20, 0.1, "norm_batch_size 8: batch size 20 over 1 worker leaves 20"),
    ],
)
def test_runs_that_cannot_be_trained_are_refused(
    recipe: Recipe, batch_size: int, learning_rate: float, words: str
) -> None:
    with pytest.raises(UserError, match=words):
        train(TASK, recipe, batch_size=batch_size, learning_rate=learning_rate)
