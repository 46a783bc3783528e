"""The VGG network for 32 by 32 images."""

from dataclasses import dataclass

from torch import nn

from trainables.errors import require
from trainables.models.resnet import he_initialised


@dataclass(frozen=True)
class VGG19BN:
    """VGG-19 with BatchNorm, as it is used for CIFAR; 20,086,692 parameters with 100 classes.

    It has torchvision's sixteen 3x3 convolutions, and one dense layer instead of three. The five poolings between the
    convolutions reduce a 32 by 32 image to one position. Convolutions are initialised as in the residual networks.

    Attributes:
        divide: what the numbers of channels, 64 to 512, are divided by; 8 makes the network small enough for a CPU.
        classes: number of logits.

    Raises:
        UserError: divide is not a divisor of 64.

    Source: Simonyan and Zisserman 2015, "Very Deep Convolutional Networks", table 1, column E; Devarakonda et al. 2017,
    "AdaBatch: Adaptive Batch Sizes for Training Deep Neural Networks", section 3.
    """

    divide: int = 1
    classes: int = 100

    def __post_init__(self) -> None:
        good = self.divide >= 1 and 64 % self.divide == 0
        require(good, f"VGG19BN divide {self.divide}: must be a divisor of 64, the channels of the first convolution")

    def __call__(self) -> nn.Module:
        from torchvision.models import vgg

        layers = [each if isinstance(each, str) else each // self.divide for each in vgg.cfgs["E"]]
        features = vgg.make_layers(layers, batch_norm=True)
        return he_initialised(nn.Sequential(*features, nn.Flatten(), nn.Linear(512 // self.divide, self.classes)))
