"""Batch normalisation of groups of samples, also where a group is split over several workers.

For each group of samples and each channel, with mean and variance over its samples and their positions,

    y = (x - mean) / sqrt(variance + epsilon) * weight + bias

PyTorch's own kernels normalise one group at a time, in one process. The code here normalises all groups at once, in any
memory layout, and exchanges the statistics where a group is split over workers.

Source: Ioffe and Szegedy 2015, "Batch Normalization", algorithm 1 and section 3 (its gradient).
"""

from typing import Any

import torch
import torch.distributed
from torch import Tensor
from torch.autograd.function import once_differentiable


def normalise(
    x: Tensor, weight: Tensor | None, bias: Tensor | None, groups: int, epsilon: float, workers: int = 1
) -> tuple[Tensor, Tensor, Tensor]:
    """x normalised, and the mean and unbiased variance of each group and channel.

    Args:
        x: (samples, channels, ...) in any memory layout; consecutive samples form a group.
        weight, bias: (channels,), or None for 1 and 0.
        groups: number of groups; it divides the number of samples.
        epsilon: number added to the variance.
        workers: number of workers that each group is split over evenly; above 1, torch.distributed must be set up.

    Returns:
        y, of the shape and type of x; mean and variance, (groups, channels) each, without gradients.

    Raises:
        ValueError: a group has only one value per channel, and so no variance.
    """
    if x.numel() // (groups * x.shape[1]) * workers < 2:
        raise ValueError(f"Expected more than 1 value per channel when training, got input size {tuple(x.shape)}")
    channels = x.shape[1]
    weight = x.new_ones(channels, dtype=wide(x)) if weight is None else weight
    bias = x.new_zeros(channels, dtype=wide(x)) if bias is None else bias
    return _Normalise.apply(x, weight, bias, groups, epsilon, workers)


class _Normalise(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, groups: int, epsilon: float, workers: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        grouped, over, shape = _grouped(x, groups)
        grouped = grouped.to(wide(x))
        variance, mean = torch.var_mean(grouped, over, correction=0)  # (groups, channels)
        if workers > 1:
            mean, variance = _pooled(mean, variance, workers)
        inverse = torch.rsqrt(variance + epsilon)
        centred = grouped - mean.view(shape)
        y = torch.empty_like(x)  # no view of another tensor, because activations may change it in place
        y.view(grouped.shape).copy_(torch.addcmul(bias.view(shape[1:]), centred, (weight * inverse).view(shape)))
        ctx.save_for_backward(x, weight, mean, inverse)
        ctx.groups, ctx.workers = groups, workers
        count = x.numel() // mean.numel() * workers
        ctx.count = count
        unbiased = variance * (count / (count - 1))
        ctx.mark_non_differentiable(mean, unbiased)
        return y, mean, unbiased

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor, _mean: Tensor, _variance: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, inverse = ctx.saved_tensors
        grouped, over, shape = _grouped(x, ctx.groups)
        centred, gradient = grouped.to(wide(x)) - mean.view(shape), dy.reshape(grouped.shape).to(wide(x))
        total = gradient.sum(over)  # (groups, channels)
        along = (gradient * centred).sum(over) * inverse
        d_weight, d_bias = along.sum(0), total.sum(0)
        if ctx.workers > 1:
            both = torch.stack([total, along])
            torch.distributed.all_reduce(both)
            total, along = both.unbind()
        scale = weight * inverse
        slope = -scale * inverse * along / ctx.count
        offset = -scale * total / ctx.count
        dx = torch.addcmul(offset.view(shape), centred, slope.view(shape)).addcmul_(gradient, scale.view(shape))
        return dx.to(x.dtype).view(x.shape), d_weight.to(weight.dtype), d_bias.to(weight.dtype), None, None, None


def _grouped(x: Tensor, groups: int) -> tuple[Tensor, list[int], list[int]]:
    """x as (groups, samples per group, channels, ...), the dimensions to sum over, and a shape that fits beside it."""
    grouped = x.view(groups, x.shape[0] // groups, *x.shape[1:])
    positions = list(range(3, grouped.ndim))
    return grouped, [1, *positions], [groups, 1, x.shape[1], *(1 for _ in positions)]


def wide(x: Tensor) -> torch.dtype:
    """The type that statistics are computed in: 32 bits, or 64 bits where x has 64."""
    return torch.promote_types(x.dtype, torch.float32)


def _pooled(mean: Tensor, variance: Tensor, workers: int) -> tuple[Tensor, Tensor]:
    """Mean and variance over the samples of all workers, given those of this one; all have equally many samples."""
    mine = torch.stack([mean, variance])
    parts = [torch.empty_like(mine) for _ in range(workers)]
    torch.distributed.all_gather(parts, mine)
    means, variances = torch.stack(parts).unbind(1)  # (workers, groups, channels)
    return means.mean(0), variances.mean(0) + means.var(0, correction=0)
