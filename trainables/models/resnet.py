"""Residual networks for CIFAR and ImageNet."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from trainables.errors import require


@dataclass(frozen=True)
class CIFARResNet:
    """The CIFAR residual network of He et al., with 6 n + 2 layers.

    It has a 3x3 stem, n basic blocks in each of three stages of `width`, 2 `width` and 4 `width` channels, a global
    average and one dense layer. Shortcuts between different shapes are projections (option B); the paper pads with
    zeros instead.

    Attributes:
        width: channels of the first stage; the paper's is 16.
        classes: number of logits.
        stem_stride: stride of the stem; the paper's is 1. With 2, every stage has a quarter of the pixels, and with 4 a
            sixteenth; a stride above 3 leaves pixels out.

    Raises:
        UserError: stem_stride is below 1.

    Source: He et al. 2016, "Deep Residual Learning", section 4.2.
    """

    width: int = 16
    classes: int = 10
    stem_stride: int = 1

    blocks: ClassVar[int]
    """n, the number of blocks in each stage."""

    def __post_init__(self) -> None:
        name = type(self).__name__
        require(self.stem_stride >= 1, f"{name} stem_stride {self.stem_stride}: must be at least 1")

    def __call__(self) -> nn.Module:
        width = self.width
        stages = ((width, width, 1), (width, 2 * width, 2), (2 * width, 4 * width, 2))
        model = nn.Sequential(
            nn.Conv2d(3, width, 3, self.stem_stride, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            *(
                BasicBlock(channels_out if number else channels_in, channels_out, 1 if number else stride)
                for channels_in, channels_out, stride in stages
                for number in range(self.blocks)
            ),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(4 * width, self.classes),
        )
        return he_initialised(model)


@dataclass(frozen=True)
class ResNet8(CIFARResNet):
    """CIFARResNet with n = 1: 78,042 parameters at width 16."""

    blocks: ClassVar[int] = 1


@dataclass(frozen=True)
class ResNet20(CIFARResNet):
    """CIFARResNet with n = 3: 272,474 parameters at width 16."""

    blocks: ClassVar[int] = 3


@dataclass(frozen=True)
class ResNet18:
    """torchvision's ResNet-18 with one of two stems. 11,173,962 parameters with the CIFAR stem and 10 classes.

    Attributes:
        stem: "cifar", a 3x3 convolution of stride 1 and no pooling, or "imagenet", torchvision's own 7x7 of stride 2
            and its max-pool.
        classes: number of logits.

    Raises:
        UserError: stem is neither of the two.

    Source: He et al. 2016, "Deep Residual Learning", table 1.
    """

    stem: Literal["cifar", "imagenet"] = "cifar"
    classes: int = 10

    def __post_init__(self) -> None:
        require(self.stem in ("cifar", "imagenet"), f"ResNet18 stem {self.stem!r}: must be 'cifar' or 'imagenet'")

    def __call__(self) -> nn.Module:
        from torchvision.models import resnet18

        model = resnet18(num_classes=self.classes)
        if self.stem == "cifar":
            model.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
            model.maxpool = nn.Identity()
        return he_initialised(model)


@dataclass(frozen=True)
class ResNet50:
    """torchvision's ResNet-50 for ImageNet, with 25,557,032 parameters for 1,000 classes.

    Convolutions are initialised as in ResNet18. Every BatchNorm starts with weight 1, also the last one of a block.

    Attributes:
        classes: number of logits.

    Source: He et al. 2016, "Deep Residual Learning", table 1.
    """

    classes: int = 1000

    def __call__(self) -> nn.Module:
        from torchvision.models import resnet50

        return he_initialised(resnet50(num_classes=self.classes))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with BatchNorm and a shortcut around them."""

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            nn.Conv2d(channels_in, channels_out, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(channels_out),
            nn.ReLU(),
            nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels_out),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels_in != channels_out:
            # A 1x1 convolution with a stride is slow on a CPU, and corrupts memory with few channels (oneDNN #6035).
            self.shortcut = nn.Sequential(
                nn.AvgPool2d(1, stride),
                nn.Conv2d(channels_in, channels_out, 1, bias=False),
                nn.BatchNorm2d(channels_out),
            )

    def forward(self, x: Tensor) -> Tensor:  # (batch, channels, height, width) -> the same, strided
        return torch.relu(self.residual(x) + self.shortcut(x))


def he_initialised(model: nn.Module) -> nn.Module:
    """The model, its convolutions drawn again from the normal distribution of He et al. 2015 (fan-out), in place."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return model
