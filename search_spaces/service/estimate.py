"""How long a run will take on this machine, from a few real steps on samples of the right shapes."""

import time
from collections.abc import Callable
from dataclasses import replace
from statistics import mean

import torch

from search_spaces.service.cluster import Allotment
from search_spaces.study import Study
from trainables import Recipe, Task
from trainables.engine.batch_gradient import Batch, BatchGradient
from trainables.engine.run import prepared
from trainables.engine.workers import Workers
from trainables.nested import call, map_tensors

PROBE_SECONDS = 10.0
"""The time after which no further combination of technique and batch size is tried."""
LONG_STEP = 1.0
"""No step is tried that is expected to take so many seconds."""
GROWTH = 4
"""Batches that are tried grow by this factor up to the batch size, because a few samples take many times as long as
their share of a large batch."""
LARGEST_PROBE = 256
"""The largest batch that is tried, in samples; larger ones take as long per sample."""
EVALUATION_PROBE = 250
"""The samples of an evaluation batch that is tried."""
MEASURING_SECONDS = 0.1
"""The measures are tried on as many samples as are judged in this time, because they judge them many times."""
CONTENTION = 1.3
"""On a CPU, runs at the same time take about this many times as long as one by itself, since they share memory."""
OVERHEAD_SECONDS = 1.0
"""About what a run takes beside its own work: proposing, recording, and handing over."""


def seconds_per_run(study: Study, allotment: Allotment) -> float | None:
    """Seconds that one worker takes for a run and the evaluation after each epoch; None where that cannot be told.

    It is the mean over the techniques and over the smallest and the largest batch size, as far as the time for trying
    reaches.
    """
    size = allotment.size
    before = torch.get_num_threads()
    torch.set_num_threads(size.threads_per_worker)
    try:
        with torch.random.fork_rng():
            alone = _probe(study, torch.device("cuda" if size.gpus_per_worker else "cpu"))
    except Exception:  # out of memory, or a model that fails: the runs will report it
        return None
    finally:
        torch.set_num_threads(before)
    shared = CONTENTION if allotment.concurrent_trials > 1 and not size.gpus_per_worker else 1.0
    return alone * shared + OVERHEAD_SECONDS


def _probe(study: Study, device: torch.device) -> float:
    begun = time.perf_counter()
    sizes = sorted({min(study.batch_sizes), min(max(study.batch_sizes), LARGEST_PROBE)})
    if study.held_equal == "seconds":
        sizes = [min(study.reference_batch_size, LARGEST_PROBE)]
    passes = mean(study.task_at(size).passes_per_epoch for size in study.batch_sizes)
    seconds: list[float] = []
    for recipe in study.techniques.values():
        for size in sizes:
            if not seconds or time.perf_counter() - begun < PROBE_SECONDS:
                seconds.append(_run(study.task, recipe, size, device, passes))
    return mean(seconds) + (_measuring(study.task, device) if study.task.measures else 0.0)


def _run(task: Task, recipe: Recipe, batch_size: int, device: torch.device, passes: float = 1.0) -> float:
    """Seconds that one run trains and is judged at a batch size, by itself, with so many passes in an epoch."""
    model = prepared(task.model(), device, torch.float32)
    samples = min(2, batch_size)
    training = _seconds_per_sample(task, recipe, samples, model, device)
    while samples < (following := min(samples * GROWTH, batch_size)) and training * following < LONG_STEP:
        samples = following
        training = _seconds_per_sample(task, recipe, samples, model, device)
    evaluation = training / 3  # a forward pass takes about a third of a step
    if samples == batch_size:
        evaluation = _seconds_per_judged(task, model, device, EVALUATION_PROBE)
    per_pass = task.data.train_samples * training
    per_epoch = passes * per_pass + task.data.validation_samples * evaluation
    return task.epochs * per_epoch


def _seconds_per_sample(
    task: Task, recipe: Recipe, batch_size: int, model: torch.nn.Module, device: torch.device
) -> float:
    """Seconds of a training step, for each of its samples."""
    unit = min(recipe.norm_size(batch_size) or batch_size, batch_size)
    samples = batch_size // unit * unit
    recipe = replace(recipe, norm_batch_size=unit, norm_parts=None, max_micro_batch=None)
    inputs, targets = _example(task, samples, device)
    keys = torch.zeros(samples, dtype=torch.int32, device=device)
    gradient = BatchGradient(model, task, recipe, Workers(), parts=0)
    usual = replace(recipe.start(samples), steps=1)  # where SAM perturbs some steps only, this is none of them
    model.train()

    def step() -> None:
        gradient.load(Batch(keys.long(), keys, lambda _: (inputs, targets)))
        recipe.gradient(model, gradient, usual)
        gradient.settle()

    return _fastest(step, device) / samples


def _seconds_per_judged(task: Task, model: torch.nn.Module, device: torch.device, samples: int) -> float:
    """Seconds of a batch that is judged, for each of its samples."""
    inputs, _ = _example(task, samples, device)
    model.eval()

    def evaluate() -> None:
        with torch.no_grad():
            call(model, inputs)

    return _fastest(evaluate, device) / samples


def _measuring(task: Task, device: torch.device) -> float:
    """Seconds of the task's measures at the end of a run, tried on as many samples as are judged in a moment."""
    model = prepared(task.model(), device, torch.float32).eval()
    a_few = _seconds_per_judged(task, model, device, 2)
    samples = max(2, min(LARGEST_PROBE, int(MEASURING_SECONDS / a_few)))
    batch = _example(task, samples, device)

    def measure() -> None:
        for each in task.measures:
            each(model, lambda: [batch], task.loss)

    start = time.perf_counter()
    measure()
    return (time.perf_counter() - start) / samples * task.data.train_samples


def _example(task: Task, samples: int, device: torch.device) -> tuple[object, object]:
    inputs, targets = (map_tensors(lambda tensor: _placed(tensor, device), each) for each in task.data.example(samples))
    return inputs, targets


def _placed(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """The tensor on the device, images in the memory layout that they are trained in."""
    there = tensor.to(device)
    return there.contiguous(memory_format=torch.channels_last) if there.ndim == 4 else there


def _fastest(step: Callable[[], object], device: torch.device) -> float:
    """Seconds of the fastest of three calls after one to warm up; of the next alone where the first takes long.

    The first call of a process also loads libraries, which may take seconds.
    """
    times: list[float] = []
    for _ in range(4):
        start = time.perf_counter()
        step()
        if device.type == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
        if len(times) > 1 and times[0] > LONG_STEP:
            break
    return min(times[1:])
