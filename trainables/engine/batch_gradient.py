"""The gradient of a batch's mean loss, computed over micro-batches and workers.

A worker's share of the batch is cut into micro-batches that fit into memory. Gradients are summed over the
micro-batches, and the workers exchange them once per pass over the batch. The result depends neither on the cut nor on
the number of workers, because normalisation batches and dropout draws belong to samples. When a pass over the batch
runs out of memory, the caller calls `halve` and repeats the pass.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import NamedTuple

import torch
import torch.distributed
from torch import Tensor, nn

from trainables.engine.workers import Workers
from trainables.gradient_noise import GradientNoise, noise_between
from trainables.layers.ghost_batch_norm import ghosts
from trainables.layers.split_invariant import Pass, split_invariant
from trainables.nested import Nested, call
from trainables.recipe import Recipe
from trainables.task import Task


class Batch(NamedTuple):
    """A worker's share of a batch.

    Attributes:
        samples: (samples,) indices of the samples, on the training device.
        keys: (samples,) int32, the samples' keys, which dropout draws from.
        read: a function that returns the inputs and targets of some of the samples. It is called for at most one
            micro-batch at a time, so a share may be larger than memory.
    """

    samples: Tensor
    keys: Tensor
    read: Callable[[Tensor], tuple[Nested, Nested]]


class Tally(NamedTuple):
    """The sums of the first pass over this worker's share of a batch.

    Attributes:
        metric: the total of the task's metric, a scalar.
        loss_answers, metric_answers: the number of answers that the loss is averaged over, and the number that the
            metric is summed over.
    """

    metric: Tensor
    loss_answers: int
    metric_answers: int

    def sums(self, loss: Tensor) -> Tensor:
        """(4,) float64: the loss and the metric, summed over their answers, and the number of answers of each."""
        answers = [torch.full_like(loss, count, dtype=torch.float64) for count in self[1:]]
        return torch.stack([(loss * self.loss_answers).double(), self.metric.double(), *answers])


class PassOutOfMemory(torch.OutOfMemoryError):
    """A pass over the batch ran out of memory on a worker; it is raised on every worker, so all can repeat the pass."""


class BatchGradient:
    """Computes gradients of batches; the Backward that a recipe's gradient slot is called with.

    Args:
        model: the model, with GhostBatchNorm and SampleDropout layers in the place of PyTorch's.
        task: the task, of which the loss and the metric are used.
        recipe: the recipe, of which norm_size, max_micro_batch and mixed_precision are used.
        workers: the rank of this process and the number of data-parallel workers.
        parts: number of parts of the global batch whose gradients are compared to measure noise; 0 measures none.
    """

    def __init__(self, model: nn.Module, task: Task, recipe: Recipe, workers: Workers, parts: int) -> None:
        self._model, self._task, self._recipe, self._workers, self._parts = model, task, recipe, workers, parts
        self._layers = split_invariant(model)
        self._whole = recipe.norm_batch_size is None and recipe.norm_parts is None and bool(ghosts(model))
        self._micro_batch = recipe.max_micro_batch
        self._parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self._noise: GradientNoise | None = None

    def load(self, batch: Batch) -> None:
        """Start a batch: every pass is over this batch until the next one is loaded."""
        self._batch = batch
        self._at_once: tuple[Nested, Nested] | None = None
        self._tally: Tally | None = None
        self.forget()

    def forget(self) -> None:
        """Drop the gradients and everything that layers noted, so that the batch can start again."""
        for parameter in self._parameters:
            parameter.grad = None
        for layer in self._layers:
            layer.forget()

    def settle(self) -> tuple[Tally, GradientNoise | None]:
        """End the batch: update BatchNorm's running statistics and the states that layers carry.

        Returns:
            The sums of the first pass over this worker's share, and the noise measured by the last pass.
        """
        groups = 1 if self._norm_size is None else self._samples // self._norm_size
        for layer in self._layers:
            layer.settle(groups)
        assert self._tally is not None
        return self._tally, self._noise

    def halve(self) -> None:
        """Use micro-batches half as large from now on.

        Raises:
            torch.OutOfMemoryError: smaller micro-batches would hold no sample or change BatchNorm's statistics.
        """
        unit = self._norm_size or 1
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
            loss, tally = self._accumulate(move_statistics, squares if average and self._parts else None)
            message = None
        except (torch.OutOfMemoryError, RuntimeError) as error:
            if not _is_out_of_memory(error):
                raise
            if self._whole and self._workers.count > 1:  # others wait inside a layer; no exchange can tell them
                raise torch.OutOfMemoryError(str(error)) from error
            message = str(error)
        if self._workers.count > 1 and (average or message):
            message = self._exchange(squares, message)
        if message:
            raise PassOutOfMemory(message)
        if self._tally is None:
            self._tally = tally
        if average and self._parts:
            self._note_noise(squares)
        return loss

    @property
    def _samples(self) -> int:
        """The number of samples in the batch, over all workers."""
        return len(self._batch.samples) * self._workers.count

    @property
    def _norm_size(self) -> int | None:
        """The number of samples in a normalisation batch; None for the whole batch."""
        return self._recipe.norm_size(self._samples)

    def _sizes(self) -> tuple[int, int]:
        """The number of samples in a part of this worker's share and in a micro-batch.

        Where no noise is measured, the share is a single part.
        """
        part, unit = self._samples // max(self._parts, self._workers.count), self._norm_size or 1
        micro = min(self._micro_batch or part, part)
        return part, max(micro // unit, 1) * unit if not self._whole else micro

    def _accumulate(self, move_statistics: bool, squares: Tensor | None) -> tuple[Tensor, Tally]:
        """Run forward and backward over the share; return its mean loss and its sums. Adds |g_i|^2 to squares."""
        samples, keys, _ = self._batch
        loss, metric = samples.new_zeros((), dtype=torch.float32), samples.new_zeros(())
        part, micro = self._sizes()
        sums: list[Tensor | None] = [None for _ in self._parameters]
        first = loss_answers = metric_answers = 0
        for numbers, keys_of_part in zip(samples.split(part), keys.split(part), strict=True):
            for some, k in zip(numbers.split(micro), keys_of_part.split(micro), strict=True):
                inputs, targets = self._read(some)
                mean, total = self._pass(inputs, targets, first, k, len(some) / len(samples), move_statistics)
                loss, metric, first = loss + mean, metric + total, first + len(some)
                loss_answers += self._task.loss.answers(targets)
                metric_answers += self._task.metric.answers(targets)
            if squares is not None:
                squares += _square(self._gradients()) * (len(samples) / part)  # mean |g_i|^2, with g_i = n .grad
                sums = self._add_up(sums)
        if squares is not None:
            for parameter, gradient in zip(self._parameters, sums, strict=True):
                parameter.grad = gradient
        return loss, Tally(metric, loss_answers, metric_answers)

    def _read(self, some: Tensor) -> tuple[Nested, Nested]:
        """Inputs and targets of some samples; those of a share that is one micro-batch are kept for later passes."""
        if len(some) < len(self._batch.samples):
            return self._batch.read(some)
        if self._at_once is None:
            self._at_once = self._batch.read(some)
        return self._at_once

    def _pass(
        self, inputs: Nested, targets: Nested, first: int, keys: Tensor, weight: float, noted: bool
    ) -> tuple[Tensor, Tensor]:
        """Run one micro-batch; return its weighted part of the mean loss, and its total of the metric."""
        size = self._norm_size
        part = Pass(first, keys, groups=1 if size is None else len(keys) // size, noted=noted)
        for layer in self._layers:
            layer.begin_pass(part)
        with self._precision(keys.device):
            outputs = call(self._model, inputs)
            loss = self._task.loss(outputs, targets) * weight
        for layer in self._layers:
            layer.end_pass()
        loss.backward()
        with torch.no_grad():
            return loss.detach(), self._task.metric.total(outputs, targets)

    def _precision(self, device: torch.device) -> AbstractContextManager[object]:
        return torch.autocast(device.type, torch.bfloat16, enabled=self._recipe.mixed_precision)

    def _gradients(self) -> list[Tensor]:
        return [each.grad for each in self._parameters if each.grad is not None]

    def _add_up(self, sums: list[Tensor | None]) -> list[Tensor | None]:
        """The sums with each parameter's .grad added; .grad is then set to None."""
        added = []
        for parameter, total in zip(self._parameters, sums, strict=True):
            gradient, parameter.grad = parameter.grad, None
            added.append(gradient if total is None else total if gradient is None else total + gradient)
        return added

    def _exchange(self, squares: Tensor, message: str | None) -> str | None:
        """Average gradients and the parts' squares over the workers; return why a worker failed, or None.

        All of it is one exchange. A worker that ran out of memory takes part in the exchange that the others wait in,
        so that all fail together. A parameter for which no worker has a gradient stays without one.
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

    def _note_noise(self, squares: Tensor) -> None:
        self._noise = noise_between(
            squares.item(), _square(self._gradients()).item(), self._parts, self._samples // self._parts
        )


def _square(tensors: list[Tensor]) -> Tensor:
    """The squared norm of all tensors together, in 64 bits."""
    return torch.stack([torch.linalg.vector_norm(each, dtype=torch.float64) for each in tensors]).square().sum()


def _is_out_of_memory(error: RuntimeError) -> bool:
    """Whether an accelerator, one of its libraries, or the CPU's allocator had no memory left."""
    return isinstance(error, torch.OutOfMemoryError) or any(
        words in str(error) for words in ("can't allocate memory", "STATUS_ALLOC_FAILED")
    )
