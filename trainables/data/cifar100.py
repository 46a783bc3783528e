"""CIFAR-100: 60,000 colour photographs of 32 by 32 pixels in 100 classes, from the official host."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from trainables.data.loading.download import Unreachable, download, unpack
from trainables.data.loading.held_out import Arrays, Photographs
from trainables.data.loading.images import Images
from trainables.data.loading.once import once
from trainables.errors import MissingData, UserError

OFFICIAL_URL = "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz"
FOLDER = "cifar-100-python"


@dataclass(frozen=True)
class CIFAR100(Photographs):
    """The description of CIFAR-100, with its 100 fine labels.

    Attributes:
        train_samples: number of the 50,000 training images to train on; the first ones are used. It is at most 40,000
            where the last 10,000 are held out to judge on.
        judge_on: what runs are judged on: "held_out", the last 10,000 training images, or "test", the test images, as
            in papers that have no third split.
        validation_samples: number of these 10,000 images to judge on; the first ones are used.
        augment: whether to crop training images at random, after padding by 4 pixels, and to flip half of them.

    Raises:
        UserError: a number of samples is outside its range, or judge_on is neither of the two.

    Source: Krizhevsky 2009, "Learning Multiple Layers of Features from Tiny Images".
    """

    mean: ClassVar[tuple[float, ...]] = (0.5071, 0.4865, 0.4409)
    std: ClassVar[tuple[float, ...]] = (0.2673, 0.2564, 0.2762)

    @property
    def classes(self) -> int:
        return 100

    def load(self, data_dir: Path) -> Images:
        """The splits, read from data_dir; if they are missing there, they are fetched first.

        Raises:
            UserError: the images are missing and the official host cannot be reached.
        """
        return self.images(load_arrays(data_dir))


def load_arrays(data_dir: Path) -> Arrays:
    """The decoded arrays. They are fetched once; torchvision reads them and checks their md5 every time."""
    from torchvision import datasets

    folder = once(data_dir / FOLDER, lambda folder: _fetch(folder, data_dir / f"{FOLDER}.tar.gz"))
    try:
        train, test = (datasets.CIFAR100(str(data_dir), train=part) for part in (True, False))
    except RuntimeError as error:
        raise UserError(f"{folder}: is damaged ({error}); delete it and run again to fetch it anew") from error
    return Arrays(train.data, np.array(train.targets, np.uint8), test.data, np.array(test.targets, np.uint8))


def _fetch(folder: Path, archive: Path) -> None:
    """Unpack the archive that contains the folder; if the archive is missing, fetch it from the official host first."""
    try:
        if not archive.exists():
            download(OFFICIAL_URL, archive)
        unpack(archive, folder.parent)
    except Unreachable as error:
        raise MissingData(
            f"CIFAR-100 is not in {archive.parent} and cannot be fetched ({error}): put {archive.name} from "
            f"{OFFICIAL_URL} into that directory"
        ) from error
