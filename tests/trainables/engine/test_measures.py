"""Measures during and after a run: what they report, and that training does not depend on them."""

from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from torch import nn

from tests.trainables.engine.test_run import TASK, run, weights
from tests.trainables.engine.test_two_workers import TEXT
from trainables import Recipe, UserError, train
from trainables.engine.run import Run
from trainables.loss import Loss
from trainables.measure import Batches, Tracked


@dataclass(frozen=True)
class Norm:
    """The norm of the weights, after it has drawn numbers, changed a running mean, and read the data."""

    name: str = "norm"

    def __call__(self, model: nn.Module, batches: Batches, loss: Loss) -> float:
        assert not model.training
        for inputs, _ in batches():
            model(inputs + torch.rand(1) if inputs.is_floating_point() else inputs)
        squares = sum(float(each.detach().square().sum()) for each in model.parameters())
        for buffer in model.buffers():
            buffer.zero_()
        return squares**0.5


@dataclass(frozen=True)
class Several:
    """Three numbers."""

    name: str = "several"

    def __call__(self, model: nn.Module, batches: Batches, loss: Loss) -> tuple[float, ...]:
        return (3.0, 1.0, 2.0)


def test_tracked_numbers_are_of_the_steps_they_were_taken_before() -> None:
    """Ten steps an epoch; until 14 leaves out the last ones."""
    task = replace(TASK, tracked=(Tracked(Norm(), every=4, until=14),))
    reports = [found for trained in [run(task)] for found in (trained.train_epoch(), trained.train_epoch())]
    assert [[at for at, _ in report.series["norm"]] for report in reports] == [[0, 4, 8], [12]]
    first = reports[0].series["norm"][0][1]
    fresh = run(TASK)
    assert first == pytest.approx(sum(float(each.square().sum()) for each in fresh.model.parameters()) ** 0.5)
    history = train(task, Recipe(), 20, 0.05, device="cpu")
    assert [at for at, _ in history.series["norm"]] == [0, 4, 8, 12]


def test_training_is_the_same_with_and_without() -> None:
    found = []
    for task in (TASK, replace(TASK, tracked=(Tracked(Norm(), every=1),))):
        trained = run(task, Recipe(norm_batch_size=10))
        trained.train_epoch()
        found.append(weights(trained))
    assert torch.equal(*found)


def test_a_language_model_goes_on_as_if_nothing_was_measured() -> None:
    """Its layers carry a state along their streams, which a pass over the data begins anew."""
    found = []
    for task in (TEXT, replace(TEXT, tracked=(Tracked(Norm(), every=1),))):
        trained = Run(task, Recipe(), task.data.load(Path()), 32, 0.05, seed=5)
        trained.train_epoch()
        found.append(weights(trained))
    assert torch.equal(*found)


def test_a_measure_of_several_numbers_reports_them_in_order_at_the_end() -> None:
    history = train(replace(TASK, measures=(Several(), Norm())), Recipe(), 20, 0.05, device="cpu")
    assert [report.series for report in history.epochs] == [{}, {"several": [(0, 3.0), (1, 1.0), (2, 2.0)]}]
    assert history["norm"][-1] > 0
    assert "several" not in history.epochs[-1].values


@dataclass(frozen=True)
class Whole:
    """A number that is no float."""

    name: str = "whole"

    def __call__(self, model: nn.Module, batches: Batches, loss: Loss) -> torch.Tensor:
        return torch.tensor(3)


def test_a_number_of_any_type_is_reported_and_several_are_refused_during_training() -> None:
    task = replace(TASK, measures=(Whole(),), tracked=(Tracked(Norm(), every=100),))
    assert train(task, Recipe(), 20, 0.05, device="cpu")["whole"][-1] == 3.0
    with pytest.raises(UserError, match="tracked measure several: gave 3 numbers; must give one"):
        run(replace(TASK, tracked=(Tracked(Several(), every=1),))).train_epoch()
    for name in ("series", "peak_learning_rate"):
        with pytest.raises(UserError, match=f"{name} would be reported twice"):
            replace(TASK, measures=(Norm(name),))


def test_one_name_for_two_measures_is_refused() -> None:
    with pytest.raises(UserError, match="norm would be reported twice"):
        replace(TASK, measures=(Norm(),), tracked=(Tracked(Norm(), every=1),))
    with pytest.raises(UserError, match="Tracked every 0: must be a whole number of steps"):
        Tracked(Norm(), every=0)
    with pytest.raises(UserError, match="Tracked until 0"):
        Tracked(Norm(), every=1, until=0)
