"""One run, one epoch at a time; PyTorch only, no Ray and no MLflow."""

import io
import math
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import astuple, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainables import metrics
from trainables.batch_gradient import Batch, BatchGradient, PassOutOfMemory
from trainables.checks import check_model, check_run
from trainables.data.source import Draws, Loaded, SplitName
from trainables.dropout import with_sample_dropout
from trainables.metric import Perplexity
from trainables.metrics import EpochMetrics, History
from trainables.noise import GradientNoise, averaged
from trainables.normalization import average_running_statistics, ghosts, with_ghost_batches
from trainables.progress import Progress
from trainables.recipe import Recipe, Task
from trainables.recurrence import streams
from trainables.workers import Workers

DIVERGED_LOSS_RATIO = 3.0
"""A run has diverged when an epoch's mean training loss is above this many times the first step's, after warm-up."""

STEPS_BETWEEN_CHECKS = 20
"""How often the loss is looked at inside an epoch; each look waits for the device."""

MOST_NOISE = 1e12
"""The noise scale reported, in samples, where no signal is left in the gradient."""


class Run:
    """A run in progress: task x recipe x batch size x learning rate x seed.

    Two workers at a batch size train as one process does: weights are drawn from the seed, samples and their
    augmentation from the seed and the epoch, and each worker takes its contiguous share of every batch.

    Args:
        task, recipe: what is trained, and how.
        data: the task's, loaded, on the device to train on.
        batch_size: global, at the start of the run, samples.
        learning_rate: the peak, after scaling.
        seed: of every random draw.
        workers: this process among the data-parallel ones.
        dtype: of weights and inputs.

    Raises:
        UserError: a run that cannot be trained as its recipe says.
    """

    def __init__(
        self,
        task: Task,
        recipe: Recipe,
        data: Loaded,
        batch_size: int,
        learning_rate: float,
        seed: int,
        workers: Workers = Workers(),
        dtype: torch.dtype = torch.float32,
    ) -> None:
        check_run(task, recipe, batch_size, learning_rate, workers.count)
        self.status = metrics.RUNNING
        self._task, self._recipe, self._data = task, recipe, data
        self._batch_size, self._seed, self._workers, self._dtype = batch_size, seed, workers, dtype
        self._base_lr = learning_rate / recipe.scale(batch_size)
        self._stretch = recipe.scaling.stretch(recipe.start(batch_size))
        self._device = data.device
        torch.manual_seed(seed)
        self._model = prepared(task.model(), self._device, dtype, 1 if recipe.norm_batch_size else workers.count)
        workers.agree(self._model.state_dict().values())
        self._gradient = BatchGradient(self._model, recipe, workers, task.metric, recipe.noise_parts(batch_size))
        self._optimizer = recipe.optimizer_at(batch_size)(self._model.parameters())
        self._epoch = self._samples = self._steps = 0
        self._uncounted = 0.0  # epochs of samples that the scaling did not count
        self._grown: int | None = None
        self._noise: GradientNoise | None = None
        self._train_seconds = self._evaluation_seconds = 0.0
        self._initial_loss = math.nan

    def train_epoch(self) -> EpochMetrics:
        """Train one epoch, judge it, and say how the run stands; it ends by itself when status is not running."""
        start = time.perf_counter()
        torch.manual_seed(_draw(self._seed, self._epoch, f"worker {self._workers.rank}"))
        generator = torch.Generator().manual_seed(_draw(self._seed, self._epoch, "samples"))
        draws = self._data.draws(generator, self._batch_size)
        tally = torch.zeros(3, device=self._device, dtype=torch.float64)  # loss sum, correct, labels
        position, learning_rate = 0, 0.0
        warm = False
        self._model.train()
        self._restart_streams()
        while (progress := self._progress(position)).fraction < 1:
            batch_size = self._recipe.growth(progress)
            if position + batch_size > len(draws.order):
                break
            warm = warm or self._recipe.warmup.over(progress)
            part, learning_rate = self._step(draws.order[position : position + batch_size], draws, progress)
            tally += part
            position += batch_size
            self._samples += batch_size
            self._steps += 1
            self._grown = batch_size
            if math.isnan(self._initial_loss):
                total, _, labels = self._workers.total(tally)
                self._initial_loss = total / labels
            if self._steps % STEPS_BETWEEN_CHECKS == 0 and not math.isfinite(self._workers.total(tally)[0]):
                break
        loss, correct, labels = self._workers.total(tally)
        self._epoch += 1
        self._train_seconds += time.perf_counter() - start
        self._judge_divergence(loss / labels, warm)
        return self._measure(loss / labels, correct / labels, learning_rate)

    def state_dict(self) -> dict[str, Any]:
        """Everything a run needs to go on as if it had not stopped; the same on every worker."""
        return {
            "model": self._model.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "epoch": self._epoch,
            "samples": self._samples,
            "steps": self._steps,
            "uncounted": self._uncounted,
            "grown": self._grown,
            "noise": None if self._noise is None else astuple(self._noise),
            "train_seconds": self._train_seconds,
            "evaluation_seconds": self._evaluation_seconds,
            "initial_loss": self._initial_loss,
            "status": self.status,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state_dict of the same run."""
        self._model.load_state_dict(state["model"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._epoch, self._samples, self._steps = state["epoch"], state["samples"], state["steps"]
        self._uncounted, self._grown = state["uncounted"], state["grown"]
        self._noise = None if state["noise"] is None else GradientNoise(*state["noise"])
        self._train_seconds, self._evaluation_seconds = state["train_seconds"], state["evaluation_seconds"]
        self._initial_loss, self.status = state["initial_loss"], state["status"]

    def state_bytes(self) -> bytes:
        """state_dict as torch.save writes it."""
        buffer = io.BytesIO()
        torch.save(self.state_dict(), buffer)
        return buffer.getvalue()

    def load_state_bytes(self, state: bytes) -> None:
        """load_state_dict of what state_bytes returned."""
        self.load_state_dict(torch.load(io.BytesIO(state), map_location=self._device, weights_only=True))

    def _progress(self, position: int) -> Progress:
        return Progress(
            epoch=self._epoch + position / self._data.train_samples - self._uncounted,
            epochs=self._task.epochs,
            batch_size=self._batch_size,
            base_batch_size=self._recipe.base_batch_size,
            samples=self._samples,
            steps=self._steps,
            grown_batch_size=self._grown,
            noise=self._noise,
        )

    def _step(self, samples: Tensor, draws: Draws, progress: Progress) -> tuple[Tensor, float]:
        """One optimizer step; sums over this worker's labels of loss, correct answers and one, and the rate it had."""
        share = self._workers.share(samples)
        self._gradient.load(Batch(share, draws.keys[share], lambda some: self._data.batch(some, draws, self._dtype)))
        while True:
            try:
                loss = self._recipe.gradient(self._model, self._gradient, progress)
                break
            except PassOutOfMemory:
                self._gradient.forget()
            self._gradient.halve()  # outside, where the exception no longer holds what the pass had allocated
        correct, answers, noise = self._gradient.settle()
        self._noise = averaged(self._noise, noise)
        progress = replace(progress, noise=self._noise, grown_batch_size=len(samples))
        learning_rate = self._recipe.learning_rate(self._base_lr, progress)
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate
        self._optimizer.step()
        uncounted = 1 - self._recipe.scaling.counts(progress)
        self._uncounted += uncounted * len(samples) / self._data.train_samples
        return torch.stack([loss * answers, correct, torch.full_like(loss, answers)]).double(), learning_rate

    def _judge_divergence(self, loss: float, warm: bool) -> None:
        finite = torch.stack([parameter.isfinite().all() for parameter in self._model.parameters()]).all().item()
        too_high = warm and loss > DIVERGED_LOSS_RATIO * self._initial_loss
        if not finite or not math.isfinite(loss) or too_high:
            self.status = metrics.DIVERGED
        elif self._progress(0).fraction >= 1 or self._epoch >= self._task.epochs * self._stretch:
            self.status = metrics.DONE

    def _measure(self, loss: float, accuracy: float, learning_rate: float) -> EpochMetrics:
        """This epoch's metrics; evaluates, and caps what divergence made infinite."""
        start = time.perf_counter()
        diverged = self.status == metrics.DIVERGED
        average_running_statistics(ghosts(self._model), self._workers.count)
        classes, metric = self._task.data.classes, self._task.metric
        chance = (metrics.chance_loss(classes), metric.chance(classes))
        validation = chance if diverged else self._evaluate("validation")
        test: tuple[float, float] | tuple[None, None] = (None, None)
        if self.status != metrics.RUNNING:
            test = chance if diverged else self._evaluate("test")
        measures = {}
        if self.status == metrics.DONE:
            self._model.eval()
            measures = {measure.name: measure(self._model, self._training_split) for measure in self._task.measures}
        self._evaluation_seconds += time.perf_counter() - start
        if diverged:
            cap = DIVERGED_LOSS_RATIO * (self._initial_loss if math.isfinite(self._initial_loss) else chance[0])
            loss = min(loss, cap) if math.isfinite(loss) else cap
        return EpochMetrics(
            epoch=self._epoch,
            samples=self._samples,
            steps=self._steps,
            learning_rate=learning_rate,
            batch_size=self._grown or self._batch_size,
            train_loss=loss,
            train_accuracy=accuracy,
            validation_loss=validation[0],
            validation_accuracy=validation[1],
            test_loss=test[0],
            test_accuracy=test[1],
            validation_perplexity=self._perplexity(validation[0]),
            test_perplexity=self._perplexity(test[0]),
            train_seconds=self._train_seconds,
            evaluation_seconds=self._evaluation_seconds,
            noise_scale=None if self._noise is None else min(self._noise.scale, MOST_NOISE),
            diverged=int(diverged),
            status=self.status,
            measures=measures,
        )

    def _perplexity(self, loss: float | None) -> float | None:
        metric = self._task.metric
        return metric.value(metric.score(loss, 0.0)) if loss is not None and metric == Perplexity() else None

    def _training_split(self) -> Iterator[tuple[Tensor, Tensor]]:
        """All of it, as it is judged; every worker measures the same."""
        self._restart_streams()
        return self._data.evaluation("train", self._dtype, 0, 1)

    def _restart_streams(self) -> None:
        for stream in streams(self._model):
            stream.restart()

    @torch.no_grad()
    def _evaluate(self, split: SplitName) -> tuple[float, float]:
        """Mean loss and accuracy on a split, of which each worker takes its part."""
        self._model.eval()
        self._restart_streams()
        tally = torch.zeros(3, device=self._device, dtype=torch.float64)
        for inputs, answers in self._data.evaluation(split, self._dtype, self._workers.rank, self._workers.count):
            logits = self._model(inputs)  # (batch, classes) or (batch, steps, classes)
            tally[0] += F.cross_entropy(logits.flatten(0, -2), answers.flatten(), reduction="sum")
            tally[1] += self._task.metric.right(logits, answers)
            tally[2] += answers.numel()
        loss, correct, labels = self._workers.total(tally)
        ceiling = torch.finfo(torch.float32).max
        return min(loss / labels, ceiling) if loss == loss else ceiling, correct / labels


def prepared(model: nn.Module, device: torch.device, dtype: torch.dtype, workers: int = 1) -> nn.Module:
    """A model ready to be trained on a device: BatchNorm and dropout ours, which no split changes.

    Args:
        model: as its task built it; changed in place.
        device, dtype: where its weights shall be, and in what precision.
        workers: over which each normalisation batch is split.
    """
    ours = with_sample_dropout(with_ghost_batches(model, workers))
    return ours.to(device, dtype).to(memory_format=torch.channels_last)


def train(
    task: Task,
    recipe: Recipe,
    batch_size: int,
    learning_rate: float,
    seed: int = 0,
    data_dir: str | Path = "~/.cache/batchscale",
    device: str | None = None,
    dtype: torch.dtype = torch.float32,
    on_epoch: Callable[[EpochMetrics], None] | None = None,
) -> History:
    """Train one recipe in this process and return what it reported.

    Args:
        task, recipe: what is trained, and how.
        batch_size: global, samples.
        learning_rate: the peak, after scaling; recipe.peak_learning_rate says what its rule prescribes.
        seed: of every random draw.
        data_dir: where data sets are kept.
        device: "cpu", "cuda", "cuda:1"; by default the first GPU, else the CPU.
        dtype: of weights and inputs.
        on_epoch: called with each epoch's metrics as they come.

    Raises:
        UserError: a run that cannot be trained as its recipe says, or data that cannot be had.
    """
    check_model(task)
    check_run(task, recipe, batch_size, learning_rate)
    chosen = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    data = task.data.load(Path(data_dir).expanduser()).to(chosen)
    run = Run(task, recipe, data, batch_size, learning_rate, seed, dtype=dtype)
    epochs = []
    while run.status == metrics.RUNNING:
        epochs.append(run.train_epoch())
        if on_epoch:
            on_epoch(epochs[-1])
    return History(run.status, tuple(epochs))


def _draw(seed: int, epoch: int, purpose: str) -> int:
    """A 63-bit seed for one purpose, independent of the others and the same on every machine."""
    return random.Random(f"{seed} {epoch} {purpose}").getrandbits(63)
