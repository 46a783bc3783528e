"""Data sets: frozen dataclasses that know how to load themselves. To add one, satisfy images.ImageData."""

from trainables.data.cifar10 import CIFAR10
from trainables.data.digits import Digits
from trainables.data.images import ImageData, Images, Split

__all__ = ["CIFAR10", "Digits", "ImageData", "Images", "Split"]
