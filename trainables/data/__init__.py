"""Data sets: frozen dataclasses that can load themselves. To add one, subclass Data."""

from trainables.data.bible import KingJamesBible
from trainables.data.cifar10 import CIFAR10
from trainables.data.cifar10_jpeg import CIFAR10JPEG
from trainables.data.cifar100 import CIFAR100
from trainables.data.dataset import DatasetData
from trainables.data.digits import Digits
from trainables.data.folder import ImageFolder
from trainables.data.loading.images import Images, Split
from trainables.data.loading.source import Data, Loaded
from trainables.data.mnist import MNIST, FashionMNIST
from trainables.data.tensors import TensorData
from trainables.data.text import TextCorpus

__all__ = [
    "CIFAR10",
    "CIFAR10JPEG",
    "CIFAR100",
    "MNIST",
    "Data",
    "DatasetData",
    "Digits",
    "FashionMNIST",
    "ImageFolder",
    "Images",
    "KingJamesBible",
    "Loaded",
    "Split",
    "TensorData",
    "TextCorpus",
]
