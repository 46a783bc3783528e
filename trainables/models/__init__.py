"""Models: frozen dataclasses that build a newly initialised module each time they are called."""

from trainables.models.cnn import SixLayerCNN, SmallCNN, TwoConvCNN
from trainables.models.lstm import LSTMClassifier, LSTMLanguageModel
from trainables.models.resnet import ResNet8, ResNet18, ResNet20, ResNet50
from trainables.models.vgg import VGG19BN

__all__ = [
    "VGG19BN",
    "LSTMClassifier",
    "LSTMLanguageModel",
    "ResNet8",
    "ResNet18",
    "ResNet20",
    "ResNet50",
    "SixLayerCNN",
    "SmallCNN",
    "TwoConvCNN",
]
