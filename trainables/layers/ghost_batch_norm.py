"""Ghost batch normalisation: small normalisation batches inside a large batch.

BatchNorm must not depend on the number of workers: a recipe's norm_batch_size says how many samples share statistics,
however the batch is split over workers and micro-batches. Each normalisation batch is normalised by itself. The running
statistics, which evaluation uses, are updated once per step, and the update does not depend on which worker computed
which normalisation batch:

    r <- (1 - m)^S * r + (1 - (1 - m)^S) * mean over the step's S normalisation batches of their statistics

with m the layer's momentum. With S = 1 this is ordinary BatchNorm. With S > 1 it forgets old values as fast as S
ordinary updates would, but it gives the S batches equal weights; updates one after the other would favour the last one.

Source: Hoffer et al. 2017, "Train longer, generalize better", algorithm 1 (ghost batch normalisation); Li and Sheng,
"On the large-batch training of CIFAR-10", appendix B, algorithm 1 (the "multi-worker" scheme).
"""

import functools
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.distributed
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm, _LazyNormBase

from trainables.errors import UserError, require
from trainables.layers.batch_statistics import normalise, wide
from trainables.layers.split_invariant import Pass, SplitInvariant


@dataclass
class _Step:
    """What a layer knows of the step in progress.

    It is an object of its own, because PyTorch inspects every assignment to an attribute of a module.

    Attributes:
        groups: the number of normalisation batches in the pass.
        noting: whether the pass counts for running statistics.
        noted: the means and the variances of normalisation batches so far, each (groups, channels).
    """

    groups: int = 1
    noting: bool = False
    noted: list[tuple[Tensor, Tensor]] = field(default_factory=list)


class GhostBatchNorm(SplitInvariant, _BatchNorm):
    """A BatchNorm layer during a run: training passes normalise each group of samples by itself and note statistics.

    The class of the existing layer is changed in place. So references to the layer, hooks on it and isinstance checks
    still work, and in evaluation it behaves as before. The running statistics are updated when a step is settled.
    """

    _workers: int
    _step: _Step

    def begin_pass(self, part: Pass) -> None:
        self._step.groups, self._step.noting = part.groups, part.noted

    def forget(self) -> None:
        self._step.noted = []

    def settle(self, groups: int) -> None:
        """Update the running statistics from a step's normalisation batches, as far as this worker noted them."""
        noted = self._step.noted
        if noted and self.track_running_stats:
            assert self.num_batches_tracked is not None
            self.num_batches_tracked += 1
            kept = (1 - self.momentum) ** groups if self.momentum is not None else 1 - 1 / int(self.num_batches_tracked)
            means, variances = (_mean(each) for each in zip(*noted, strict=True))
            for running, now in ((self.running_mean, means), (self.running_var, variances)):
                assert running is not None
                running.mul_(kept).add_(now, alpha=1 - kept)
        self.forget()

    def forward(self, x: Tensor) -> Tensor:  # (samples, channels, ...) -> the same
        if not self.training:
            mean, variance = self.running_mean, self.running_var
            return F.batch_norm(x, mean, variance, self.weight, self.bias, mean is None, 0.0, self.eps)
        self._check_input_dim(x)
        step = self._step
        if x.numel() // (step.groups * x.shape[1]) * self._workers < 2:
            raise UserError(
                f"BatchNorm layer {type(self).__name__}: Expected more than 1 value per channel in a normalisation "
                f"batch, got input size {tuple(x.shape)}; use a larger norm_batch_size or batch size"
            )
        if self._workers == 1 and (step.groups == 1 or x.device.type == "cpu"):
            y, means, variances = _one_by_one(x, self.weight, self.bias, step.groups, self.eps)
        else:
            y, means, variances = normalise(x, self.weight, self.bias, step.groups, self.eps, self._workers)
        if step.noting:
            step.noted.append((means, variances))
        return y


def _one_by_one(
    x: Tensor, weight: Tensor | None, bias: Tensor | None, groups: int, epsilon: float
) -> tuple[Tensor, Tensor, Tensor]:
    """The same results as those of `normalise`, by one call of PyTorch's own kernel for each group.

    For one group nothing is faster. For several groups it is faster than `normalise` on a CPU, because it reads x fewer
    times, but slower on a GPU, which would wait for the start of every kernel.
    """
    means, variances = x.new_zeros(2, groups, x.shape[1], dtype=wide(x)).unbind()
    parts = [
        F.batch_norm(part, mean, variance, weight, bias, True, 1.0, epsilon)  # momentum 1 writes the statistics there
        for part, mean, variance in zip(x.chunk(groups), means, variances, strict=True)
    ]
    return parts[0] if groups == 1 else torch.cat(parts), means, variances


def _mean(statistics: tuple[Tensor, ...]) -> Tensor:
    """The mean of the statistics of normalisation batches, each (groups, channels): (channels,)."""
    groups = statistics[0] if len(statistics) == 1 else torch.cat(statistics)
    return groups[0] if len(groups) == 1 else groups.mean(0)


def batch_norms(model: nn.Module) -> list[_BatchNorm]:
    """The model's BatchNorm layers."""
    return [module for module in model.modules() if isinstance(module, _BatchNorm)]


def with_ghost_batches(model: nn.Module, workers: int) -> nn.Module:
    """The model, in place, with every BatchNorm layer turned into a GhostBatchNorm of the same weights and name.

    Args:
        model: the model whose layers are changed.
        workers: number of workers that each normalisation batch is split over.

    Raises:
        UserError: a BatchNorm layer has a forward pass of its own, or has no weights yet.
    """
    for layer in batch_norms(model):
        kind = type(layer)
        require(
            kind.forward in (_BatchNorm.forward, nn.SyncBatchNorm.forward) and not isinstance(layer, _LazyNormBase),
            f"BatchNorm layer {kind.__name__}: has a forward pass of its own or no weights yet, so its normalisation "
            "batches cannot be kept apart; use nn.BatchNorm1d, nn.BatchNorm2d or nn.BatchNorm3d",
        )
        layer.__class__ = _ghost(kind)  # type: ignore[arg-type]
        assert isinstance(layer, GhostBatchNorm)
        layer._workers, layer._step = workers, _Step()
    return model


def without_ghost_batches(model: nn.Module) -> nn.Module:
    """The model, in place, with its GhostBatchNorm layers turned back into the layers that they were."""
    for layer in ghosts(model):
        _, kind = type(layer).__bases__
        layer.__class__ = kind
        for name in ("_workers", "_step"):
            del layer.__dict__[name]
    return model


@functools.cache
def _ghost(kind: Any) -> type[GhostBatchNorm]:
    """A class that is a GhostBatchNorm and also a `kind`."""
    return type(f"Ghost{kind.__name__}", (GhostBatchNorm, kind), {})


def ghosts(model: nn.Module) -> list[GhostBatchNorm]:
    """The model's GhostBatchNorm layers."""
    return [module for module in model.modules() if isinstance(module, GhostBatchNorm)]


def average_running_statistics(layers: list[GhostBatchNorm], workers: int) -> None:
    """Replace each worker's running statistics by their mean; this is exact, because the update is linear."""
    if workers == 1:
        return
    for layer in layers:
        if layer.track_running_stats:
            for buffer in (layer.running_mean, layer.running_var):
                assert buffer is not None
                torch.distributed.all_reduce(buffer)
                buffer /= workers
