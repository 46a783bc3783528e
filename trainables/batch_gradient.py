"""The gradient of a batch's mean loss, however many passes and workers it takes.

A worker's share is cut into micro-batches no larger than memory allows, gradients add up over them, and workers
exchange once per pass. Neither the cut nor the workers change the result: BatchNorm's groups and dropout's draws belong
to samples. A pass that runs out of memory is the caller's to repeat after `halve`.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import NamedTuple

import torch
import torch.distributed
import torch.nn.functional as F
from torch import Tensor, nn

from trainables.dropout import dropouts
from trainables.metric import Metric
from trainables.noise import GradientNoise, measured
from trainables.normalization import ghosts
from trainables.recipe import Recipe
from trainables.recurrence import streams
from trainables.workers import Workers


class Batch(NamedTuple):
    """A worker's share of a batch.

    Attributes:
        samples: (samples,) numbers of the samples, on the training device.
        keys: (samples,) int32, what dropout draws from.
        read: the inputs (samples, ...) and labels (samples,) or (samples, steps) of some of them. It is asked for no
            more than a micro-batch at a time, so a share may be larger than what memory holds.
    """

    samples: Tensor
    keys: Tensor
    read: Callable[[Tensor], tuple[Tensor, Tensor]]


class PassOutOfMemory(torch.OutOfMemoryError):
    """A pass ran out of memory on some worker, and every worker knows: all of them can repeat it."""


class BatchGradient:
    """Computes gradients of batches; the Backward that a recipe's gradient slot is called with.

    Args:
        model: with GhostBatchNorm and SampleDropout layers in the place of PyTorch's.
        recipe: its norm_batch_size, max_micro_batch and mixed_precision count here.
        workers: this process among the data-parallel ones.
        metric: counts right answers.
        parts: of the global batch whose gradients are compared to measure noise; 0 measures none.
    """

    def __init__(self, model: nn.Module, recipe: Recipe, workers: Workers, metric: Metric, parts: int) -> None:
        self._model, self._recipe, self._workers, self._metric, self._parts = model, recipe, workers, metric, parts
        self._layers, self._dropouts, self._streams = ghosts(model), dropouts(model), streams(model)
        self._whole = recipe.norm_batch_size is None and bool(self._layers)
        self._micro_batch = recipe.max_micro_batch
        self._parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self._noise: GradientNoise | None = None

    def load(self, batch: Batch) -> None:
        """Take a batch up; passes until the next one are over it."""
        self._batch = batch
        self._at_once: tuple[Tensor, Tensor] | None = None
        self._correct: Tensor | None = None
        self.forget()

    def forget(self) -> None:
        """Drop gradients and what a pass noted, as before the batch's first one."""
        for parameter in self._parameters:
            parameter.grad = None
        for layer in self._layers:
            layer.forget()
        for stream in self._streams:
            stream.forget()

    def settle(self) -> tuple[Tensor, int, GradientNoise | None]:
        """End the batch: move running statistics and carried states.

        Returns:
            Right answers of the first pass over this worker's share, answers there were, and noise of the last pass.
        """
        size = self._recipe.norm_batch_size
        total = 1 if size is None else len(self._batch.samples) * self._workers.count // size
        for layer in self._layers:
            layer.settle(total)
        for stream in self._streams:
            stream.settle()
        assert self._correct is not None
        return self._correct, self._answers, self._noise

    def halve(self) -> None:
        """Use micro-batches half as large from now on.

        Raises:
            torch.OutOfMemoryError: they cannot be smaller without changing BatchNorm's statistics.
        """
        unit = self._recipe.norm_batch_size or 1
        part, micro = self._sizes()
        half = micro // 2 // unit * unit
        if self._whole or half == 0:
            raise torch.OutOfMemoryError(
                f"a batch of {len(self._batch.samples)} per worker does not fit, nor does it in micro-batches"
                + (": norm_batch_size None needs it whole" if self._whole else f" of {min(unit, part)}")
            )
        self._micro_batch, self._at_once = half, None
        if self._batch.samples.is_cuda:
            torch.cuda.empty_cache()

    def __call__(self, *, move_statistics: bool = True, average: bool = True) -> Tensor:
        squares = self._batch.samples.new_zeros((), dtype=torch.float64)
        try:
            loss, correct = self._accumulate(move_statistics, squares if average and self._parts else None)
            message = None
        except (torch.OutOfMemoryError, RuntimeError) as error:
            if not _is_out_of_memory(error):
                raise
            if self._whole and self._workers.count > 1:  # others wait inside a layer, where none can join them
                raise torch.OutOfMemoryError(str(error)) from error
            message = str(error)
        if self._workers.count > 1 and (average or message):
            message = self._exchange(squares, message)
        if message:
            raise PassOutOfMemory(message)
        if self._correct is None:
            self._correct = correct
        if average and self._parts:
            self._measure(squares)
        return loss

    def _sizes(self) -> tuple[int, int]:
        """Samples of a part of this worker's share, all of it where no noise is measured, and of a micro-batch."""
        part = len(self._batch.samples) * self._workers.count // max(self._parts, self._workers.count)
        return part, min(self._micro_batch or part, part)

    def _accumulate(self, move_statistics: bool, squares: Tensor | None) -> tuple[Tensor, Tensor]:
        """Forward and backward over the share; its mean loss and correct answers. Adds up the parts' |g_i|^2."""
        samples, keys, _ = self._batch
        loss, correct = samples.new_zeros((), dtype=torch.float32), samples.new_zeros(())
        part, micro = self._sizes()
        sums: list[Tensor | None] = [None for _ in self._parameters]
        first = self._answers = 0
        for numbers, keys_of_part in zip(samples.split(part), keys.split(part), strict=True):
            for some, k in zip(numbers.split(micro), keys_of_part.split(micro), strict=True):
                for stream in self._streams:
                    stream.pass_over(first, move_statistics)
                x, y = self._read(some)
                mean, right = self._pass(x, y, k, len(some) / len(samples), move_statistics)
                loss, correct, first = loss + mean, correct + right, first + len(some)
                self._answers += y.numel()
            if squares is not None:
                squares += _square(self._gradients()) * (len(samples) / part)  # mean |g_i|^2, n parts, g_i = n .grad
                sums = self._add_up(sums)
        if squares is not None:
            for parameter, total in zip(self._parameters, sums, strict=True):
                parameter.grad = total
        return loss, correct

    def _read(self, some: Tensor) -> tuple[Tensor, Tensor]:
        """Inputs and labels; those of a share that is one micro-batch stay for the batch's further passes."""
        if len(some) < len(self._batch.samples):
            return self._batch.read(some)
        if self._at_once is None:
            self._at_once = self._batch.read(some)
        return self._at_once

    def _pass(self, x: Tensor, y: Tensor, keys: Tensor, weight: float, note: bool) -> tuple[Tensor, Tensor]:
        """One micro-batch; its share of the mean loss, and its correct answers."""
        size = self._recipe.norm_batch_size
        for layer in self._layers:
            layer.pass_over(1 if size is None else len(y) // size, note)
        for dropout in self._dropouts:
            dropout.pass_over(keys)
        with self._precision(x.device):
            logits = self._model(x)  # (samples, classes) or (samples, steps, classes)
            loss = F.cross_entropy(logits.flatten(0, -2), y.flatten()) * weight
        for dropout in self._dropouts:
            dropout.pass_over(None)
        loss.backward()
        return loss.detach(), self._metric.right(logits.detach(), y)

    def _precision(self, device: torch.device) -> AbstractContextManager[object]:
        return torch.autocast(device.type, torch.bfloat16, enabled=self._recipe.mixed_precision)

    def _gradients(self) -> list[Tensor]:
        return [each.grad for each in self._parameters if each.grad is not None]

    def _add_up(self, sums: list[Tensor | None]) -> list[Tensor | None]:
        """The sums with .grad added, which is emptied."""
        added = []
        for parameter, total in zip(self._parameters, sums, strict=True):
            gradient, parameter.grad = parameter.grad, None
            added.append(gradient if total is None else total if gradient is None else total + gradient)
        return added

    def _exchange(self, squares: Tensor, message: str | None) -> str | None:
        """Average gradients and parts' squares over the workers, in one exchange; why any of them failed, or None.

        A worker that ran out of memory joins the exchange that the others wait in, so that all fail together. A
        parameter that no worker has a gradient for keeps none.
        """
        gradients = [torch.zeros_like(each) if each.grad is None else each.grad for each in self._parameters]
        there = [float(each.grad is not None) for each in self._parameters]
        told = squares.new_tensor([*there, float(message is not None), squares.item()], dtype=gradients[0].dtype)
        flat = torch.cat([*(each.reshape(-1) for each in gradients), told])
        torch.distributed.all_reduce(flat)
        flat /= self._workers.count
        *averages, told = flat.split([*(each.numel() for each in gradients), len(told)])
        *somewhere, failures, square = told.tolist()
        if failures > 0:
            return message or "another worker ran out of memory"
        for parameter, gradient, mean, there_is in zip(self._parameters, gradients, averages, somewhere, strict=True):
            parameter.grad = gradient.copy_(mean.view(gradient.shape)) if there_is else None
        squares.fill_(square)
        return None

    def _measure(self, squares: Tensor) -> None:
        samples = len(self._batch.samples) * self._workers.count
        self._noise = measured(squares.item(), _square(self._gradients()).item(), self._parts, samples // self._parts)


def _square(tensors: list[Tensor]) -> Tensor:
    """The squared norm of all of them together, 64 bits."""
    return torch.stack([torch.linalg.vector_norm(each, dtype=torch.float64) for each in tensors]).square().sum()


def _is_out_of_memory(error: RuntimeError) -> bool:
    """Whether an accelerator, one of its libraries, or the CPU's allocator had no memory left."""
    return isinstance(error, torch.OutOfMemoryError) or any(
        words in str(error) for words in ("can't allocate memory", "STATUS_ALLOC_FAILED")
    )
