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
    """CIFAR-100 by description, with its 100 fine labels.

    Attributes:
        train_samples: how many of the 50,000 training images to train on, the first ones; at most 40,000 where the
            last 10,000 are held out to judge on.
        judge_on: "held_out", the last 10,000 training images, or "test", as papers that have no third split do.
        validation_samples: how many of those 10,000 to judge on, the first ones.
        augment: whether to crop at random from 4 pixels of padding and to flip.

    Raises:
        UserError: more training samples than that, or another judge_on.

    Source: Krizhevsky 2009, "Learning Multiple Layers of Features from Tiny Images".
    """

    mean: ClassVar[tuple[float, ...]] = (0.5071, 0.4865, 0.4409)
    std: ClassVar[tuple[float, ...]] = (0.2673, 0.2564, 0.2762)

    @property
    def classes(self) -> int:
        return 100

    def load(self, data_dir: Path) -> Images:
        """The splits, from data_dir, where they are put first if need be.

        Raises:
            UserError: the images are not there and the official host cannot be reached.
        """
        return self.images(load_arrays(data_dir))


def load_arrays(data_dir: Path) -> Arrays:
    """The decoded arrays; fetched once, and read through torchvision, which checks their md5 every time."""
    from torchvision import datasets

    folder = once(data_dir / FOLDER, lambda folder: _fetch(folder, data_dir / f"{FOLDER}.tar.gz"))
    try:
        train, test = (datasets.CIFAR100(str(data_dir), train=part) for part in (True, False))
    except RuntimeError as error:
        raise UserError(f"{folder}: is damaged ({error}); delete it and run again to fetch it anew") from error
    return Arrays(train.data, np.array(train.targets, np.uint8), test.data, np.array(test.targets, np.uint8))


def _fetch(folder: Path, archive: Path) -> None:
    """Unpack the archive, which holds that folder, from where it lies or from the official host."""
    try:
        if not archive.exists():
            download(OFFICIAL_URL, archive)
        unpack(archive, folder.parent)
    except Unreachable as error:
        raise MissingData(
            f"CIFAR-100 is not in {archive.parent} and cannot be fetched ({error}): put {archive.name} from "
            f"{OFFICIAL_URL} into that directory"
        ) from error
