"""MNIST's handwritten digits and Fashion-MNIST's articles of clothing: 70,000 grey images of 28 by 28 pixels each.

Their files are where torchvision puts them, in data_dir/MNIST/raw and data_dir/FashionMNIST/raw. They are fetched from
the mirrors that torchvision names. Fashion-MNIST's files may also come from Debian's package, which has the same pixels
in other archives.
"""

import gzip
import hashlib
import shutil
import zlib
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

import numpy as np

from trainables.data.loading.download import Unreachable, deb_package, download
from trainables.data.loading.held_out import Arrays, HeldOut, check
from trainables.data.loading.images import Images
from trainables.data.loading.once import once
from trainables.errors import MissingData, UserError, require

FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
DEBIAN_PACKAGE = "dataset-fashion-mnist"
INSTALLED = Path("/usr/share/datasets/fashion-mnist")
FASHION_SHA256 = {
    "train_images": "2e487a6c89124f78f2d7521542223cafe96f7123c3ca13d447772ac6ecbb3012",
    "train_labels": "657fbd221bfc9f4198cc14b5619cc33ec57c58dd0e47af4d99d6650759e869a7",
    "test_images": "c867c93ff95360594e8ec3287995350b824dd110b11595c0e13d5423f621867a",
    "test_labels": "3d0e6c6ea990b53b6f8f500a41cac93881d981b315f84578b7d915342ade01e9",
}


@dataclass(frozen=True)
class MNIST(HeldOut):
    """The description of MNIST, whose images are not augmented.

    Attributes:
        train_samples: number of the 60,000 training images to train on; the first ones are used. It is at most 50,000
            where the last 10,000 are held out to judge on.
        judge_on: what runs are judged on: "held_out", the last 10,000 training images, or "test", the test images, as
            in papers that have no third split.
        validation_samples: number of these 10,000 images to judge on; the first ones are used.

    Raises:
        UserError: a number of samples is outside its range, or judge_on is neither of the two.

    Source: LeCun, Cortes and Burges, "The MNIST database of handwritten digits".
    """

    train_samples: int = 50_000

    training_images: ClassVar[int] = 60_000
    mean: ClassVar[float] = 0.1307
    std: ClassVar[float] = 0.3081

    @property
    def input_shape(self) -> tuple[int, int, int]:
        return (1, 28, 28)

    @property
    def classes(self) -> int:
        return 10

    def load(self, data_dir: Path) -> Images:
        """The splits, read from data_dir; if they are missing there, they are fetched first.

        Raises:
            UserError: the images are missing and no source can be reached, or the files hold other images.
        """
        name = type(self).__name__
        folder = once(data_dir / name / "raw", lambda raw: self._fetch(raw, data_dir))
        arrays = read(folder)
        for found, expected in ((arrays.train_images, self.training_images), (arrays.test_images, 10_000)):
            require(len(found) == expected, f"{folder}: has {len(found):,} images where {name} has {expected:,}")
        self._check(arrays, str(folder))
        return Images(*self.split(arrays), (self.mean,), (self.std,))

    def _fetch(self, raw: Path, data_dir: Path) -> None:
        try:
            fetch_official("MNIST", raw)
        except Unreachable as error:
            raise MissingData(_nowhere("MNIST", data_dir, str(error))) from error

    def _check(self, arrays: Arrays, source: str) -> None:
        """Nothing is left to check, because the md5 sums of MNIST's archives were checked when they were fetched."""


@dataclass(frozen=True)
class FashionMNIST(MNIST):
    """The description of Fashion-MNIST, which has MNIST's sizes and arguments, but classes that are harder to separate.

    Source: Xiao, Rasul and Vollgraf 2017, arXiv:1708.07747.
    """

    mean: ClassVar[float] = 0.2860
    std: ClassVar[float] = 0.3530

    def _fetch(self, raw: Path, data_dir: Path) -> None:
        if INSTALLED.is_dir():
            return unpack(INSTALLED, raw)
        try:
            return fetch_official("FashionMNIST", raw)
        except Unreachable as error:
            official = str(error)
        print(f"{official}; fetching the Debian package {DEBIAN_PACKAGE} (31 MB) instead", flush=True)
        try:
            with TemporaryDirectory(dir=raw.parent) as folder:
                root = deb_package(DEBIAN_PACKAGE, Path(folder))
                unpack(root / INSTALLED.relative_to("/"), raw)
        except Unreachable as error:
            raise UserError(_nowhere("FashionMNIST", data_dir, f"{official}; {error}")) from error

    def _check(self, arrays: Arrays, source: str) -> None:
        check(arrays, FASHION_SHA256, "Fashion-MNIST", source)


def fetch_official(name: str, raw: Path) -> None:
    """Fetch the four archives of one of torchvision's sets from the mirrors it names, and unpack them into raw.

    Raises:
        Unreachable: an archive cannot be fetched with the md5 sum that torchvision records from any mirror.
    """
    from torchvision import datasets

    official = getattr(datasets, name)
    with TemporaryDirectory(dir=raw.parent) as folder:
        for file, md5 in official.resources:
            _fetch_one([f"{mirror}{file}" for mirror in official.mirrors], md5, Path(folder) / file)
        unpack(Path(folder), raw)


def unpack(folder: Path, raw: Path) -> None:
    """Decompress the four archives of a folder into another.

    Raises:
        UserError: an archive is missing or damaged.
    """
    raw.mkdir(exist_ok=True)
    for archive in (folder / f"{name}.gz" for name in FILES):
        try:
            with gzip.open(archive) as packed, (raw / archive.stem).open("wb") as file:
                shutil.copyfileobj(packed, file)
        except (FileNotFoundError, gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise UserError(f"{archive}: is missing or damaged ({error})") from error


def read(raw: Path) -> Arrays:
    """The contents of the four files: images (samples, 28, 28, 1) and labels (samples,)."""
    from torchvision.datasets import mnist

    try:
        train_images, train_labels, test_images, test_labels = (
            (mnist.read_image_file if "images" in name else mnist.read_label_file)(str(raw / name)).numpy()
            for name in FILES
        )
    except (OSError, AssertionError, IndexError, KeyError, RuntimeError, ValueError) as error:
        raise UserError(f"{raw}: is damaged ({error!r}); delete it and run again to fetch it anew") from error
    return Arrays(
        train_images[..., None], train_labels.astype(np.uint8), test_images[..., None], test_labels.astype(np.uint8)
    )


def _fetch_one(urls: list[str], md5: str, path: Path) -> None:
    reasons = []
    for url in urls:
        try:
            download(url, path)
        except Unreachable as error:
            reasons.append(str(error))
            continue
        found = hashlib.md5(path.read_bytes()).hexdigest()
        if found == md5:
            return
        reasons.append(f"{url} is another file (md5 {found}, expected {md5})")
    raise Unreachable("; ".join(reasons))


def _nowhere(name: str, data_dir: Path, reasons: str) -> str:
    remedy = f", or install Debian's {DEBIAN_PACKAGE}" if name == "FashionMNIST" else ""
    return (
        f"{name} is not in {data_dir} and cannot be fetched ({reasons}): put the files {', '.join(FILES)} into its "
        f"folder {name}/raw{remedy}"
    )
