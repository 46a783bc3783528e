"""Folders of images by description: what they hold, and what is refused in one line."""

import shutil
from pathlib import Path

from tests.trainables.data.helpers import description, refused
from trainables.data import ImageFolder


def test_fewer_images_than_there_are_keep_the_classes_balanced(pictures: Path) -> None:
    data = description(pictures, 9, 6).load(Path())
    assert data.train.labels.tolist() == [0] * 3 + [1] * 3 + [2] * 3
    assert data.validation.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert len(set(data.train.paths)) == 9


def test_more_images_than_there_are_are_refused(pictures: Path) -> None:
    assert f"{pictures / 'train'}: has 24 images, fewer than the 25 asked for" in refused(
        description(pictures, 25), Path()
    )
    assert "val: has 12 images, fewer than the 13 asked for" in refused(description(pictures, 24, 13), Path())


def test_other_classes_than_asked_for_are_refused(pictures: Path) -> None:
    assert "has 3 classes, classes asks for 1,000" in refused(ImageFolder(str(pictures)), Path())
    shutil.rmtree(pictures / "val" / "red")
    assert "train has 3 classes and val 2" in refused(description(pictures), Path())


def test_a_missing_folder_names_the_remedy(tmp_path: Path, pictures: Path) -> None:
    message = refused(ImageFolder(), tmp_path)
    for words in (str(tmp_path / "imagenet" / "train"), "train/CLASS/*.jpg", "image-net.org", "--data DIR"):
        assert words in message
    for path in (pictures / "train" / "red").iterdir():
        path.unlink()
    assert "red" in refused(description(pictures), Path())


def test_a_folder_says_what_it_holds(pictures: Path) -> None:
    there = ImageFolder(size=16, train_samples=10).at(pictures)
    assert there == description(pictures, 10, 12)
    assert there.input_shape == (3, 16, 16)
