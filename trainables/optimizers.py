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
"""The key under which a parameter group holds its learning rate as a multiple of the run's learning rate."""


class Optimizer(ABC):
    """parameters -> a torch optimizer over them, whose learning rate is still 0.

    It may divide the parameters into groups. The learning rate of a group is the run's learning rate, multiplied by the
    number that the group holds under LR_RATIO if it holds one.
    """

    @abstractmethod
    def __call__(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer: ...


@dataclass(frozen=True)
class AdaptiveOptimizer(Optimizer):
    """The base class of optimizers that divide by a running average of squared gradients; they can be rescaled.

    Each has a field `epsilon`. The fields named in `averages` are the decay rates (betas) of its running averages.
    """

    averages: ClassVar[tuple[str, ...]]

    def rescaled(self, batch_ratio: float) -> Self:
        """The optimizer adapted to a batch `batch_ratio` times as large.

        1 - beta <- k (1 - beta) for each of the averages;   epsilon <- epsilon / sqrt(k),   with k the batch ratio

        A beta that would fall below 0 is set to 0, with a warning.

        Source: Malladi et al. 2022, "On the SDEs and Scaling Rules for Adaptive Gradient Algorithms", section 5.
        """
        values = {name: getattr(self, name) for name in (*self.averages, "epsilon")}
        moved = {"epsilon": values["epsilon"] / batch_ratio**0.5}
        for name in self.averages:
            before = values[name]
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
        nesterov: whether to use Nesterov's momentum, which looks ahead along v; it needs momentum above 0.

    Raises:
        UserError: a value is outside its range.

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
    """Divides each step by the root of the sum of all squared gradients so far, as torch.optim.Adagrad does.

    s = s + g^2;   w = w - lr * g / (sqrt(s) + epsilon),   with g = grad + weight_decay * w

    Attributes:
        weight_decay: at least 0.
        epsilon: at least 0.

    Raises:
        UserError: a value is outside its range.

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
    """Divides each step by the running root mean square of the gradient, as torch.optim.RMSprop does.

    s = alpha * s + (1 - alpha) * g^2;   v = momentum * v + g / (sqrt(s) + epsilon);   w = w - lr * v
    with g = grad + weight_decay * w

    Attributes:
        alpha: decay rate of the running mean, at least 0 and below 1.
        momentum: at least 0 and below 1.
        weight_decay: at least 0.
        epsilon: at least 0.

    Raises:
        UserError: a value is outside its range.

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
    """Steps along the running mean of the gradient, divided by its running root mean square, as torch.optim.Adam does.

    m = beta1 * m + (1 - beta1) * g;   s = beta2 * s + (1 - beta2) * g^2,   with g = grad + weight_decay * w
    w = w - lr * m / (1 - beta1^t) / (sqrt(s / (1 - beta2^t)) + epsilon)

    Attributes:
        beta1, beta2: decay rates of the running means, at least 0 and below 1.
        weight_decay: L2 weight decay, which is added to the gradient, at least 0.
        epsilon: at least 0.

    Raises:
        UserError: a value is outside its range.

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
    """Adam with decoupled weight decay, which does not enter the running means, as in torch.optim.AdamW.

    w = w - lr * weight_decay * w - lr * m / (1 - beta1^t) / (sqrt(s / (1 - beta2^t)) + epsilon),   m and s as Adam's

    Attributes:
        beta1, beta2: decay rates of the running means, at least 0 and below 1.
        weight_decay: at least 0.
        epsilon: at least 0.

    Raises:
        UserError: a value is outside its range.

    Source: Loshchilov and Hutter 2019, "Decoupled Weight Decay Regularization", algorithm 2.
    """

    weight_decay: float = 0.01

    def __call__(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        betas = (self.beta1, self.beta2)
        return torch.optim.AdamW(parameters, lr=0.0, betas=betas, weight_decay=self.weight_decay, eps=self.epsilon)


@dataclass(frozen=True)
class Adadelta(Optimizer):
    """Scales each step by the size of the weight's own recent steps, as torch.optim.Adadelta; the paper's rate is 1.

    s = rho * s + (1 - rho) * g^2;   d = sqrt(u + epsilon) / sqrt(s + epsilon) * g;   u = rho * u + (1 - rho) * d^2
    w = w - lr * d,   with g = grad + weight_decay * w

    Attributes:
        rho: decay rate of the running means, at least 0 and below 1.
        weight_decay: at least 0.
        epsilon: above 0; with 0 the weights would never change.

    Raises:
        UserError: a value is outside its range.

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
    """SGD with momentum in which the step of each layer is proportional to the norm of its weights.

    t = trust * |w| / (|g| + weight_decay * |w|);   v = momentum * v + t * (g + weight_decay * w);   w = w - lr * v

    Biases and BatchNorm's weights, which are tensors of one dimension, use t = 1 and no weight decay. As in
    torch.optim.SGD, the learning rate multiplies v; in the paper it is part of v. At a constant learning rate both are
    the same.

    Attributes:
        momentum: at least 0 and below 1.
        weight_decay: at least 0.
        trust: the trust coefficient, above 0.

    Raises:
        UserError: a value is outside its range.

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
    """Steps in Adam's direction, where the step of each layer is as long as the norm of its weights times the rate.

    u = m / (sqrt(s) + epsilon) + weight_decay * w,   m and s as Adam's;   w = w - lr * |w| / |u| * u

    Biases and BatchNorm's weights, which are tensors of one dimension, use |w| / |u| = 1 and no weight decay. The
    running means start at 0 and are not corrected for it; the published algorithm corrects them, its first versions did
    not. For tensors of more dimensions the factor |w| / |u| removes the difference, except in the weight decay. For
    tensors of one dimension the first hundred steps are up to 6.5 times as long as corrected ones, so use a warm-up.

    Attributes:
        beta1, beta2: decay rates of the running means, at least 0 and below 1.
        weight_decay: at least 0.
        epsilon: above 0.

    Raises:
        UserError: a value is outside its range.

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
            weight_decouple=False,  # weight decay is part of u, as in the paper
            adam_debias=True,  # keeps the library from dividing the learning rate by 1 - beta1^t
        )
        optimizer.clamp = math.inf  # the paper's phi is the identity
        return optimizer


@dataclass(frozen=True)
class Muon(Optimizer):
    """Muon for weights of two and more dimensions, AdamW for biases and the weights of normalisation layers.

    v = momentum * v + (1 - momentum) * g;   u = orthogonalised(momentum * v + (1 - momentum) * g)
    w = (1 - lr * weight_decay) * w - lr * sqrt(max(1, rows / columns)) * u

    The weights of a convolution are used as a matrix with one row per output channel. The orthogonalisation makes all
    singular values of u about 1, by five steps of a Newton-Schulz iteration in 16 bits.

    Attributes:
        momentum: momentum of Muon, at least 0 and below 1.
        weight_decay: decoupled weight decay of both parts, at least 0.
        adamw_ratio: AdamW's learning rate as a multiple of the run's, above 0.
        beta1, beta2: decay rates of AdamW's running means, at least 0 and below 1.
        epsilon: epsilon of AdamW, at least 0.

    Raises:
        UserError: a value is outside its range.

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
    """Give every parameter group the run's learning rate, multiplied by the group's own ratio."""
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
