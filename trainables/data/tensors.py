"""A user's own tensors, of any shape and type, as a data set."""

from dataclasses import dataclass
from pathlib import Path

import torch

from trainables.data.loading.held_objects import HeldObjects
from trainables.data.loading.tensors import Pair, Tensors
from trainables.errors import require
from trainables.nested import Nested, described, map_tensors, on, only_tensors, tensors_of


@dataclass(frozen=True, eq=False, repr=False)
class TensorData(HeldObjects):
    """Tensors that are already in memory.

    Each split is a pair of inputs and targets. Each of the two is a tensor, or a tuple, list or mapping of tensors, and
    the first dimension of every tensor counts samples. Inputs in a tuple or list become the model's arguments, inputs
    in a mapping its arguments by name. Floating-point tensors are converted to the run's precision; others stay as they
    are.

    Example, regression of four numbers:
        >>> x = torch.linspace(0, 1, 8)[:, None]
        >>> data = TensorData(train=(x[:6], 2 * x[:6]), validation=(x[6:], 2 * x[6:]))
        >>> data.train_samples, data.input_shape, data.classes
        (6, (1,), None)

    The tensors are sent to the workers with every run. For gigabytes of data, subclass Data and read them in `load`.

    Attributes:
        train: the split to train on.
        validation: the split that runs are judged on.
        test: the split that is evaluated at the end of a run; the validation split where it is None.
        classes: number of classes where the targets are class numbers; None for other targets.

    Raises:
        UserError: a split is not a pair, is empty, or has tensors with different numbers of samples.
    """

    train: tuple[Nested, Nested]
    validation: tuple[Nested, Nested]
    test: tuple[Nested, Nested] | None = None
    classes: int | None = None

    def __post_init__(self) -> None:
        kinds = {}
        for name in ("train", "validation", "test"):
            split = getattr(self, name)
            if split is None and name == "test":
                continue
            pair = isinstance(split, tuple | list) and len(split) == 2
            require(pair, f"TensorData {name}: must be a pair of inputs and targets, is {described(split)}")
            require(
                only_tensors(split),
                f"TensorData {name} {described(split)}: must hold tensors alone; torch.as_tensor makes one of an array",
            )
            sizes = {len(each) if each.ndim else 0 for each in tensors_of(split)}
            require(
                len(sizes) == 1 and 0 not in sizes,
                f"TensorData {name} {described(split)}: the first dimension of every tensor must count the same "
                "samples, at least one",
            )
            kinds[name] = described(map_tensors(lambda each: each[:1], tuple(split)))
            require(
                kinds[name] == kinds["train"],
                f"TensorData {name}: a sample is {kinds[name]}, but of train {kinds['train']}; they must be alike",
            )
            self._check_labels(name, split[1])

    def _check_labels(self, name: str, targets: Nested) -> None:
        """Refuse labels that are no numbers of the classes."""
        if self.classes is not None and isinstance(targets, torch.Tensor):
            low, high = targets.min().item(), targets.max().item()
            require(
                low >= 0 and high < self.classes,
                f"TensorData {name}: has labels from {low:g} to {high:g}; classes are 0 to {self.classes - 1}",
            )

    def __repr__(self) -> str:
        test = "" if self.test is None else f", test={described(self.test)}"
        classes = "" if self.classes is None else f", classes={self.classes}"
        return f"TensorData(train={described(self.train)}, validation={described(self.validation)}{test}{classes})"

    @property
    def train_samples(self) -> int:
        return Pair(*self.train).samples

    @property
    def validation_samples(self) -> int:
        return Pair(*self.validation).samples

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of one sample in the first tensor of the inputs."""
        return tuple(tensors_of(self.train[0])[0].shape[1:])

    def load(self, data_dir: Path) -> Tensors:
        """The tensors; data_dir is not used."""
        return Tensors(Pair(*self.train), Pair(*self.validation), Pair(*(self.test or self.validation)))

    def example(self, samples: int) -> tuple[Nested, Nested]:
        numbers = torch.tensor(self.example_numbers(samples))
        inputs, targets = on(torch.device("cpu"), torch.float32, tuple(Pair(*self.train).some(numbers)))
        return inputs, targets
