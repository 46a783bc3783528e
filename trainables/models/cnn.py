"""Plain convolutional networks: one for digits of 8 by 8 pixels, and two from the papers for 32 by 32 pixels."""

from dataclasses import dataclass

from torch import nn

from trainables.errors import require


@dataclass(frozen=True)
class SmallCNN:
    """Two 3x3 convolutions of `width` and 2 `width` channels, each with BatchNorm and ReLU, a 2x2 max-pool between
    them, a global average and one dense layer. 5,178 parameters at the default width.

    Attributes:
        width: channels of the first convolution.
        channels: channels of the input.
        classes: number of logits.
    """

    width: int = 16
    channels: int = 1
    classes: int = 10

    def __call__(self) -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(self.channels, self.width, 3, padding=1, bias=False),
            nn.BatchNorm2d(self.width),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(self.width, 2 * self.width, 3, padding=1, bias=False),
            nn.BatchNorm2d(2 * self.width),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(2 * self.width, self.classes),
        )


@dataclass(frozen=True)
class SixLayerCNN:
    """Three blocks of two 3x3 convolutions each, followed by three dense layers; 5,852,170 parameters by default.

    The blocks have 32, 64; 128, 128; and 256, 256 channels, and each has one BatchNorm and a 2x2 max-pool. There is 5 %
    dropout between the second and the third block, and there are two dropouts of 10 % around the dense layers. ReLU
    follows every convolution and every dense layer except the last.

    The paper leaves some details open. Here they follow a model that is widely used for CIFAR-10 and agrees with all
    that the paper states: BatchNorm follows the first convolution of a block; the 5 % dropout drops whole channels; the
    dense layers have 1,024 and 512 units; and the 10 % dropout comes before the first and before the last dense layer.
    Weights are initialised as PyTorch does by default.

    Attributes:
        width: channels of the first convolution; the others have 2, 4, 4, 8 and 8 times as many.
        widths: numbers of units of the first two dense layers.
        classes: number of logits.
        stem_stride: stride of the first convolution; the paper's is 1. With 2, all that follows has a quarter of the
            pixels.

    Raises:
        UserError: stem_stride is not 1, 2 or 4.

    Source: Kaabachi, Ødum and Knöpfel, "Effects of batch size scaled learning rates and gradual warm up for
    training deep nets using large mini-batches", section II.
    """

    width: int = 32
    widths: tuple[int, int] = (1024, 512)
    classes: int = 10
    stem_stride: int = 1

    def __post_init__(self) -> None:
        require(self.stem_stride in (1, 2, 4), f"SixLayerCNN stem_stride {self.stem_stride}: must be 1, 2 or 4")

    def __call__(self) -> nn.Module:
        width, (first, second) = self.width, self.widths
        return nn.Sequential(
            *_block(3, width, 2 * width, self.stem_stride),
            *_block(2 * width, 4 * width, 4 * width),
            nn.Dropout2d(0.05),
            *_block(4 * width, 8 * width, 8 * width),
            nn.Flatten(),
            nn.Dropout(0.1),
            nn.Linear(8 * width * (4 // self.stem_stride) ** 2, first),
            nn.ReLU(),
            nn.Linear(first, second),
            nn.ReLU(),
            nn.Dropout(0.1),
            nn.Linear(second, self.classes),
        )


@dataclass(frozen=True)
class TwoConvCNN:
    """Two 3x3 convolutions of 32 and 64 filters, each with ReLU, a 2x2 max-pool and dropout, and one dense layer.
    60,362 parameters by default.

    The paper does not state the size of the filters and the dropout probability, which are 3x3 and 25 % here.

    Attributes:
        width: filters of the first convolution; the second has twice as many.
        channels, size: channels and height of the input; its width is equal to its height.
        classes: number of logits.

    Source: Surlemont, Farahzadi and Stähle, "Large batch sizes for Deep Learning", section II.
    """

    width: int = 32
    channels: int = 3
    size: int = 32
    classes: int = 10

    def __call__(self) -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(self.channels, self.width, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Dropout(0.25),
            nn.Conv2d(self.width, 2 * self.width, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Dropout(0.25),
            nn.Flatten(),
            nn.Linear(2 * self.width * (self.size // 4) ** 2, self.classes),
        )


def _block(channels_in: int, channels: int, channels_out: int, stride: int = 1) -> list[nn.Module]:
    """One block of SixLayerCNN: two convolutions, and a max-pool that halves height and width."""
    return [
        nn.Conv2d(channels_in, channels, 3, stride, padding=1),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
        nn.Conv2d(channels, channels_out, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
    ]
