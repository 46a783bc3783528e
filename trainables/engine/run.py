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
from torch import Tensor, nn

from trainables import history
from trainables.data.loading.source import EpochDraws, Loaded, SplitName
from trainables.engine.batch_gradient import Batch, BatchGradient, PassOutOfMemory
from trainables.engine.checks import check_model, check_run
from trainables.engine.evaluation import evaluate, restart
from trainables.engine.workers import Workers
from trainables.gradient_noise import GradientNoise, averaged
from trainables.history import EpochReport, History
from trainables.layers.ghost_batch_norm import average_running_statistics, ghosts, with_ghost_batches
from trainables.layers.sample_dropout import with_sample_dropout
from trainables.nested import Nested
from trainables.optimizers import set_learning_rate
from trainables.progress import Progress
from trainables.recipe import Recipe
from trainables.task import Means, Task

DIVERGED_LOSS_RATIO = 3.0
"""A run has diverged when an epoch's mean training loss is above this many times the first step's, after warm-up."""

STEPS_BETWEEN_CHECKS = 20
"""How often the loss is looked at inside an epoch; each look waits for the device."""

HIGHEST_NOISE = 1e12
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
        self.status = history.RUNNING
        self._task, self._recipe, self._data = task, recipe, data
        self._batch_size, self._seed, self._workers, self._dtype = batch_size, seed, workers, dtype
        self._base_lr = learning_rate / recipe.scale(batch_size)
        self._device = data.device
        torch.manual_seed(seed)
        self._model = prepared(task.model(), self._device, dtype, 1 if recipe.norm_batch_size else workers.count)
        workers.agree(self._model.state_dict().values())
        self._gradient = BatchGradient(self._model, task, recipe, workers, recipe.noise_parts(batch_size))
        self._optimizer = recipe.optimizer_at(batch_size)(self._model.parameters())
        self._epoch = self._samples = self._steps = 0
        self._uncounted = 0.0  # epochs of samples that the scaling's schedule left out
        self._grown: int | None = None
        self._noise: GradientNoise | None = None
        self._train_seconds = self._evaluation_seconds = 0.0
        self._initial_loss = math.nan

    @property
    def model(self) -> nn.Module:
        """The model as it is now."""
        return self._model

    def train_epoch(self) -> EpochReport:
        """Train one epoch, judge it, and say how the run stands; it ends by itself when status is not running."""
        start = time.perf_counter()
        torch.manual_seed(_draw(self._seed, self._epoch, f"worker {self._workers.rank}"))
        generator = torch.Generator().manual_seed(_draw(self._seed, self._epoch, "samples"))
        draws = self._data.draws(generator, self._batch_size)
        tally = torch.zeros(4, device=self._device, dtype=torch.float64)  # loss, metric, and the answers of each
        position, learning_rate = 0, 0.0
        warm = False
        self._model.train()
        restart(self._model)
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
                loss, _, answers, _ = self._workers.total(tally)
                self._initial_loss = loss / answers
            if self._steps % STEPS_BETWEEN_CHECKS == 0 and not math.isfinite(self._workers.total(tally)[0]):
                break
        loss, total, loss_answers, metric_answers = self._workers.total(tally)
        trained = Means(loss / loss_answers, total / metric_answers)
        self._epoch += 1
        self._train_seconds += time.perf_counter() - start
        self._judge_divergence(trained.loss, warm)
        return self._report(trained, learning_rate)

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

    def _step(self, samples: Tensor, draws: EpochDraws, progress: Progress) -> tuple[Tensor, float]:
        """One optimizer step; what this worker sums up of it (Tally.sums), and its learning rate."""
        share = self._workers.share(samples)
        self._gradient.load(Batch(share, draws.keys[share], lambda some: self._data.batch(some, draws, self._dtype)))
        while True:
            try:
                loss = self._recipe.gradient(self._model, self._gradient, progress)
                break
            except PassOutOfMemory:
                self._gradient.forget()
            self._gradient.halve()  # outside, where the exception no longer holds what the pass had allocated
        tally, noise = self._gradient.settle()
        self._noise = averaged(self._noise, noise)
        progress = replace(progress, noise=self._noise, grown_batch_size=len(samples))
        learning_rate = self._recipe.learning_rate(self._base_lr, progress)
        set_learning_rate(self._optimizer, learning_rate)
        self._optimizer.step()
        uncounted = 1 - self._recipe.scaling.advance(progress)
        self._uncounted += uncounted * len(samples) / self._data.train_samples
        return tally.sums(loss), learning_rate

    def _judge_divergence(self, loss: float, warm: bool) -> None:
        finite = torch.stack([parameter.isfinite().all() for parameter in self._model.parameters()]).all().item()
        too_high = warm and loss > DIVERGED_LOSS_RATIO * self._initial_loss
        if not finite or not math.isfinite(loss) or too_high:
            self.status = history.DIVERGED
        elif self._progress(0).fraction >= 1 or self._epoch >= self._task.epochs:
            self.status = history.DONE

    def _report(self, trained: Means, learning_rate: float) -> EpochReport:
        """This epoch's report; judges the model, and caps what divergence made infinite."""
        start = time.perf_counter()
        diverged = self.status == history.DIVERGED
        average_running_statistics(ghosts(self._model), self._workers.count)
        guess = self._guess() if diverged else None
        validation = guess or self._judge("validation")
        test = None if self.status == history.RUNNING else guess or self._judge("test")
        measures = {}
        if self.status == history.DONE:
            self._model.eval()
            measures = {
                each.name: each(self._model, self._training_split, self._task.loss) for each in self._task.measures
            }
        self._evaluation_seconds += time.perf_counter() - start
        if guess:
            trained = self._bounded(trained, guess)
        splits = {"train": trained, "validation": validation, **({"test": test} if test else {})}
        values = [self._task.metric.report(split, *means) for split, means in splits.items()]
        return EpochReport(
            epoch=self._epoch,
            samples=self._samples,
            steps=self._steps,
            last_learning_rate=learning_rate,
            last_batch_size=self._grown or self._batch_size,
            train_loss=trained.loss,
            validation_loss=validation.loss,
            test_loss=test.loss if test else None,
            train_seconds=self._train_seconds,
            evaluation_seconds=self._evaluation_seconds,
            noise_scale=None if self._noise is None else min(self._noise.scale, HIGHEST_NOISE),
            diverged=int(diverged),
            status=self.status,
            values={**{name: value for each in values for name, value in each.items()}, **measures},
        )

    def _judge(self, split: SplitName) -> Means:
        return evaluate(self._model, self._task, self._data, split, self._workers, self._dtype)

    def _guess(self) -> Means:
        """What a run that has diverged is worth: a guess, or where there are no classes to guess among, the model as it
        was before the first step.
        """
        if self._task.guess is not None:
            return self._task.guess
        torch.manual_seed(self._seed)
        untrained = prepared(self._task.model(), self._device, self._dtype)
        self._workers.agree(untrained.state_dict().values())
        return evaluate(untrained, self._task, self._data, "validation", self._workers, self._dtype)

    def _bounded(self, trained: Means, guess: Means) -> Means:
        """The means of an epoch that diverged, as finite numbers."""
        cap = DIVERGED_LOSS_RATIO * (self._initial_loss if math.isfinite(self._initial_loss) else guess.loss)
        loss = min(trained.loss, cap) if math.isfinite(trained.loss) else cap
        return Means(loss, trained.mean if math.isfinite(trained.mean) else guess.mean)

    def _training_split(self) -> Iterator[tuple[Nested, Nested]]:
        """All of it, as it is judged; every worker measures the same."""
        restart(self._model)
        return self._data.evaluation("train", self._dtype, 0, 1)


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
    on_epoch: Callable[[EpochReport], None] | None = None,
) -> History:
    """Train one recipe in this process and return what it reported, and the trained model.

    Args:
        task, recipe: what is trained, and how.
        batch_size: global, samples.
        learning_rate: the peak, after scaling; recipe.peak_learning_rate says what its rule prescribes.
        seed: of every random draw.
        data_dir: where data sets are kept.
        device: "cpu", "cuda", "cuda:1"; by default the first GPU, else the CPU.
        dtype: of weights and inputs.
        on_epoch: called with each epoch's report as it comes.

    Raises:
        UserError: a run that cannot be trained as its recipe says, or data that cannot be had.
    """
    check_model(task)
    check_run(task, recipe, batch_size, learning_rate)
    chosen = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    data = task.data.load(Path(data_dir).expanduser()).to(chosen)
    run = Run(task, recipe, data, batch_size, learning_rate, seed, dtype=dtype)
    epochs = []
    while run.status == history.RUNNING:
        epochs.append(run.train_epoch())
        if on_epoch:
            on_epoch(epochs[-1])
    return History(run.status, tuple(epochs), run.model.eval())


def _draw(seed: int, epoch: int, purpose: str) -> int:
    """A 63-bit seed for one purpose, independent of the others and the same on every machine."""
    return random.Random(f"{seed} {epoch} {purpose}").getrandbits(63)
