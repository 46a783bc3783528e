"""Evaluation of a model on a split."""

import math

import torch
from torch import nn

from trainables.data.loading.source import Loaded, SplitName
from trainables.engine.workers import Workers
from trainables.errors import require
from trainables.layers.split_invariant import split_invariant
from trainables.metric import Metric
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
        tally[0] += task.loss.total(outputs, targets)
        tally[1] += task.metric.total(outputs, targets)
        tally[2] += task.loss.answers(targets)
        tally[3] += task.metric.answers(targets)
    loss, total, loss_answers, metric_answers = workers.total(tally)
    mean = total / metric_answers
    check_mean(task.metric, split, mean)
    return Means(capped(loss / loss_answers), mean)


def check_mean(metric: Metric, split: str, mean: float) -> None:
    """Raise UserError where a metric's mean is no number, or below 0 though lower is better."""
    good = math.isfinite(mean) and not (metric.lower_is_better and mean < 0)
    bound = "a finite number, not below 0 where lower is better" if metric.lower_is_better else "a finite number"
    require(good, f"metric {metric!r}: is {mean:g} on the {split} split; must be {bound}")


def capped(value: float) -> float:
    """The value, or the highest finite 32-bit number where the value is larger or is not a number."""
    return min(max(value, -HIGHEST), HIGHEST) if value == value else HIGHEST


def restart(model: nn.Module) -> None:
    """Reset the states that the model's layers carry from batch to batch."""
    for layer in split_invariant(model):
        layer.restart()
