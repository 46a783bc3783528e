"""Checks that refuse an impossible run before anything starts."""

import math
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter

from trainables.errors import UserError, require
from trainables.growth import FixedBatch
from trainables.layers.ghost_batch_norm import batch_norms, with_ghost_batches
from trainables.loss import CrossEntropy, logits_of
from trainables.metric import Accuracy
from trainables.nested import Nested, call, described, map_tensors
from trainables.recipe import Recipe
from trainables.task import Task

Result = TypeVar("Result")

CHECKED_SAMPLES = 4
"""How many samples go through the model, the loss and the metric before anything is trained."""


def check_run(task: Task, recipe: Recipe, batch_size: int, learning_rate: float, workers: int = 1) -> None:
    """Refuse a run that cannot be trained as its recipe says.

    Args:
        task, recipe: what is trained, and how.
        batch_size: global batch size, in samples.
        learning_rate: the run's peak learning rate.
        workers: number of data-parallel workers that the batch is split over.

    Raises:
        UserError: the learning rate is not a positive number, or check_fit refuses the run.
    """
    check_learning_rate(learning_rate)
    check_fit(task, recipe, batch_size, workers)


def check_fit(task: Task, recipe: Recipe, batch_size: int, workers: int) -> None:
    """Refuse a batch size at which a task and a recipe cannot be trained on this number of workers.

    Raises:
        UserError: the batch is larger than the data set, at the start or after it has grown; an epoch that is part of a
            pass over the data has no step, or ends inside a pass over streams; the growth does not fit the batch size
            or the data; the number of workers does not divide the batch size; BatchNorm or the noise measurement cannot
            work with the way a batch is split; the warm-up is longer than the run; or the scaling cannot adapt the
            optimizer.
    """
    require(workers >= 1, f"workers {workers}: must be at least 1")
    samples = task.data.train_samples
    check_batch_size(task, batch_size)
    require(
        batch_size % workers == 0,
        f"batch size {batch_size}: is not divisible by {workers} workers; choose a multiple of {workers}",
    )
    passes = task.passes_per_epoch
    require(
        not task.data.streams or passes == int(passes),
        f"passes per epoch {passes:g}: must be a whole number with {type(task.data).__name__}, because layers carry a "
        "state from the beginning of a pass to its end",
    )
    progress = recipe.start(batch_size, task.epochs, passes)
    largest = recipe.growth.largest(progress)
    require(
        largest <= samples,
        f"growth {recipe.growth!r}: reaches a batch of {largest:,} from {batch_size} in {task.epochs} epochs, but the "
        f"data set has {samples:,} training samples; set max_batch_size",
    )
    steps = samples // largest * passes
    require(
        steps >= 1 - 1e-9,
        f"passes per epoch {passes:g}: at batch size {largest} an epoch would be {steps:.2g} steps; it must have at "
        "least 1",
    )
    ceiling = recipe.growth.ceiling
    require(
        ceiling is None or ceiling >= batch_size,
        f"growth {recipe.growth!r}: max_batch_size {ceiling} is below the batch size it starts at, {batch_size}",
    )
    require(
        not task.data.streams or recipe.growth == FixedBatch(),
        f"growth {recipe.growth!r}: cannot be used with {type(task.data).__name__}, whose batches are streams that go "
        "on from one to the next; use FixedBatch()",
    )
    length = recipe.warmup.length(progress)
    require(
        length <= task.epochs,
        f"warmup {recipe.warmup!r}: lasts {length:g} epochs at batch size {batch_size}, but the run has {task.epochs}",
    )
    recipe.optimizer_at(batch_size)
    _check_split(task, recipe, batch_size, largest, workers)


def check_batch_size(task: Task, batch_size: int) -> None:
    """Raise UserError unless there are as many training samples as a batch has."""
    samples = task.data.train_samples
    require(1 <= batch_size <= samples, f"batch size {batch_size}: must be 1 to {samples:,}, the training samples")


def check_model(task: Task) -> None:
    """Refuse a task whose model, data, loss and metric do not fit together.

    The model, the loss and the metric are tried on a few samples, in evaluation mode and without a gradient.

    Raises:
        UserError: the model and the data have different numbers of classes; the model has BatchNorm layers whose
            normalisation batches cannot be kept apart; the metric counts every answer as right; or the model, the loss
            or the metric fails on those samples.
    """
    classes, metric = task.data.classes, task.metric
    if classes is not None:
        require(
            not isinstance(metric, Accuracy) or metric.top < classes,
            f"metric {metric!r}: any answer is right where there are {classes} classes; use Accuracy()",
        )
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        inputs, targets = task.data.example(CHECKED_SAMPLES)
        outputs = _outputs(task, inputs)
        between = f"from outputs {described(outputs)} and targets {described(targets)}"
        loss = tried(f"loss {task.loss!r}: cannot be computed {between}", lambda: task.loss(outputs, targets))
        total = tried(f"metric {metric!r}: cannot be computed {between}", lambda: metric.total(outputs, targets))
        for piece, value in ((f"loss {task.loss!r}", loss), (f"metric {metric!r}", total)):
            scalar = isinstance(value, Tensor) and value.ndim == 0
            require(scalar, f"{piece}: must give a tensor without dimensions, gave {described(value)}")
        _check_additive(task, outputs, targets, loss.item())
    if classes is not None and isinstance(task.loss, CrossEntropy):
        logits = logits_of(outputs).shape[-1]
        require(logits == classes, f"model {task.model!r}: has {logits:,} classes, but the data has {classes:,}")


