"""The estimate of a run's time counts everything that a run does, on a few samples."""

from dataclasses import dataclass, replace

from torch import nn

from search_spaces.digits_cnn import BUDGETS
from search_spaces.service.cluster import Allotment
from search_spaces.service.estimate import LARGEST_PROBE, seconds_per_run
from trainables.loss import Loss
from trainables.measure import Batches
from trainables.on_ray.worker_group import GroupSize

HERE = Allotment(GroupSize(), 1)


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


def test_what_cannot_be_tried_has_no_estimate() -> None:
    study = BUDGETS["quick"]
    assert seconds_per_run(replace(study, task=replace(study.task, model=lambda: nn.Linear(3, 10))), HERE) is None
