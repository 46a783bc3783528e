"""Small normalisation batches inside a large one.

BatchNorm must not see the cluster: a recipe's norm_batch_size says how many samples share statistics, however the batch
is split over workers and micro-batches. Each normalisation batch is normalised by itself, and the running statistics,
which evaluation uses, move once per step by the same amount whichever worker saw which of them:

    r <- (1 - m)^S * r + (1 - (1 - m)^S) * mean over the step's S normalisation batches of their statistics

with m the layer's momentum. With S = 1 this is ordinary BatchNorm; for S > 1 it forgets as fast as S ordinary updates
would, but weighs the S batches equally, where updating one after the other would favour the last.

Source: Hoffer et al. 2017, "Train longer, generalize better", algorithm 1 (ghost batch normalisation); Li and Sheng,
"On the large-batch training of CIFAR-10", appendix B, algorithm 1 (the "multi-worker" scheme).
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.distributed
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


def batch_norms(model: nn.Module) -> list[_BatchNorm]:
    """The model's BatchNorm layers that keep running statistics."""
    return [module for module in model.modules() if isinstance(module, _BatchNorm) and module.track_running_stats]


def momenta(momentum: float, total: int, here: int) -> list[float]:
    """The momenta of `here` successive updates that together weigh their statistics equally.

    Args:
        momentum: the layer's own, m.
        total: normalisation batches in the whole step, S, on all workers.
        here: how many of them this worker sees.

    Returns:
        `here` momenta. Applied in turn, each batch weighs (1 - (1 - m)^S) / here and what was there before
        (1 - m)^S; averaged over workers that see equally many, each weighs a 1/S share.
    """
    share = (1 - (1 - momentum) ** total) / here
    return [share / (1 - (here - 1 - position) * share) for position in range(here)]


@contextmanager
def running_statistics(model: nn.Module, position: int, here: int, total: int) -> Iterator[None]:
    """Inside, a forward pass over normalisation batch `position` of `here` moves the statistics by its due share."""
    if total == 1:
        yield
        return
    saved = [(layer, layer.momentum) for layer in batch_norms(model) if layer.momentum is not None]
    for layer, momentum in saved:
        layer.momentum = momenta(momentum, total, here)[position]
    try:
        yield
    finally:
        for layer, momentum in saved:
            layer.momentum = momentum


def average_running_statistics(model: nn.Module, workers: int) -> None:
    """Replace each worker's running statistics by their mean over the workers; exact, as the update is linear."""
    if workers == 1:
        return
    for layer in batch_norms(model):
        for buffer in (layer.running_mean, layer.running_var):
            assert buffer is not None
            torch.distributed.all_reduce(buffer)
            buffer /= workers