def _outputs(task: Task, inputs: Nested) -> Any:
    """What a new model of the task makes of a few inputs, in evaluation mode."""
    made = f"model {task.model!r}"
    model = tried(f"{made}: cannot be built", task.model)
    require(isinstance(model, nn.Module), f"{made}: must build an nn.Module, built a {type(model).__name__}")
    lazy = any(isinstance(each, UninitializedParameter) for each in model.parameters())
    require(not lazy, f"{made}: has layers without weights yet (lazy ones); give their sizes")
    require(
        any(each.requires_grad for each in model.parameters()),
        f"{made}: has no weights that can be trained",
    )
    ready = with_ghost_batches(model, workers=1).float().eval()
    return tried(f"{made}: cannot be called with inputs {described(inputs)}", lambda: call(ready, inputs))


def _check_additive(task: Task, outputs: Any, targets: Nested, loss: float) -> None:
    """Refuse a loss that is not the mean over samples, because results would depend on how a batch is split."""

    def of(sample: int) -> float:
        one = map_tensors(lambda each: each[sample : sample + 1], (outputs, targets))
        return task.loss(*one).item()

    message = f"loss {task.loss!r}: cannot be computed for one sample"
    mean = tried(message, lambda: sum(of(sample) for sample in range(CHECKED_SAMPLES)) / CHECKED_SAMPLES)
    require(
        math.isclose(mean, loss, rel_tol=1e-3, abs_tol=1e-6) or not math.isfinite(mean + loss),
        f"loss {task.loss!r}: is {loss:g} for {CHECKED_SAMPLES} samples, whose own losses have a mean of {mean:g}; it "
        "must be the mean over the samples, or results would depend on how a batch is split",
    )


def tried(message: str, compute: Callable[[], Result]) -> Result:
    """The result of `compute`.

    Raises:
        UserError: `compute` failed; the error has the given message and the first line of the reason.
    """
    try:
        return compute()
    except UserError:
        raise
    except Exception as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise UserError(f"{message} ({reason})") from error


def check_learning_rate(learning_rate: float) -> None:
    """Raise UserError unless the learning rate is a positive, finite number."""
    positive = learning_rate > 0 and math.isfinite(learning_rate)
    require(positive, f"learning rate {learning_rate}: must be a positive number")


def _check_split(task: Task, recipe: Recipe, batch_size: int, largest: int, workers: int) -> None:
    """Raise UserError where results would depend on how a batch, of batch_size to `largest` samples, is split."""
    cut = recipe.norm_parts
    require(
        cut is None or batch_size % cut == 0,
        f"norm_parts {cut}: batch size {batch_size} is not a multiple of it",
    )
    size, micro, parts = recipe.norm_size(batch_size), recipe.max_micro_batch, recipe.noise_parts(batch_size)
    share = batch_size // workers
    if parts:
        require(
            batch_size % parts == 0 and parts % workers == 0,
            f"parts {parts}: must divide batch size {batch_size} and be a multiple of the workers, {workers}",
        )
        share = batch_size // parts
    if size is not None:
        split = f"{workers} worker{'s' * (workers > 1)}" if not parts else f"{parts} parts to measure noise by"
        require(
            cut is None or share % size == 0,
            f"norm_parts {cut}: must be a multiple of {parts or workers}, for whole ones on {split}",
        )
        require(
            share % size == 0,
            f"norm_batch_size {size}: batch size {batch_size} over {split} leaves {share} samples each, which is not a "
            f"multiple of it; batch sizes must be multiples of {size * (parts or workers)}",
        )
        return
    if not parts and (micro is None or largest <= micro * workers):
        return
    why = f"parts {parts}" if parts else f"max_micro_batch {micro}"
    require(
        not has_batch_norm(task),
        f"norm_batch_size None: BatchNorm statistics over the whole batch of {batch_size} cannot be had while {why} "
        f"splits it; set norm_batch_size to a divisor of {share if parts else micro}",
    )


def workers_for(task: Task, recipe: Recipe, batch_size: int, workers: int) -> int:
    """The number of workers that a run uses: all, or one where its batches cannot be cut for all but can be for one."""
    for count in (workers, 1):
        try:
            check_fit(task, recipe, batch_size, count)
        except UserError:
            continue
        return count
    return workers


def has_batch_norm(task: Task) -> bool:
    """Whether the task's model has BatchNorm layers."""
    try:
        with torch.device("meta"):
            return bool(batch_norms(task.model()))
    except NotImplementedError:  # a model that computes with its weights while it is built needs real ones
        with torch.random.fork_rng(devices=[]):
            return bool(batch_norms(task.model()))
