"""Two gloo workers equal one process, for every gradient, growth, normalisation and whatever draws at random."""

import functools
import os
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
import torch.distributed
import torch.multiprocessing
import torch.nn.functional as F
from torch import nn

from trainables import Recipe, Task
from trainables.data import Digits, TextCorpus
from trainables.data.loading.streams import Streams
from trainables.decay import StepDecay
from trainables.engine.run import Run, _draw
from trainables.engine.workers import Workers
from trainables.gradient import ASAM, SAM
from trainables.growth import AdaptiveGrowth, GrowthInPlaceOfDecay, StepGrowth
from trainables.layers.stream_lstm import StreamLSTM
from trainables.metric import Perplexity
from trainables.optimizers import LARS, SGD
from trainables.scaling import AdaScale


@dataclass(frozen=True)
class Net:
    """Convolution, BatchNorm in both kinds and dropout in both kinds; or neither of the two."""

    bare: bool = False

    def __call__(self) -> nn.Module:
        if self.bare:
            return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
        convolution = [nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.Dropout2d(0.2), nn.Flatten()]
        dense = [nn.Linear(144, 12), nn.BatchNorm1d(12), nn.Dropout(0.3), nn.Linear(12, 10)]
        return WithUnused(*convolution, *dense)


class WithUnused(nn.Sequential):
    """Has a weight that no output depends on."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__(*layers)
        self.unused = nn.Parameter(torch.ones(3))


@dataclass(frozen=True)
class LanguageModel:
    """Words, an LSTM that carries its state, dropout between, words again."""

    def __call__(self) -> nn.Module:
        return nn.Sequential(nn.Embedding(9, 6), StreamLSTM(6, 7, layers=2), nn.Dropout(0.2), nn.Linear(7, 9))


@dataclass(frozen=True)
class Text(TextCorpus):
    """Made-up words, each of which makes the next more likely."""

    vocabulary: int = 9
    steps: int = 5
    train_tokens: int = 1606
    validation_tokens: int = 506

    def load(self, data_dir: Path) -> Streams:
        generator = torch.Generator().manual_seed(0)
        tokens = torch.randint(0, 2, (1606,), generator=generator).cumsum(0) % 9
        return Streams(tokens, tokens[:506], tokens[:206], self.steps)


TEXT = Task(LanguageModel(), Text(), epochs=3, metric=Perplexity())
TASK = Task(Net(), Digits(train_samples=320, validation_samples=100), epochs=3)
BARE = replace(TASK, model=Net(bare=True))
PLAIN = Recipe(base_batch_size=8, optimizer=SGD(momentum=0.9, weight_decay=1e-4), norm_batch_size=8)
WHOLE = replace(PLAIN, norm_batch_size=None)
RECIPES = {
    "plain": (TASK, PLAIN),
    "whole batch": (TASK, WHOLE),
    "shares": (TASK, replace(WHOLE, norm_parts=2)),
    "shares that grow": (TASK, replace(WHOLE, norm_parts=2, growth=StepGrowth(every_epochs=1))),
    "micro-batches": (TASK, replace(PLAIN, max_micro_batch=8)),
    "micro-batches without BatchNorm": (BARE, replace(WHOLE, max_micro_batch=5)),
    "SAM": (TASK, replace(PLAIN, gradient=SAM(rho=0.1))),
    "SAM, whole batch": (TASK, replace(WHOLE, gradient=SAM(rho=0.1))),
    "SAM, every second step, micro-batches": (TASK, replace(PLAIN, gradient=SAM(every=2), max_micro_batch=8)),
    "ASAM": (TASK, replace(PLAIN, gradient=ASAM())),
    "AdaBatch": (TASK, replace(PLAIN, growth=StepGrowth(every_epochs=1))),
    "AdaBatch, whole batch": (TASK, replace(WHOLE, growth=StepGrowth(every_epochs=1))),
    "growth in place of decay": (TASK, replace(PLAIN, growth=GrowthInPlaceOfDecay(StepDecay(1, factor=0.5)))),
    "adaptive growth": (TASK, replace(PLAIN, growth=AdaptiveGrowth(max_batch_size=64, parts=4))),
    "AdaScale": (TASK, replace(PLAIN, scaling=AdaScale())),
    "carried states": (TEXT, WHOLE),
    "carried states, SAM, micro-batches": (TEXT, replace(WHOLE, gradient=SAM(rho=0.1), max_micro_batch=5)),
    "AdaScale, SAM, micro-batches": (
        TASK,
        replace(PLAIN, scaling=AdaScale(parts=4), gradient=SAM(), max_micro_batch=8, optimizer=LARS(trust=0.1)),
    ),
}
PER_WORKER = replace(WHOLE, gradient=SAM(rho=0.1, perturbation="per_worker"), optimizer=SGD())


def run(task: Task, recipe: Recipe, workers: Workers = Workers()) -> Run:
    return Run(task, recipe, task.data.load(Path()), 32, 0.05, seed=5, workers=workers, dtype=torch.float64)


def trained(task: Task, recipe: Recipe, workers: Workers = Workers()) -> tuple[dict, list]:
    """The state after three epochs, and what they reported."""
    this = run(task, recipe, workers)
    epochs = [this.train_epoch() for _ in range(3)]
    return this.state_dict(), epochs


def work(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    everything = {**RECIPES, "per worker": (BARE, PER_WORKER)}
    results = {name: trained(*each, Workers(rank, 2)) for name, each in everything.items()}
    torch.save(results, f"{folder}/{rank}.pt")
    torch.distributed.barrier()
    os._exit(0)  # gloo's threads now and then abort the interpreter's own way out


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> list[dict]:
    """What each of two workers came to, for all recipes."""
    folder = tmp_path_factory.mktemp("gloo")
    torch.multiprocessing.spawn(work, (str(folder),), nprocs=2)
    return [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in range(2)]


@pytest.mark.parametrize("name", RECIPES)
def test_two_workers_equal_one_process(together: list[dict], name: str) -> None:
    state, epochs = trained(*RECIPES[name])
    for worker in together:
        same_state, same_epochs = worker[name]
        assert list(same_state["model"]) == list(state["model"])
        for key, value in state["model"].items():
            assert torch.allclose(value, same_state["model"][key], rtol=0, atol=1e-6), key
        for mine, theirs in zip(epochs, same_epochs, strict=True):
            assert theirs.train_loss == pytest.approx(mine.train_loss, abs=1e-6)
            assert theirs.validation_loss == pytest.approx(mine.validation_loss, abs=1e-6)
            assert theirs["validation_accuracy"] == mine["validation_accuracy"]
            assert (theirs.samples, theirs.steps, theirs.last_batch_size) == (
                mine.samples,
                mine.steps,
                mine.last_batch_size,
            )
            assert theirs.last_learning_rate == pytest.approx(mine.last_learning_rate)
            assert (theirs.noise_scale is None) == (mine.noise_scale is None)


@pytest.mark.parametrize("name", RECIPES)
def test_a_resumed_run_equals_an_uninterrupted_one(name: str) -> None:
    """Batches grown, noise measured and averages kept so far come back with the weights."""
    whole, first, second = (run(*RECIPES[name]) for _ in range(3))
    expected = [whole.train_epoch() for _ in range(3)]
    first.train_epoch()
    second.load_state_bytes(first.state_bytes())
    resumed = [second.train_epoch() for _ in range(2)]
    for key, value in whole.state_dict()["model"].items():
        assert torch.equal(value, second.state_dict()["model"][key]), key
    for mine, theirs in zip(expected[1:], resumed, strict=True):
        seconds = {"train_seconds": 0.0, "evaluation_seconds": 0.0}
        assert replace(mine, **seconds) == replace(theirs, **seconds)


def test_the_recipes_do_what_they_say() -> None:
    """What is compared above is not one and the same run: batches grow, noise is measured, weights differ."""
    results = {name: trained(*each) for name, each in RECIPES.items()}
    assert [each.last_batch_size for each in results["AdaBatch"][1]] == [32, 64, 128]
    assert [each.last_batch_size for each in results["growth in place of decay"][1]] == [32, 64, 128]
    assert [each.last_batch_size for each in results["adaptive growth"][1]] == [32, 64, 64]
    assert results["AdaScale"][1][-1].noise_scale > 0
    assert 0.0125 < results["AdaScale"][1][-1].last_learning_rate < 0.05
    weights = {name: state["model"] for name, (state, _) in results.items()}
    biases = {name: each["1.bias" if "1.bias" in each else "3.bias"] for name, each in weights.items()}
    final = {name: float(bias.square().sum()) for name, bias in biases.items()}
    assert final["plain"] == pytest.approx(final["micro-batches"], abs=1e-6)
    assert len({round(value, 7) for name, value in final.items()}) >= len(RECIPES) - 1


def test_a_weight_without_a_gradient_is_left_alone(together: list[dict]) -> None:
    """Neither the exchange nor the measuring of noise makes it a gradient of zero, which weight decay would act on."""
    for name in ("plain", "AdaScale", "SAM"):
        assert trained(*RECIPES[name])[0]["model"]["unused"].tolist() == [1.0, 1.0, 1.0]
        assert together[1][name][0]["model"]["unused"].tolist() == [1.0, 1.0, 1.0]


def test_a_perturbation_per_worker_is_the_mean_of_the_shares(together: list[dict]) -> None:
    """m-sharpness by hand: each half of the batch goes its own way uphill; their mean gradient is stepped along."""
    model = run(BARE, PER_WORKER)._model
    images = BARE.data.load(Path())
    pixels = (images.train.images.double() - 255 * images.mean[0]) / (255 * images.std[0])
    loss_of = functools.partial(_loss, model, pixels, images.train.labels)
    for epoch in range(3):
        order = torch.randperm(320, generator=torch.Generator().manual_seed(_draw(5, epoch, "samples")))
        for batch in order.split(32):
            halves = []
            for half in batch.split(16):
                first = torch.autograd.grad(loss_of(half), list(model.parameters()))
                length = torch.sqrt(sum(each.square().sum() for each in first))
                steps = [0.1 * each / length for each in first]
                with torch.no_grad():
                    for parameter, step in zip(model.parameters(), steps, strict=True):
                        parameter += step
                halves.append(torch.autograd.grad(loss_of(half), list(model.parameters())))
                with torch.no_grad():
                    for parameter, step in zip(model.parameters(), steps, strict=True):
                        parameter -= step
            with torch.no_grad():
                for parameter, one, other in zip(model.parameters(), *halves, strict=True):
                    parameter -= 0.05 * (one + other) / 2
    for worker in together:
        for name, value in model.state_dict().items():
            assert torch.allclose(worker["per worker"][0]["model"][name], value, rtol=0, atol=1e-9)


def _loss(model: nn.Module, pixels: torch.Tensor, labels: torch.Tensor, batch: torch.Tensor) -> torch.Tensor:
    return F.cross_entropy(model(pixels[batch]), labels[batch])
