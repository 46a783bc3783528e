"""Optimizers: slots that build torch optimizers.

An optimizer slot is a frozen dataclass called with the parameters. The learning rate is not part of it: the formula
in recipe.py sets it before every step. To add one, write one more such class here; the contract tests find it.
"""

import math
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import torch
from torch import nn

from trainables.errors import require

LR_RATIO = "lr_ratio"
"""The key under which a parameter group says how many times the run's learning rate it steps by."""


class Optimizer(ABC):
    """parameters -> a torch optimizer over them, its learning rate still 0.

    It may divide the parameters into groups. Every group steps by the run's learning rate, times the number that the
    group holds under LR_RATIO where it holds one.
    """

    @abstractmethod
    def __call__(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer: ...


@dataclass(frozen=True)
class AdaptiveOptimizer(Optimizer):
    """What optimizers share that divide by a running average of squared gradients: they can be rescaled.

    Each has a field `epsilon`, and the fields named in `averages` are the shares that its running averages keep.
    """

    averages: ClassVar[tuple[str, ...]]

    def rescaled(self, batch_ratio: float) -> Self:
        """The optimizer for a batch so many times as large.

        1 - beta <- k (1 - beta) for each of the averages;   epsilon <- epsilon / sqrt(k),   with k the batch ratio

        A beta that would fall below 0 becomes 0, with a warning.

        Source: Malladi et al. 2022, "On the SDEs and Scaling Rules for Adaptive Gradient Algorithms", section 5.
        """
        moved = {"epsilon": getattr(self, "epsilon") / batch_ratio**0.5}  # noqa: B009
        for name in self.averages:
            before = getattr(self, name)
            after = 1 - batch_ratio * (1 - before)
            if after < 0:
                warnings.warn(
                    f"{type(self).__name__} {name} {before:g}: would be {after:g} at {batch_ratio:g} times the base "
                    "batch size; 0 is used",
                    stacklevel=3,
                )
            moved[name] = max(0.0, after)
        return replace(self, **moved)


@dataclass(frozen=True)
class SGD(Optimizer):
    """Stochastic gradient descent with momentum and L2 weight decay, as torch.optim.SGD defines them.

    v = momentum * v + g + weight_decay * w;   w = w - lr * v

    Attributes:
        momentum: at least 0 and below 1.
        weight_decay: at least 0.
        nesterov: look ahead along v; needs momentum above 0.

    Raises:
        UserError: a value outside those ranges.

    Source: Sutskever et al. 2013, "On the importance of initialization and momentum in deep learning".
    """

    momentum: float = 0.0
    weight_decay: float = 0.0
    nesterov: bool = False

    def __post_init__(self) -> None:
        _below_one(self, "momentum")
        _not_negative(self, "weight_decay")
        require(not self.nesterov or self.momentum > 0, "SGD nesterov True: needs momentum above 0")

    def __call__(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        return torch.optim.SGD(
            parameters, lr=0.0, momentum=self.momentum, weight_decay=self.weight_decay, nesterov=self.nesterov
        )


@dataclass(frozen=True)
class Adagrad(Optimizer):
    """Steps divided by the root of all squared gradients so far, as torch.optim.Adagrad.

    s = s + g^2;   w = w - lr * g / (sqrt(s) + epsilon),   with g = grad + weight_decay * w

    Attributes:
        weight_decay: at least 0.
        epsilon: at least 0.

    Raises:
        UserError: a value outside those ranges.

    Source: Duchi et al. 2011, "Adaptive Subgradient Methods for Online Learning and Stochastic Optimization".
    """

    weight_decay: float = 0.0
    epsilon: float = 1e-10

    def __post_init__(self) -> None:
        _not_negative(self, "weight_decay", "epsilon")

    def __call__(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        return torch.optim.Adagrad(parameters, lr=0.0, weight_decay=self.weight_decay, eps=self.epsilon)


@dataclass(frozen=True)
class RMSprop(AdaptiveOptimizer):
    """Steps divided by a running root mean square of the gradient, as torch.optim.RMSprop.

    s = alpha * s + (1 - alpha) * g^2;   v = momentum * v + g / (sqrt(s) + epsilon);   w = w - lr * v
    with g = grad + weight_decay * w

    Attributes:
        alpha: of the running mean, at least 0 and below 1.
        momentum: at least 0 and below 1.
        weight_decay: at least 0.
        epsilon: at least 0.

    Raises:
        UserError: a value outside those ranges.

    Source: Hinton et al. 2012, "Neural networks for machine learning", lecture 6a.
    """

    averages: ClassVar[tuple[str, ...]] = ("alpha",)
    alpha: float = 0.99
    momentum: float = 0.0
    weight_decay: float = 0.0
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        _below_one(self, "alpha", "momentum")
        _not_negative(self, "weight_decay", "epsilon")

    def __call__(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        return torch.optim.RMSprop(
            parameters,
            lr=0.0,
            alpha=self.alpha,
            momentum=self.momentum,
            weight_decay=self.weight_decay,
            eps=self.epsilon,
        )


@dataclass(frozen=True)
class Adam(AdaptiveOptimizer):
    """Steps along a running mean of the gradient, divided by its running root mean square, as torch.optim.Adam.

    m = beta1 * m + (1 - beta1) * g;   s = beta2 * s + (1 - beta2) * g^2,   with g = grad + weight_decay * w
    w = w - lr * m / (1 - beta1^t) / (sqrt(s / (1 - beta2^t)) + epsilon)

    Attributes:
        beta1, beta2: of the running means, at least 0 and below 1.
        weight_decay: L2, part of the gradient, at least 0.
        epsilon: at least 0.

    Raises:
        UserError: a value outside those ranges.

    Source: Kingma and Ba 2015, "Adam: A Method for Stochastic Optimization", algorithm 1.
    """

    averages: ClassVar[tuple[str, ...]] = ("beta1", "beta2")
    beta1: float = 0.9
    beta2: float = 0.999
    weight_decay: float = 0.0
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        _below_one(self, "beta1", "beta2")
        _not_negative(self, "weight_decay", "epsilon")

    def __call__(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        betas = (self.beta1, self.beta2)
        return torch.optim.Adam(parameters, lr=0.0, betas=betas, weight_decay=self.weight_decay, eps=self.epsilon)


@dataclass(frozen=True)
class AdamW(Adam):
    """Adam with weight decay that stays out of the running means, as torch.optim.AdamW.

    w = w - lr * weight_decay * w - lr * m / (1 - beta1^t) / (sqrt(s / (1 - beta2^t)) + epsilon),   m and s as Adam's

    Attributes:
        beta1, beta2: of the running means, at least 0 and below 1.
        weight_decay: at least 0.
        epsilon: at least 0.

    Raises:
        UserError: a value outside those ranges.

    Source: Loshchilov and Hutter 2019, "Decoupled Weight Decay Regularization", algorithm 2.
    """

    weight_decay: float = 0.01

    def __call__(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        betas = (self.beta1, self.beta2)
        return torch.optim.AdamW(parameters, lr=0.0, betas=betas, weight_decay=self.weight_decay, eps=self.epsilon)


@dataclass(frozen=True)
class Adadelta(Optimizer):
    """Steps in units of the weights' own recent steps, as torch.optim.Adadelta; the paper's learning rate is 1.

    s = rho * s + (1 - rho) * g^2;   d = sqrt(u + epsilon) / sqrt(s + epsilon) * g;   u = rho * u + (1 - rho) * d^2
    w = w - lr * d,   with g = grad + weight_decay * w

    Attributes:
        rho: of the running means, at least 0 and below 1.
        weight_decay: at least 0.
        epsilon: above 0; with 0 no step would ever be taken.

    Raises:
        UserError: a value outside those ranges.

    Source: Zeiler 2012, "ADADELTA: An Adaptive Learning Rate Method", algorithm 1.
    """

    rho: float = 0.9
    weight_decay: float = 0.0
    epsilon: float = 1e-6

    def __post_init__(self) -> None:
        _below_one(self, "rho")
        _not_negative(self, "weight_decay")
        require(self.epsilon > 0, f"Adadelta epsilon {self.epsilon}: must be above 0")

    def __call__(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        return torch.optim.Adadelta(parameters, lr=0.0, rho=self.rho, weight_decay=self.weight_decay, eps=self.epsilon)


@dataclass(frozen=True)
class LARS(Optimizer):
    """SGD with momentum whose every layer steps by a share of its own weights' norm.

    t = trust * |w| / (|g| + weight_decay * |w|);   v = momentum * v + t * (g + weight_decay * w);   w = w - lr * v

    Biases and BatchNorm's weights, tensors of one dimension, take t = 1 and no weight decay. The learning rate is in
    the momentum's place as in torch.optim.SGD, outside v; at a constant rate that is the paper's.

    Attributes:
        momentum: at least 0 and below 1.
        weight_decay: at least 0.
        trust: the trust coefficient, above 0.

    Raises:
        UserError: a value outside those ranges.

    Source: You et al. 2017, "Large Batch Training of Convolutional Networks", equation 6 and algorithm 1.
    """

    momentum: float = 0.9
    weight_decay: float = 0.0
    trust: float = 0.001

    def __post_init__(self) -> None:
        _below_one(self, "momentum")
        _not_negative(self, "weight_decay")
        require(self.trust > 0, f"LARS trust {self.trust}: must be above 0")

    def __call__(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        import pytorch_optimizer

        return pytorch_optimizer.LARS(
            parameters,
            lr=0.0,
            momentum=self.momentum,
            weight_decay=self.weight_decay,
            trust_coefficient=self.trust,
        )


@dataclass(frozen=True)
class LAMB(AdaptiveOptimizer):
    """Adam's direction, every layer's step as long as a share of its own weights' norm.

    u = m / (sqrt(s) + epsilon) + weight_decay * w,   m and s as Adam's;   w = w - lr * |w| / |u| * u

    Biases and BatchNorm's weights, tensors of one dimension, take |w| / |u| = 1 and no weight decay. The running
    means are not corrected for starting at 0, which the published algorithm does and its first versions did not. In
    layers |w| / |u| undoes the difference but for weight decay; vectors' first hundred steps are up to 6.5 times as
    long as corrected ones: warm up.

    Attributes:
        beta1, beta2: of the running means, at least 0 and below 1.
        weight_decay: at least 0.
        epsilon: above 0.

    Raises:
        UserError: a value outside those ranges.

    Source: You et al. 2020, "Large Batch Optimization for Deep Learning: Training BERT in 76 minutes", algorithm 2
    without its corrections.
    """

    averages: ClassVar[tuple[str, ...]] = ("beta1", "beta2")
    beta1: float = 0.9
    beta2: float = 0.999
    weight_decay: float = 0.01
    epsilon: float = 1e-6

    def __post_init__(self) -> None:
        _below_one(self, "beta1", "beta2")
        _not_negative(self, "weight_decay")
        require(self.epsilon > 0, f"LAMB epsilon {self.epsilon}: must be above 0")

    def __call__(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        import pytorch_optimizer

        every = list(parameters)
        layers = {"params": [each for each in every if each.ndim > 1], "adam": False, "weight_decay": self.weight_decay}
        vectors = {"params": [each for each in every if each.ndim <= 1], "adam": True, "weight_decay": 0.0}
        optimizer = pytorch_optimizer.Lamb(
            [group for group in (layers, vectors) if group["params"]],
            lr=0.0,
            betas=(self.beta1, self.beta2),
            eps=self.epsilon,
            weight_decouple=False,  # inside u, as in the paper
            adam_debias=True,  # keeps the library from dividing the learning rate by 1 - beta1^t
        )
        optimizer.clamp = math.inf  # the paper's phi is the identity
        return optimizer


@dataclass(frozen=True)
class Muon(Optimizer):
    """Muon for weights of two and more dimensions, AdamW for biases and the weights of normalisation layers.

    v = momentum * v + (1 - momentum) * g;   u = orthogonalised(momentum * v + (1 - momentum) * g)
    w = (1 - lr * weight_decay) * w - lr * sqrt(max(1, rows / columns)) * u

    A convolution's weights are a matrix with one row per output channel. The orthogonalisation, five steps of a
    Newton-Schulz iteration, makes all singular values of u about 1, in 16 bits.

    Attributes:
        momentum: at least 0 and below 1.
        weight_decay: of both parts, decoupled, at least 0.
        adamw_ratio: how many times the run's learning rate AdamW steps by, above 0.
        beta1, beta2: of AdamW's running means, at least 0 and below 1.
        epsilon: AdamW's, at least 0.

    Raises:
        UserError: a value outside those ranges.

    Source: Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks"; Loshchilov and Hutter 2019,
    "Decoupled Weight Decay Regularization", algorithm 2, for the rest.
    """

    momentum: float = 0.95
    weight_decay: float = 0.0
    adamw_ratio: float = 0.05
    beta1: float = 0.9
    beta2: float = 0.95
    epsilon: float = 1e-10

    def __post_init__(self) -> None:
        _below_one(self, "momentum", "beta1", "beta2")
        _not_negative(self, "weight_decay", "epsilon")
        require(self.adamw_ratio > 0, f"Muon adamw_ratio {self.adamw_ratio}: must be above 0")

    def __call__(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        import pytorch_optimizer

        every = list(parameters)
        matrices = {"params": [each for each in every if each.ndim > 1], "use_muon": True, "momentum": self.momentum}
        rest = {
            "params": [each for each in every if each.ndim <= 1],
            "use_muon": False,
            "betas": (self.beta1, self.beta2),
            "eps": self.epsilon,
            LR_RATIO: self.adamw_ratio,
        }
        shared = {"lr": 0.0, "weight_decay": self.weight_decay}
        return pytorch_optimizer.Muon([{**shared, **group} for group in (matrices, rest) if group["params"]])


def set_learning_rate(optimizer: torch.optim.Optimizer, learning_rate: float) -> None:
    """Give every parameter group the run's learning rate, times its own ratio."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate * group.get(LR_RATIO, 1.0)


def _below_one(optimizer: object, *names: str) -> None:
    for name in names:
        value = getattr(optimizer, name)
        require(0 <= value < 1, f"{type(optimizer).__name__} {name} {value}: must be at least 0 and below 1")


def _not_negative(optimizer: object, *names: str) -> None:
    for name in names:
        value = getattr(optimizer, name)
        require(value >= 0, f"{type(optimizer).__name__} {name} {value}: must be at least 0")
