"""Evaluation of a model on a split."""

import torch
from torch import nn

from trainables.data.loading.source import Loaded, SplitName
from trainables.engine.workers import Workers
from trainables.layers.split_invariant import split_invariant
from trainables.nested import call
from trainables.task import Means, Task

HIGHEST = torch.finfo(torch.float32).max
"""The number that is reported in the place of a mean that is larger or is not a number."""


@torch.no_grad()
def evaluate(
    model: nn.Module, task: Task, data: Loaded, split: SplitName, workers: Workers, dtype: torch.dtype
) -> Means:
    """The mean loss and the mean of the task's metric on a split; each worker evaluates its own part of the split.

    Args:
        model: the model; it is put into evaluation mode, and the states that its layers carry are reset.
        task: the task, of which the loss and the metric are used.
        data: the task's data, loaded.
        split: the split to evaluate the model on.
        workers: the rank of this process and the number of data-parallel workers.
        dtype: precision of floating-point inputs.
    """
    model.eval()
    restart(model)
    tally = torch.zeros(4, device=data.device, dtype=torch.float64)  # loss, metric, answers of each
    for inputs, targets in data.evaluation(split, dtype, workers.rank, workers.count):
        outputs = call(model, inputs)
        answers = task.loss.answers(targets)
        tally[0] += task.loss(outputs, targets) * answers
        tally[1] += task.metric.total(outputs, targets)
        tally[2] += answers
        tally[3] += task.metric.answers(targets)
    loss, total, loss_answers, metric_answers = workers.total(tally)
    return Means(capped(loss / loss_answers), capped(total / metric_answers))


def capped(value: float) -> float:
    """The value, or the highest finite 32-bit number where the value is larger or is not a number."""
    return min(max(value, -HIGHEST), HIGHEST) if value == value else HIGHEST


def restart(model: nn.Module) -> None:
    """Reset the states that the model's layers carry from batch to batch."""
    for layer in split_invariant(model):
        layer.restart()
