"""scikit-learn's 1,797 handwritten digits of 8 by 8 pixels, which need no download."""

from dataclasses import dataclass
from pathlib import Path

import torch

from trainables.data.loading.images import Images, Split
from trainables.data.loading.source import Data
from trainables.errors import require

_SAMPLES = 1797


@dataclass(frozen=True)
class Digits(Data):
    """The digits of scikit-learn in a fixed random order: first training, then validation, then test samples.

    Attributes:
        train_samples: number of samples to train on, at least 1.
        validation_samples: number of samples to judge on, at least 1; at least one sample must be left to test on.

    Raises:
        UserError: a size is below 1, or the sizes leave nothing of the 1,797 samples to test on.

    Source: Alpaydin and Kaynak 1998, UCI "Optical Recognition of Handwritten Digits".
    """

    train_samples: int = 1024
    validation_samples: int = 500

    def __post_init__(self) -> None:
        require(
            self.train_samples >= 1
            and self.validation_samples >= 1
            and self.train_samples + self.validation_samples < _SAMPLES,
            f"Digits train_samples {self.train_samples}, validation_samples {self.validation_samples}: each at least "
            f"1 and together below {_SAMPLES}",
        )

    @property
    def input_shape(self) -> tuple[int, int, int]:
        return (1, 8, 8)

    @property
    def classes(self) -> int:
        return 10

    def load(self, data_dir: Path) -> Images:
        """The splits; data_dir is not used, because the digits come with scikit-learn."""
        from sklearn.datasets import load_digits

        pixels, labels = load_digits(return_X_y=True)
        order = torch.randperm(_SAMPLES, generator=torch.Generator().manual_seed(0))
        images = (torch.from_numpy(pixels) * (255 / 16)).round().to(torch.uint8).view(-1, 1, 8, 8)[order]
        targets = torch.from_numpy(labels).long()[order]
        end = self.train_samples + self.validation_samples
        parts = [slice(0, self.train_samples), slice(self.train_samples, end), slice(end, _SAMPLES)]
        train, validation, test = (Split(images[part], targets[part]) for part in parts)
        return Images(train, validation, test, mean=(0.3053,), std=(0.3759,))
