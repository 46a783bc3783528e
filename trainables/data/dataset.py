"""A map-style data set of one's own, such as a torch.utils.data.Dataset."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import default_collate

from trainables.data.loading.held_objects import HeldObjects
from trainables.data.loading.samples import Dataset, Samples
from trainables.errors import require
from trainables.nested import Nested, tensors_of


@dataclass(frozen=True, eq=False, repr=False)
class DatasetData(HeldObjects):
    """Samples of data sets that have a length and give a sample for each number below it.

    A sample is a tuple whose last entry is the target, (image, label) or (question, context, answer), or a mapping in
    which `targets` names it, as Hugging Face's data sets give. What remains are the model's arguments, in a mapping by
    name. What a data set draws at random while it makes a sample is drawn from the sample's own key, so results do not
    depend on how a batch is split. Samples are read one after the other in the training process.

        data = DatasetData(train=my_dataset, validation=my_other_dataset)

    The data sets travel with every run to its workers; large ones should hold paths rather than contents.

    Attributes:
        train: what is trained on.
        validation: what runs are judged by.
        test: reported at the end of a run; the validation set where it is None.
        classes: number of labels, where the targets are class numbers; None for other targets.
        targets: the name of the targets in samples that are mappings.
        collate: makes a batch of a list of samples.

    Raises:
        UserError: what has no length or no samples.
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
            mapped = callable(getattr(dataset, "__len__", None)) and callable(getattr(dataset, "__getitem__", None))
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
        """Of one sample of the first tensor among the inputs."""
        return tuple(tensors_of(self.example(1)[0])[0].shape[1:])

    def load(self, data_dir: Path) -> Samples:
        """The data sets; data_dir is not used."""
        test = self.validation if self.test is None else self.test
        return Samples(self.train, self.validation, test, self.targets, self.collate)

    def example(self, samples: int) -> tuple[Nested, Nested]:
        """The first training samples, again and again where there are fewer.

        Raises:
            UserError: samples of another kind than described above.
        """
        numbers = [number % self.train_samples for number in range(samples)]
        return self.load(Path()).read(self.train, numbers, numbers, torch.float32)
