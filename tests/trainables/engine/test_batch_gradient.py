"""Micro-batches, running out of memory, mixed precision, and batches of half a million."""

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
import torch.distributed
import torch.multiprocessing
from torch import Tensor, nn

from trainables import Recipe, Task, UserError, train
from trainables.data import Digits
from trainables.data.loading.images import Images, Split
from trainables.data.loading.source import Data
from trainables.engine.checks import check_run
from trainables.engine.run import Run
from trainables.engine.workers import Workers
from trainables.gradient import SAM, Gradient, Plain
from trainables.growth import StepGrowth
from trainables.models import SmallCNN
from trainables.optimizers import SGD

DATA = Digits(train_samples=320, validation_samples=100)
TASK = Task(SmallCNN(width=4), DATA, epochs=2)
RECIPE = Recipe(optimizer=SGD(momentum=0.9), norm_batch_size=4)

SAMPLE_BYTES = 2**28
"""What a Hungry model asks for per sample, and never touches."""


class Hungry(nn.Module):
    """Needs a quarter of a gibibyte for each sample it is given."""

    def __init__(self, norm: bool) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(64) if norm else nn.Identity()
        self.linear, self.largest = nn.Linear(64, 10), 0

    def forward(self, x: Tensor) -> Tensor:
        torch.empty(len(x) * SAMPLE_BYTES if self.training else 0, dtype=torch.uint8)
        self.largest = max(self.largest, len(x) if self.training else 0)
        return self.linear(self.norm(x.flatten(1)))


@dataclass(frozen=True)
class HungryModel:
    norm: bool = True

    def __call__(self) -> nn.Module:
        return Hungry(self.norm)


