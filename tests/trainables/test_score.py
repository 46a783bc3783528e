"""Scores of metrics of one's own, and metrics as studies write them down."""

import json
import math
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from trainables.metric import Accuracy, MeanSquaredError, Metric, Perplexity, read, written
from trainables.score import Quantity


@dataclass(frozen=True)
class SharedPixels(Metric):
    """A share of one's own: more is better."""

    def total(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return (outputs.round() == targets).sum()


def test_a_metric_of_ones_own_is_called_as_its_class() -> None:
    assert SharedPixels().name == SharedPixels().reported == "shared_pixels"
    assert MeanSquaredError().name == "mean_squared_error"
    assert SharedPixels().report("validation", 0.5, 0.25) == {"validation_shared_pixels": 0.25}


def test_where_more_is_better_the_mean_is_the_score() -> None:
    metric = SharedPixels()
    assert (metric.score(loss=9.0, mean=0.75), metric.value(0.75), metric.show(0.75)) == (0.75, 0.75, "0.75")
    assert metric.show_difference(0.5) == "0.5", "a plain number, whatever it counts"
    assert Accuracy().show_difference(0.015) == "1.5 points"


def test_where_less_is_better_a_tolerance_is_a_share_of_the_mean() -> None:
    metric = MeanSquaredError()
    score = metric.score(loss=9.0, mean=0.02)
    assert metric.value(score) == pytest.approx(0.02)
    assert metric.value(score - 0.01) == pytest.approx(0.02 * math.exp(0.01))
    assert metric.score(9.0, 0.01) > score
    assert math.isfinite(metric.score(9.0, 0.0)), "a perfect model has a finite score"
    assert metric.show_difference(0.01) == "1 %"
    assert metric.value(metric.score(9.0, 0.0)) == 0.0


def test_no_score_is_taken_to_repeat_exactly() -> None:
    for metric, score in ((SharedPixels(), 0.0), (SharedPixels(), 0.9), (MeanSquaredError(), 3.0)):
        assert metric.floor(score, samples=100) > 0


def test_every_metric_survives_json() -> None:
    """One of one's own is read back without its module: name, direction and scores are the same."""

    @dataclass(frozen=True)
    class Balanced(Accuracy):
        pass

    assert written(Balanced()) != written(Accuracy()), "a subclass is a metric of one's own"
    for metric in (Accuracy(), Accuracy(top=5), Perplexity()):
        assert read(json.loads(json.dumps(written(metric)))) == metric
    for metric in (SharedPixels(), MeanSquaredError()):
        again = read(json.loads(json.dumps(written(metric))))
        assert isinstance(again, Quantity)
        assert (again.name, again.lower_is_better, again.unit) == (metric.name, metric.lower_is_better, metric.unit)
        assert again.score(1.0, 0.3) == metric.score(1.0, 0.3)
        assert again.show(0.4) == metric.show(0.4)


def test_a_report_has_a_score_for_every_split() -> None:
    report = {"train_loss": 1.0, "train_accuracy": 0.5, "validation_loss": 2.0, "validation_accuracy": 0.4}
    assert Accuracy().score_of(report) == 0.4
    assert Accuracy().score_of(report, "train") == 0.5
    assert Perplexity().score_of(report) == -2.0


def test_the_total_is_a_sum_over_answers() -> None:
    outputs, targets = torch.tensor([[1.0], [2.0]]), torch.tensor([[1.0], [4.0]])
    assert MeanSquaredError().total(outputs, targets).item() == 4.0
    assert MeanSquaredError().answers(targets) == 2
