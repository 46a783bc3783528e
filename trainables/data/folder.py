"""Images in a folder, with one subfolder per class, which are decoded when they are needed; by default ImageNet."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import torch

from trainables.data.loading.folder_images import Files, FolderImages
from trainables.data.loading.source import Data
from trainables.errors import MissingData, require


class Listing(NamedTuple):
    """The images of a folder by class, the classes in alphabetical order.

    Attributes:
        classes: names of the classes.
        paths: path of each image.
        labels: class number of each image.
    """

    classes: list[str]
    paths: list[str]
    labels: list[int]

    def some(self, samples: int) -> Files:
        """This number of the images, evenly spaced, so that the classes keep their proportions."""
        kept = [number * len(self.paths) // samples for number in range(samples)]
        return Files([self.paths[index] for index in kept], torch.tensor([self.labels[index] for index in kept]))


@dataclass(frozen=True)
class ImageFolder(Data):
    """A folder with train/CLASS/*.jpg and val/CLASS/*.jpg, the layout ImageNet is usually kept in.

    Runs are judged on the images of val and are also tested on them at the end, because ImageNet's test labels are not
    public.

    Attributes:
        folder: the folder that contains train and val, absolute or relative to the data directory.
        size: height and width of the inputs, in pixels.
        classes: number of subfolders of train and of val.
        train_samples, validation_samples: number of images of train and of val to use. If there are more, evenly spaced
            ones are used, so that the classes keep their proportions.

    Raises:
        UserError: a number is below 1.

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
        """This data set for another folder, with that folder's classes and images, but at most as many images as here.

        Raises:
            UserError: there are no images in the folder, or train and val have different classes.
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
        """The lists of image files, with batches on the CPU; the images are read when they are needed.

        Raises:
            UserError: there are no images, another number of classes, or fewer images than asked for.
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


def find(folder: Path) -> tuple[Listing, Listing]:
    """The images of train and val.

    Raises:
        UserError: train or val is missing or has a class without images, or their classes differ or are fewer than two.
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


def _find(folder: Path) -> Listing:
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
    return Listing(classes, [path for path, _ in images], [number for _, number in images])
