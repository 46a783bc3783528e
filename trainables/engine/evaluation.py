"""Judging a model on a split, in evaluation mode."""

import torch
from torch import nn

from trainables.data.loading.source import Loaded, SplitName
from trainables.engine.workers import Workers
from trainables.layers.split_invariant import split_invariant
from trainables.nested import call
from trainables.task import Means, Task

HIGHEST = torch.finfo(torch.float32).max
"""What is reported where a mean is above it or not a number."""


@torch.no_grad()
def evaluate(
    model: nn.Module, task: Task, data: Loaded, split: SplitName, workers: Workers, dtype: torch.dtype
) -> Means:
    """The mean loss and what the task's metric measures on a split, of which each worker takes its part.

    Args:
        model: put into evaluation mode, its carried states to their beginning.
        task: its loss and its metric are used.
        data: the task's, loaded.
        split: to judge on.
        workers: this process among the data-parallel ones.
        dtype: of floating-point inputs.
    """
    model.eval()
    restart(model)
    tally = torch.zeros(4, device=data.device, dtype=torch.float64)  # loss, metric, and the answers of each
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
    """The value where it is a finite number of 32 bits, the highest such number where it is not."""
    return min(value, HIGHEST) if value == value else HIGHEST


def restart(model: nn.Module) -> None:
    """Forget the states that the model's layers carry from batch to batch."""
    for layer in split_invariant(model):
        layer.restart()
