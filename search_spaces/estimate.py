"""How long a run will take on this machine, from a few real steps on random inputs."""

import time
from collections.abc import Callable

import torch
import torch.nn.functional as F

from search_spaces.study import Study
from trainables.worker_group import GroupSize

PROBE_BATCH_SIZE = 64
PROBE_STEPS = 3


def seconds_per_run(study: Study, size: GroupSize) -> float | None:
    """Seconds that one worker takes for a run and the evaluation after each epoch; None where that cannot be told."""
    try:
        return _probe(study, torch.device("cuda" if size.gpus_per_worker else "cpu"), size.threads_per_worker)
    except RuntimeError:  # out of memory, or a model that fails: the runs will say so
        return None


def _probe(study: Study, device: torch.device, threads: int) -> float:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with torch.random.fork_rng():
            task = study.task
            model = task.model().to(device).to(memory_format=torch.channels_last)
            inputs = torch.randn(PROBE_BATCH_SIZE, *task.data.input_shape, device=device)
            inputs = inputs.contiguous(memory_format=torch.channels_last)
            labels = torch.zeros(PROBE_BATCH_SIZE, dtype=torch.int64, device=device)
        training = _seconds(lambda: F.cross_entropy(model(inputs), labels).backward(), device)
        model.eval()
        with torch.no_grad():
            evaluation = _seconds(lambda: model(inputs), device)
    finally:
        torch.set_num_threads(before)
    data = task.data
    return task.epochs * (data.train_samples * training + data.validation_samples * evaluation) / PROBE_BATCH_SIZE


def _seconds(step: Callable[[], object], device: torch.device) -> float:
    """The fastest of a few calls, after one to warm up."""
    times = []
    for _ in range(1 + PROBE_STEPS):
        start = time.perf_counter()
        step()
        if device.type == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return min(times[1:])