@contextmanager
def memory_left(samples: float) -> Iterator[None]:
    """Inside, this process cannot allocate more than so many samples take."""
    now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (now + int(samples * SAMPLE_BYTES), before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def run(recipe: Recipe, task: Task = TASK, batch_size: int = 32, workers: Workers = Workers()) -> Run:
    return Run(task, recipe, task.data.load(Path()), batch_size, 0.05, 3, workers, torch.float64)


def weights(trained: Run) -> Tensor:
    return torch.cat([value.flatten().double() for value in trained.state_dict()["model"].values()])


@pytest.mark.parametrize("micro", [4, 8, 12, 32, 1000])
def test_micro_batches_change_nothing(micro: int) -> None:
    """Also where they do not divide the batch: the last is smaller."""
    whole, split = run(RECIPE), run(replace(RECIPE, max_micro_batch=micro))
    for each in (whole, split):
        each.train_epoch()
    assert torch.allclose(weights(whole), weights(split), rtol=0, atol=1e-12)


def test_a_batch_that_does_not_fit_is_halved_until_it_does_and_changes_nothing() -> None:
    task = Task(HungryModel(), DATA, epochs=1)
    roomy, tight = (run(replace(RECIPE, gradient=SAM(rho=0.1)), task) for _ in range(2))
    with memory_left(36):
        roomy.train_epoch()
    with memory_left(11):
        tight.train_epoch()
    assert roomy._model.largest == 32
    assert tight._model.largest == 8
    assert torch.allclose(weights(roomy), weights(tight), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("size", "words"),
    [(8, "nor does it in micro-batches of 8"), (None, "norm_batch_size None needs it whole")],
)
def test_what_fits_in_no_way_is_out_of_memory(size: int | None, words: str) -> None:
    trained = run(replace(RECIPE, norm_batch_size=size), Task(HungryModel(), DATA, epochs=1))
    with memory_left(6), pytest.raises(torch.OutOfMemoryError, match=words):
        trained.train_epoch()


def test_running_out_between_passes_is_not_retried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other workers are elsewhere then and cannot know; only what all workers agree on is repeated."""
    trained, failures = run(replace(RECIPE, gradient=SAM())), []

    def fail(*_: object) -> None:
        failures.append(1)
        raise torch.OutOfMemoryError("no room for a copy of the weights")

    monkeypatch.setattr("trainables.gradient._moved", fail)
    with pytest.raises(torch.OutOfMemoryError, match="no room"):
        trained.train_epoch()
    assert len(failures) == 1


def _work(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    for perturbation in ("global", "per_worker"):
        recipe = replace(RECIPE, gradient=SAM(rho=0.1, perturbation=perturbation))
        trained = run(recipe, Task(HungryModel(), DATA, epochs=1), workers=Workers(rank, 2))
        with memory_left(5 if rank else 30):  # the second worker alone runs out
            trained.train_epoch()
        torch.save((weights(trained), trained._model.largest), f"{folder}/{perturbation}{rank}.pt")
        lost = run(replace(recipe, norm_batch_size=8), Task(HungryModel(), DATA, epochs=1), workers=Workers(rank, 2))
        with memory_left(5 if rank else 30), pytest.raises(torch.OutOfMemoryError):
            lost.train_epoch()
    torch.distributed.barrier()
    os._exit(0)  # gloo's threads now and then abort the interpreter's own way out


def test_workers_halve_together_and_give_up_together(tmp_path: Path) -> None:
    torch.multiprocessing.spawn(_work, (str(tmp_path),), nprocs=2)
    alone = run(replace(RECIPE, gradient=SAM(rho=0.1)), Task(HungryModel(norm=True), DATA, epochs=1))
    with memory_left(40):
        alone.train_epoch()
    results = {path.stem: torch.load(path) for path in tmp_path.glob("*.pt")}
    assert {name: largest for name, (_, largest) in results.items()} == {
        "global0": 16,
        "global1": 4,
        "per_worker0": 16,
        "per_worker1": 4,
    }
    for rank in range(2):
        assert torch.allclose(results[f"global{rank}"][0], weights(alone), rtol=0, atol=1e-9)
    assert torch.equal(results["per_worker0"][0], results["per_worker1"][0])


def test_mixed_precision_is_near_and_not_the_same() -> None:
    """Also under SAM and normalisation batches; weights stay in 32 bits."""
    losses = []
    for mixed in (False, True):
        recipe = replace(RECIPE, mixed_precision=mixed, gradient=SAM(rho=0.05))
        trained = Run(TASK, recipe, DATA.load(Path()), 32, 0.05, 3)
        losses.append([trained.train_epoch().train_loss for _ in range(2)])
        assert {value.dtype for value in trained.state_dict()["model"].values()} == {torch.float32, torch.int64}
    assert losses[0] != losses[1]
    assert losses[0] == pytest.approx(losses[1], rel=0.03)


@dataclass(frozen=True)
class Dots(Data):
    """Images of one random pixel, labelled by whether it is bright."""

    train_samples: int
    validation_samples: int = 1000
    input_shape: tuple[int, int, int] = (1, 1, 1)
    classes: int = 2

    def load(self, data_dir: Path) -> Images:
        generator = torch.Generator().manual_seed(0)

        def split(samples: int) -> Split:
            pixels = torch.randint(0, 256, (samples, 1, 1, 1), dtype=torch.uint8, generator=generator)
            return Split(pixels, (pixels.flatten() >= 128).long())

        return Images(split(self.train_samples), split(1000), split(1000), mean=(0.5,), std=(0.29,))


@dataclass(frozen=True)
class Dot:
    def __call__(self) -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(1, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))


PAPER3 = Recipe(
    base_batch_size=256,
    growth=StepGrowth(every_epochs=1, factor=8, learning_rate_factor=0.8),
    norm_batch_size=512,
    max_micro_batch=65_536,
)


def test_a_batch_of_half_a_million() -> None:
    """Paper 3's 8,192 x 8 x 8, normalised 512 at a time, in micro-batches; on a toy task it learns."""
    task = Task(Dot(), Dots(train_samples=2**20), epochs=3)
    history = train(task, PAPER3, batch_size=8192, learning_rate=0.5)
    assert history["last_batch_size"] == [8192, 65_536, 524_288]
    assert history["steps"] == [128, 144, 146]
    assert history["last_learning_rate"] == pytest.approx([0.5, 0.4, 0.32])
    assert history["validation_accuracy"][-1] > 0.9


def test_what_a_run_grows_to_must_be_there() -> None:
    task = Task(Dot(), Dots(train_samples=2**18), epochs=3)
    with pytest.raises(UserError, match=r"growth StepGrowth\(.*\): reaches a batch of 524,288 from 8192 in 3 epochs"):
        train(task, PAPER3, batch_size=8192, learning_rate=0.5)
    check_run(task, replace(PAPER3, growth=replace(PAPER3.growth, max_batch_size=2**18)), 8192, 0.5)


@dataclass(frozen=True)
class LinearModel:
    def __call__(self) -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))


@pytest.mark.parametrize("gradient", [Plain(), SAM()])
def test_no_more_than_a_micro_batch_is_read_at_a_time(monkeypatch: pytest.MonkeyPatch, gradient: Gradient) -> None:
    """A share of half a million images of ImageNet is more than any memory holds."""
    sizes = []
    batch = Images.batch

    def noted(self: Images, samples: torch.Tensor, draws: object, dtype: torch.dtype) -> object:
        sizes.append(len(samples))
        return batch(self, samples, draws, dtype)

    monkeypatch.setattr(Images, "batch", noted)
    task = Task(LinearModel(), Digits(train_samples=200, validation_samples=100), epochs=1)
    train(task, Recipe(optimizer=SGD(), max_micro_batch=30, gradient=gradient), batch_size=100, learning_rate=0.1)
    assert max(sizes) == 30
    sizes.clear()
    train(task, Recipe(optimizer=SGD(), gradient=gradient), batch_size=100, learning_rate=0.1)
    assert sizes == [100, 100], "what fits at once is read once, for both passes of SAM"
