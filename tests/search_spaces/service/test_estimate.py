"""The estimate of a run's time counts everything that a run does, on a few samples."""

import time
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import nn

from search_spaces.digits_cnn import BUDGETS
from search_spaces.service.cluster import Allotment
from search_spaces.service.estimate import LARGEST_PROBE, seconds_per_run
from trainables.loss import Loss
from trainables.measure import Batches
from trainables.on_ray.worker_group import GroupSize

HERE = Allotment(GroupSize(), 1, 1)


@dataclass(frozen=True)
class Counted:
    """Notes the numbers of samples that it is called with."""

    samples: list[int]
    name: str = "counted"

    def __call__(self, model: nn.Module, batches: Batches, loss: Loss) -> float:
        self.samples.extend(len(targets) for _, targets in batches())
        return 0.0


def test_measures_are_tried_once_on_a_few_samples() -> None:
    counted = Counted([])
    study = BUDGETS["layerwise"]
    task = replace(study.task, measures=(counted,))
    seconds = seconds_per_run(replace(study, task=task), HERE)
    assert seconds is not None
    assert seconds > 0
    (samples,) = counted.samples
    assert 2 <= samples <= LARGEST_PROBE


class Slow(nn.Linear):
    """A model whose calls take as long for a few samples as for many; it notes how many it is called with."""

    sizes: ClassVar[set[int]] = set()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        time.sleep(0.02)
        self.sizes.add(len(images))
        return super().forward(images.flatten(1))


def test_large_batches_are_tried_themselves_where_small_ones_are_slow() -> None:
    study = BUDGETS["quick"]
    task = replace(study.task, model=lambda: Slow(study.task.data.example(1)[0].numel(), 10), measures=())
    seconds = seconds_per_run(replace(study, task=task, batch_sizes=(LARGEST_PROBE, 512)), HERE)
    assert LARGEST_PROBE in Slow.sizes
    by_two = task.epochs * task.data.train_samples * 0.02 / 2
    assert seconds is not None
    assert seconds < by_two / 4


def test_what_cannot_be_tried_has_no_estimate() -> None:
    study = BUDGETS["quick"]
    assert seconds_per_run(replace(study, task=replace(study.task, model=lambda: nn.Linear(3, 10))), HERE) is None
