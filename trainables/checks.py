"""What makes a run impossible, said before anything starts."""

import math

import torch

from trainables.errors import require
from trainables.normalization import batch_norms
from trainables.recipe import Recipe, Task


def check_run(task: Task, recipe: Recipe, batch_size: int, learning_rate: float, workers: int = 1) -> None:
    """Refuse a run that cannot be trained as its recipe says.

    Args:
        task, recipe: what is trained, and how.
        batch_size: global, samples.
        learning_rate: the run's peak.
        workers: data-parallel workers the batch is split over.

    Raises:
        UserError: a batch larger than the data or not divisible by the workers, a learning rate that is not a
            positive number, or a split that cannot honour norm_batch_size.
    """
    require(workers >= 1, f"workers {workers}: must be at least 1")
    check_learning_rate(learning_rate)
    check_batch_size(task, batch_size, workers)
    check_normalization(task, recipe, batch_size, workers)


def check_learning_rate(learning_rate: float) -> None:
    """Raise UserError unless the learning rate is a positive, finite number."""
    positive = learning_rate > 0 and math.isfinite(learning_rate)
    require(positive, f"learning rate {learning_rate}: must be a positive number")


def check_batch_size(task: Task, batch_size: int, workers: int) -> None:
    """Raise UserError where a batch does not fit the data or the workers."""
    samples = task.data.train_samples
    require(1 <= batch_size <= samples, f"batch size {batch_size}: must be 1 to {samples:,}, the training samples")
    require(
        batch_size % workers == 0,
        f"batch size {batch_size}: is not divisible by {workers} workers; choose a multiple of {workers}",
    )


def check_normalization(task: Task, recipe: Recipe, batch_size: int, workers: int) -> None:
    """Raise UserError where BatchNorm statistics would depend on how the batch is split."""
    size = recipe.norm_batch_size
    if size is None:
        if workers > 1:
            require(
                not has_batch_norm(task),
                f"norm_batch_size None: BatchNorm statistics over the whole batch of {batch_size} cannot be had while "
                f"it is split over {workers} workers; set norm_batch_size to a divisor of "
                f"{batch_size // workers}, or use 1 worker",
            )
        return
    share = batch_size // workers
    require(
        share % size == 0,
        f"norm_batch_size {size}: batch size {batch_size} over {workers} worker{'s' * (workers > 1)} leaves {share} "
        f"samples each, which is not a multiple of it; batch sizes must be multiples of {size * workers}",
    )


def has_batch_norm(task: Task) -> bool:
    """Whether the task's model keeps BatchNorm statistics."""
    with torch.device("meta"):
        return bool(batch_norms(task.model()))
