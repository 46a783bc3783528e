"""Images in a folder, a folder to each class, decoded when they are needed; by default ImageNet."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import torch

from trainables.data.loading.folder_images import Files, FolderImages
from trainables.data.loading.source import Data
from trainables.errors import MissingData, require


class Found(NamedTuple):
    """The images of a folder by class, the classes in alphabetical order.

    Attributes:
        classes: their names.
        paths: of every image.
        labels: of every image, the number of its class.
    """

    classes: list[str]
    paths: list[str]
    labels: list[int]

    def some(self, samples: int) -> Files:
        """So many of them, evenly spaced, so that each class keeps its share."""
        kept = [number * len(self.paths) // samples for number in range(samples)]
        return Files([self.paths[index] for index in kept], torch.tensor([self.labels[index] for index in kept]))


@dataclass(frozen=True)
class ImageFolder(Data):
    """A folder with train/CLASS/*.jpg and val/CLASS/*.jpg, the layout ImageNet is usually kept in.

    What is judged by and what is tested on at the end are the same images, those of val: ImageNet's test labels are not
    public.

    Attributes:
        folder: where train and val are, in the data directory or absolute.
        size: pixels to a side that images are brought to.
        classes: how many folders train and val have.
        train_samples, validation_samples: how many images to use of each; of more, evenly spaced ones are taken, so
            that classes keep their shares.

    Raises:
        UserError: a number below 1.

    Source: Russakovsky et al. 2015, arXiv:1409.0575; crops and sizes as He et al. 2015, arXiv:1512.03385, and
    Szegedy et al. 2014, arXiv:1409.4842.
    """

    folder: str = "imagenet"
    size: int = 224
    classes: int = 1000
    train_samples: int = 1_281_167
    validation_samples: int = 50_000

    def __post_init__(self) -> None:
        for name in ("size", "classes", "train_samples", "validation_samples"):
            value = getattr(self, name)
            require(value >= 1, f"ImageFolder {name} {value}: must be at least 1")

    @property
    def input_shape(self) -> tuple[int, int, int]:
        return (3, self.size, self.size)

    def at(self, folder: Path) -> "ImageFolder":
        """The same of another folder, with its classes and as many images as it holds, at most as many as here.

        Raises:
            UserError: there are no images there, or train and val differ in their classes.
        """
        train, validation = find(folder)
        return replace(
            self,
            folder=str(folder.absolute()),
            classes=len(train.classes),
            train_samples=min(self.train_samples, len(train.paths)),
            validation_samples=min(self.validation_samples, len(validation.paths)),
        )

    def load(self, data_dir: Path) -> FolderImages:
        """The lists of images, not the images, on the CPU.

        Raises:
            UserError: there are no images there, other classes, or fewer images than are asked for.
        """
        folder = data_dir / self.folder
        train, validation = find(folder)
        require(
            len(train.classes) == self.classes,
            f"{folder}: has {len(train.classes):,} classes, classes asks for {self.classes:,}",
        )
        for part, found, samples in (
            ("train", train, self.train_samples),
            ("val", validation, self.validation_samples),
        ):
            require(
                samples <= len(found.paths),
                f"{folder / part}: has {len(found.paths):,} images, fewer than the {samples:,} asked for",
            )
        return FolderImages(train.some(self.train_samples), validation.some(self.validation_samples), self.size)


def find(folder: Path) -> tuple[Found, Found]:
    """The images of train and val.

    Raises:
        UserError: one of them is missing, has a class without images or other classes than the other, or has only one.
    """
    train, validation = (_find(folder / part) for part in ("train", "val"))
    require(
        train.classes == validation.classes,
        f"{folder}: train has {len(train.classes):,} classes and val {len(validation.classes):,}, and they must be the "
        "same ones",
    )
    require(
        len(train.classes) >= 2, f"{folder}: has images of one class, {train.classes[0]!r}; two at least are needed"
    )
    return train, validation


def _find(folder: Path) -> Found:
    from torchvision.datasets.folder import IMG_EXTENSIONS, find_classes, make_dataset

    try:
        classes, numbers = find_classes(str(folder))
        images = make_dataset(str(folder), numbers, extensions=IMG_EXTENSIONS)
    except OSError as error:
        reason = " ".join(str(error).split())
        raise MissingData(
            f"{folder}: has no CLASS/*.jpg to read ({reason}); put the images there as train/CLASS/*.jpg and "
            "val/CLASS/*.jpg (ImageNet is had from image-net.org with an account), or name a folder that has them "
            "with `--data DIR`"
        ) from error
    return Found(classes, [path for path, _ in images], [number for _, number in images])
