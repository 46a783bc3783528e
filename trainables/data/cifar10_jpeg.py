"""CIFAR-10 as a folder of JPEG files: small real images that are loaded in the same way as ImageNet's."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from trainables.data.cifar10 import load_arrays
from trainables.data.folder import ImageFolder
from trainables.data.loading.folder_images import FolderImages
from trainables.data.loading.once import once
from trainables.data.loading.source import Data
from trainables.errors import require

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
QUALITY = 95


@dataclass(frozen=True)
class CIFAR10JPEG(Data):
    """CIFAR-10's training images as JPEG files of 32 by 32 pixels, read by ImageFolder.

    Attributes:
        train_samples: number of images to train on; the first ones are used.
        validation_samples: number of images to judge on; the last ones are used.

    Raises:
        UserError: one of the numbers is below 1, or their sum is above 50,000.
    """

    train_samples: int = 40_000
    validation_samples: int = 10_000

    def __post_init__(self) -> None:
        require(
            min(self.train_samples, self.validation_samples) >= 1
            and self.train_samples + self.validation_samples <= 50_000,
            f"CIFAR10JPEG train_samples {self.train_samples}, validation_samples {self.validation_samples}: each at "
            "least 1 and together at most 50,000",
        )

    @property
    def input_shape(self) -> tuple[int, int, int]:
        return (3, 32, 32)

    @property
    def classes(self) -> int:
        return len(CLASSES)

    def load(self, data_dir: Path) -> FolderImages:
        """The lists of files; if the files are missing, they are first written to data_dir.

        Raises:
            UserError: CIFAR-10 cannot be fetched.
        """
        train, validation = self.train_samples, self.validation_samples
        name = f"cifar10-jpeg-{train}-{validation}"
        once(data_dir / name, lambda folder: self._write(folder, data_dir))
        return ImageFolder(name, 32, len(CLASSES), train, validation).load(data_dir)

    def _write(self, folder: Path, data_dir: Path) -> None:
        arrays = load_arrays(data_dir)
        images, labels = arrays.train_images, arrays.train_labels
        for part, chosen in (("train", slice(self.train_samples)), ("val", slice(-self.validation_samples, None))):
            write(folder / part, images[chosen], labels[chosen])


def write(folder: Path, images: np.ndarray, labels: np.ndarray) -> None:
    """Write images (samples, height, width, 3) uint8 to files CLASS/NUMBER.jpg in folder."""
    for name in CLASSES:
        (folder / name).mkdir(parents=True)
    for number, (image, label) in enumerate(zip(images, labels, strict=True)):
        Image.fromarray(image).save(folder / CLASSES[label] / f"{number:05d}.jpg", quality=QUALITY)
