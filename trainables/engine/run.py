"""A run, trained one epoch at a time, with PyTorch only: no Ray and no MLflow."""

import copy
import io
import math
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from trainables import history
from trainables.data.loading.source import EpochDraws, Loaded, SplitName
from trainables.engine.batch_gradient import Batch, BatchGradient, PassOutOfMemory
from trainables.engine.checks import check_model, check_run
from trainables.engine.evaluation import check_mean, evaluate, restart
from trainables.engine.workers import Workers
from trainables.errors import UserError
from trainables.gradient_noise import GradientNoise, averaged
from trainables.history import EpochReport, History
from trainables.layers.ghost_batch_norm import (
    average_running_statistics,
    ghosts,
    with_ghost_batches,
    without_ghost_batches,
)
from trainables.layers.sample_dropout import with_sample_dropout, without_sample_dropout
from trainables.nested import Nested
from trainables.optimizers import set_learning_rate
from trainables.progress import Progress
from trainables.recipe import Recipe
from trainables.task import Means, Task

DIVERGED_LOSS_RATIO = 3.0
"""After the warm-up, a run has diverged when the mean training loss of an epoch is above this many times the loss of
the first step."""

STEPS_BETWEEN_CHECKS = 20
"""Inside an epoch, the loss is checked once in this many steps; each check waits for the device."""

ROUNDING = 1e-9
"""By this many passes an epoch may end early, which is less than a sample and more than an error of rounding."""

HIGHEST_NOISE = 1e12
"""The highest noise scale that is reported, in samples; it stands for a gradient with no measurable signal."""


