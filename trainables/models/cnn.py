"""A small convolutional network for 8 by 8 digits."""

from dataclasses import dataclass

from torch import nn


@dataclass(frozen=True)
class SmallCNN:
    """Two 3x3 convolutions of `width` and 2 `width` channels, each with BatchNorm and ReLU, a 2x2 max-pool between
    them, a global average and one dense layer. 5,178 parameters at the default width.

    Attributes:
        width: channels of the first convolution.
        channels: of the input.
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
