"""Models: frozen dataclasses that build a freshly initialised module when called."""

from trainables.models.cnn import SmallCNN
from trainables.models.resnet import ResNet8, ResNet18

__all__ = ["ResNet8", "ResNet18", "SmallCNN"]
