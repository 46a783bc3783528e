"""A user's own map-style data sets, such as a torch.utils.data.Dataset."""

from collections.abc import Callable, Sized
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import IterableDataset, default_collate

from trainables.data.loading.held_objects import HeldObjects
from trainables.data.loading.samples import Dataset, Samples
from trainables.errors import require
from trainables.nested import Nested, tensors_of


@dataclass(frozen=True, eq=False, repr=False)
class DatasetData(HeldObjects):
    """Samples of data sets that have a length and return a sample for each index below it.

    A sample is a tuple or a mapping. In a tuple the last entry is the target, as in (image, label) or (question,
    context, answer), and the other entries become the model's arguments. In a mapping, as from Hugging Face's data
    sets, `targets` names the target, and the other entries become the model's arguments by name. While a data set makes
    a sample, the random generators of Python, NumPy and PyTorch are seeded with the sample's own key, so results do not
    depend on how a batch is split. A generator that the data set keeps itself is not seeded. Samples are read one after
    the other in the training process.

        data = DatasetData(train=my_dataset, validation=my_other_dataset)

    The data sets are sent to the workers with every run, so large ones should hold paths instead of contents.

    Attributes:
        train: the data set to train on.
        validation: the data set that runs are judged on.
        test: the data set that is evaluated at the end of a run; the validation set where it is None.
        classes: number of classes where the targets are class numbers; None for other targets.
        targets: the name of the targets in samples that are mappings.
        collate: a function that makes a batch from a list of samples.

    Raises:
        UserError: a data set has no length, cannot be indexed or has no samples.
    """

    train: Dataset
    validation: Dataset
    test: Dataset | None = None
    classes: int | None = None
    targets: str = "labels"
    collate: Callable[[list[Any]], Any] = default_collate

    def __post_init__(self) -> None:
        for name in ("train", "validation", "test"):
            dataset = getattr(self, name)
            if dataset is None and name == "test":
                continue
            kind = type(dataset).__name__
            mapped = isinstance(dataset, Sized) and not isinstance(dataset, IterableDataset)
            require(
                mapped,
                f"DatasetData {name} {kind}: must have a length and a sample for each number, which an iterable-style "
                "data set has not",
            )
            require(len(dataset) > 0, f"DatasetData {name} {kind}: is empty; it must have at least one sample")

    def __repr__(self) -> str:
        sets = {"train": self.train, "validation": self.validation, "test": self.test}
        shown = (f"{name}=<{type(each).__name__} of {len(each)}>" for name, each in sets.items() if each is not None)
        classes = "" if self.classes is None else f", classes={self.classes}"
        return f"DatasetData({', '.join(shown)}{classes})"

    @property
    def train_samples(self) -> int:
        return len(self.train)

    @property
    def validation_samples(self) -> int:
        return len(self.validation)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of one sample in the first tensor of the inputs."""
        return tuple(tensors_of(self.example(1)[0])[0].shape[1:])

    def load(self, data_dir: Path) -> Samples:
        """The data sets; data_dir is not used."""
        test = self.validation if self.test is None else self.test
        return Samples(self.train, self.validation, test, self.targets, self.collate, self.classes)

    def example(self, samples: int) -> tuple[Nested, Nested]:
        """Inputs and targets of a few training samples.

        Raises:
            UserError: samples of another kind than described above.
        """
        numbers = self.example_numbers(samples)
        return self.load(Path()).read(self.train, numbers, numbers, torch.float32)
