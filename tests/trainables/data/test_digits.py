"""The digits: splits without overlap, normalised."""

from pathlib import Path

import pytest
import torch

from trainables.data import Digits
from trainables.data.loading.images import normalise


def test_digits_split_into_disjoint_parts() -> None:
    images = Digits(train_samples=1000, validation_samples=500).load(Path())
    assert [len(split.labels) for split in (images.train, images.validation, images.test)] == [1000, 500, 297]
    inputs = normalise(images.train.images, images.mean, images.std, torch.float64)
    assert inputs.mean().item() == pytest.approx(0, abs=0.02)
    assert inputs.std().item() == pytest.approx(1, abs=0.02)