class Run:
    """A run in progress: one combination of task, recipe, batch size, learning rate and seed.

    At the same batch size, two workers train as one process does. Weights are drawn from the seed; the order of the
    samples and their augmentation are drawn from the seed and the pass over the training set; and each worker takes its
    contiguous share of every batch.

    Args:
        task, recipe: what is trained, and how.
        data: the task's data, loaded on the device to train on.
        batch_size: global batch size at the start of the run, in samples.
        learning_rate: the peak learning rate, after scaling.
        seed: seed of every random draw.
        workers: the rank of this process and the number of data-parallel workers.
        dtype: precision of weights and inputs.

    Raises:
        UserError: the run cannot be trained as its recipe says.
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
        spread = workers.count if recipe.norm_size(batch_size) is None else 1
        self._model = prepared(task.model(), self._device, dtype, spread)
        workers.agree(self._model.state_dict().values())
        self._gradient = BatchGradient(self._model, task, recipe, workers, recipe.noise_parts(batch_size))
        self._optimizer = recipe.optimizer_at(batch_size)(self._model.parameters())
        self._epoch = self._samples = self._steps = 0
        self._pass = self._position = 0  # complete passes over the training set, and samples into the next one
        self._uncounted = 0.0  # epochs that the schedule is behind the samples seen
        self._grown: int | None = None
        self._noise: GradientNoise | None = None
        self._train_seconds = self._evaluation_seconds = 0.0
        self._initial_loss = math.nan
        self._observed: dict[str, list[tuple[int, float]]] = {}

    @property
    def model(self) -> nn.Module:
        """The model as it is now."""
        return self._model

    def train_epoch(self) -> EpochReport:
        """Train one epoch, evaluate the model and return the report; the run has ended when status is not running."""
        start = time.perf_counter()
        tally = torch.zeros(4, device=self._device, dtype=torch.float64)  # loss, metric, answers of each
        learning_rate, warm = 0.0, False
        self._model.train()
        for samples, draws, progress in self._batches():
            warm = warm or self._recipe.warmup.over(progress)
            start += self._observe()
            part, learning_rate = self._step(samples, draws, progress)
            tally += part
            self._position += len(samples)
            self._samples += len(samples)
            self._steps += 1
            self._grown = len(samples)
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
        """Everything that a run needs to continue as if it had not stopped; one worker's state serves all workers."""
        return {
            "model": self._model.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "epoch": self._epoch,
            "samples": self._samples,
            "steps": self._steps,
            "pass": self._pass,
            "position": self._position,
            "uncounted": self._uncounted,
            "grown": self._grown,
            "noise": None if self._noise is None else astuple(self._noise),
            "train_seconds": self._train_seconds,
            "evaluation_seconds": self._evaluation_seconds,
            "initial_loss": self._initial_loss,
            "status": self.status,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a state_dict of the same run."""
        self._model.load_state_dict(state["model"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._epoch, self._samples, self._steps = state["epoch"], state["samples"], state["steps"]
        # States that were written when an epoch was one pass do not hold these.
        self._pass, self._position = state.get("pass", state["epoch"]), state.get("position", 0)
        self._uncounted, self._grown = state["uncounted"], state["grown"]
        self._noise = None if state["noise"] is None else GradientNoise(*state["noise"])
        self._train_seconds, self._evaluation_seconds = state["train_seconds"], state["evaluation_seconds"]
        self._initial_loss, self.status = state["initial_loss"], state["status"]

    def state_bytes(self) -> bytes:
        """The state_dict in the format of torch.save."""
        buffer = io.BytesIO()
        torch.save(self.state_dict(), buffer)
        return buffer.getvalue()

    def load_state_bytes(self, state: bytes) -> None:
        """Continue from what state_bytes of the same run returned."""
        self.load_state_dict(torch.load(io.BytesIO(state), map_location=self._device, weights_only=True))

    def _batches(self) -> Iterator[tuple[Tensor, EpochDraws, Progress]]:
        """The samples of each batch of one epoch, with the draws of their pass and the state of the run before them.

        An epoch may end inside a pass, and then the next one goes on from there.
        """
        end = (self._epoch + 1) * self._task.passes_per_epoch - ROUNDING
        whole = self._data.train_samples // self._batch_size * self._batch_size
        while self._pass + self._position / whole < end:
            draws = self._begin_pass()
            while self._pass + self._position / whole < end:
                progress = self._progress
                if progress.fraction >= 1:
                    return
                batch_size = self._recipe.growth(progress)
                if self._position + batch_size <= len(draws.order):
                    yield draws.order[self._position : self._position + batch_size], draws, progress
                if self._position + batch_size > len(draws.order):
                    self._pass, self._position = self._pass + 1, 0
                    break

    def _begin_pass(self) -> EpochDraws:
        """Begin a pass over the training set, or go on with one, and return its draws."""
        within = f" from {self._position}" if self._position else ""
        torch.manual_seed(_draw(self._seed, self._pass, f"worker {self._workers.rank}{within}"))
        restart(self._model)
        generator = torch.Generator().manual_seed(_draw(self._seed, self._pass, "samples"))
        return self._data.draws(generator, self._batch_size)

    @property
    def _progress(self) -> Progress:
        passes = self._pass + self._position / self._data.train_samples
        return Progress(
            epoch=passes / self._task.passes_per_epoch - self._uncounted,
            epochs=self._task.epochs,
            batch_size=self._batch_size,
            base_batch_size=self._recipe.base_batch_size,
            samples=self._samples,
            steps=self._steps,
            grown_batch_size=self._grown,
            noise=self._noise,
            passes_per_epoch=self._task.passes_per_epoch,
        )

    def _step(self, samples: Tensor, draws: EpochDraws, progress: Progress) -> tuple[Tensor, float]:
        """Take one optimizer step; return this worker's sums (Tally.sums) and the learning rate."""
        share = self._workers.share(samples)
        self._gradient.load(Batch(share, draws.keys[share], lambda some: self._data.batch(some, draws, self._dtype)))
        while True:
            try:
                loss = self._recipe.gradient(self._model, self._gradient, progress)
                break
            except PassOutOfMemory:
                self._gradient.forget()
            self._gradient.halve()  # after the except block, where the exception no longer holds the pass's memory
        tally, noise = self._gradient.settle()
        self._noise = averaged(self._noise, noise)
        progress = replace(progress, noise=self._noise, grown_batch_size=len(samples))
        learning_rate = self._recipe.learning_rate(self._base_lr, progress)
        set_learning_rate(self._optimizer, learning_rate)
        self._optimizer.step()
        uncounted = 1 - self._recipe.scaling.advance(progress)
        self._uncounted += uncounted * len(samples) / self._data.train_samples / self._task.passes_per_epoch
        return tally.sums(loss), learning_rate

    def _observe(self) -> float:
        """Take the tracked measures that are due before this step; return the seconds that they took."""
        due = [each for each in self._task.tracked if each.due(self._steps)]
        if not due:
            return 0.0
        on_gpu = self._device.type == "cuda"
        if on_gpu:  # the steps so far are training time
            torch.cuda.synchronize(self._device)
        start = time.perf_counter()
        model = copy.deepcopy(self._model).eval()
        average_running_statistics(ghosts(model), self._workers.count)
        with torch.random.fork_rng(devices=[self._device] if on_gpu else []):
            for each in due:
                value = each.measure(model, partial(self._training_split, model), self._task.loss)
                if isinstance(value, Sequence):
                    raise UserError(f"tracked measure {each.name}: gave {len(value)} numbers; must give one")
                self._observed.setdefault(each.name, []).append((self._steps, float(value)))
        spent = time.perf_counter() - start
        self._evaluation_seconds += spent
        return spent

    def _judge_divergence(self, loss: float, warm: bool) -> None:
        finite = torch.stack([parameter.isfinite().all() for parameter in self._model.parameters()]).all().item()
        too_high = warm and loss > DIVERGED_LOSS_RATIO * self._initial_loss
        if not finite or not math.isfinite(loss) or too_high:
            self.status = history.DIVERGED
        elif self._progress.fraction >= 1 or self._epoch >= self._task.epochs:
            self.status = history.DONE

    def _report(self, trained: Means, learning_rate: float) -> EpochReport:
        """Evaluate the model and return the epoch's report; numbers that divergence made infinite are capped."""
        start = time.perf_counter()
        diverged = self.status == history.DIVERGED
        average_running_statistics(ghosts(self._model), self._workers.count)
        guess = self._guess() if diverged else None
        validation = guess or self._judge("validation")
        test = None if self.status == history.RUNNING else guess or self._judge("test")
        measured: dict[str, float | Sequence[float]] = {}
        if self.status == history.DONE:
            self._model.eval()
            batches = partial(self._training_split, self._model)
            measured = {each.name: each(self._model, batches, self._task.loss) for each in self._task.measures}
        numbers = {name: float(value) for name, value in measured.items() if not isinstance(value, Sequence)}
        several = {name: list(enumerate(value)) for name, value in measured.items() if isinstance(value, Sequence)}
        observed, self._observed = self._observed, {}
        self._evaluation_seconds += time.perf_counter() - start
        if guess:
            trained = self._bounded(trained, guess)
        check_mean(self._task.metric, "train", trained.mean)
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
            values={**{name: value for each in values for name, value in each.items()}, **numbers},
            series={**observed, **several},
        )

    def _judge(self, split: SplitName) -> Means:
        return evaluate(self._model, self._task, self._data, split, self._workers, self._dtype)

    def _guess(self) -> Means:
        """The means that a diverged run reports: those of a guess or, without classes, of the untrained model."""
        if self._task.guess is not None:
            return self._task.guess
        torch.manual_seed(self._seed)
        untrained = prepared(self._task.model(), self._device, self._dtype)
        self._workers.agree(untrained.state_dict().values())
        return evaluate(untrained, self._task, self._data, "validation", self._workers, self._dtype)

    def _bounded(self, trained: Means, guess: Means) -> Means:
        """The means of an epoch in which the run diverged, limited to finite numbers."""
        cap = DIVERGED_LOSS_RATIO * (self._initial_loss if math.isfinite(self._initial_loss) else guess.loss)
        loss = min(trained.loss, cap) if math.isfinite(trained.loss) else cap
        return Means(loss, trained.mean if math.isfinite(trained.mean) else guess.mean)

    def _training_split(self, model: nn.Module) -> Iterator[tuple[Nested, Nested]]:
        """The whole training split without augmentation; every worker gets all of it and measures the same."""
        restart(model)
        return self._data.evaluation("train", self._dtype, 0, 1)


