"""An estimate of how long a run takes on this machine, from a few real steps on random inputs."""

import time
from collections.abc import Callable
from dataclasses import replace
from statistics import mean

import torch

from search_spaces.study import Study
from trainables import Recipe, Task
from trainables.engine.batch_gradient import Batch, BatchGradient
from trainables.engine.run import prepared
from trainables.engine.workers import Workers
from trainables.nested import call, map_tensors
from trainables.on_ray.worker_group import GroupSize

PROBE_SAMPLES = 64
PROBE_STEPS = 3


def seconds_per_run(study: Study, size: GroupSize) -> float | None:
    """The seconds that one worker takes for a run with its evaluations; None where they cannot be estimated."""
    try:
        return _probe(study, torch.device("cuda" if size.gpus_per_worker else "cpu"), size.threads_per_worker)
    except Exception:  # out of memory, or the model fails: the runs will report it
        return None


def _probe(study: Study, device: torch.device, threads: int) -> float:
    """The seconds of a run, averaged over the techniques."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with torch.random.fork_rng():
            return mean(_run(study.task, recipe, device) for recipe in study.techniques.values())
    finally:
        torch.set_num_threads(before)


def _run(task: Task, recipe: Recipe, device: torch.device) -> float:
    """The seconds of a run of one technique, estimated on batches of about PROBE_SAMPLES samples."""
    size = min(recipe.norm_batch_size or PROBE_SAMPLES, PROBE_SAMPLES)
    samples = PROBE_SAMPLES // size * size
    recipe = replace(recipe, norm_batch_size=size, max_micro_batch=None)
    model = prepared(task.model(), device, torch.float32)
    inputs, targets = (map_tensors(lambda tensor: _placed(tensor, device), each) for each in task.data.example(samples))
    keys = torch.zeros(samples, dtype=torch.int32, device=device)
    gradient = BatchGradient(model, task, recipe, Workers(), parts=0)
    usual = replace(recipe.start(samples), steps=1)  # where SAM perturbs only some steps, this is not one of them

    def train() -> None:
        gradient.load(Batch(keys.long(), keys, lambda _: (inputs, targets)))
        recipe.gradient(model, gradient, usual)
        gradient.settle()

    def evaluate() -> None:
        with torch.no_grad():
            call(model, inputs)

    training = _seconds(train, device)
    model.eval()
    evaluation = _seconds(evaluate, device)
    return task.epochs * (task.data.train_samples * training + task.data.validation_samples * evaluation) / samples


def _placed(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """The tensor on the device; images get the memory layout in which they are trained."""
    there = tensor.to(device)
    return there.contiguous(memory_format=torch.channels_last) if there.ndim == 4 else there


def _seconds(step: Callable[[], object], device: torch.device) -> float:
    """The seconds of the fastest of a few calls, after one call to warm up."""
    times = []
    for _ in range(1 + PROBE_STEPS):
        start = time.perf_counter()
        step()
        if device.type == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return min(times[1:])