def prepared(model: nn.Module, device: torch.device, dtype: torch.dtype, workers: int = 1) -> nn.Module:
    """A model ready for training, with BatchNorm and dropout layers that do not depend on how a batch is split.

    Args:
        model: the model that its task built; it is changed in place.
        device, dtype: device and precision of its weights.
        workers: number of workers that each normalisation batch is split over.
    """
    ours = with_sample_dropout(with_ghost_batches(model, workers))
    return ours.to(device, dtype).to(memory_format=torch.channels_last)


def restored(model: nn.Module) -> nn.Module:
    """The model with the layers that `prepared` changed as they were, so that it is an ordinary model again."""
    return without_sample_dropout(without_ghost_batches(model))


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
    """Train one recipe in this process, and return its reports and the trained model.

    Args:
        task, recipe: what is trained, and how.
        batch_size: global batch size, in samples.
        learning_rate: the peak learning rate, after scaling; recipe.peak_learning_rate computes the one that the
            scaling prescribes.
        seed: seed of every random draw.
        data_dir: the folder that data sets are kept in.
        device: "cpu", "cuda" or "cuda:1", for example; by default the first GPU, or the CPU if there is none.
        dtype: precision of weights and inputs.
        on_epoch: a function that is called with the report of each epoch when the epoch ends.

    Raises:
        UserError: the run cannot be trained as its recipe says, or its data cannot be fetched.
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
    return History(run.status, tuple(epochs), restored(run.model).eval())


def _draw(seed: int, number: int, purpose: str) -> int:
    """A 63-bit seed for one purpose, independent of the others and the same on every machine."""
    return random.Random(f"{seed} {number} {purpose}").getrandbits(63)
