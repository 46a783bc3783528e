"""Scores: more is better, whatever they count."""

import math

import pytest
import torch

from trainables import UserError
from trainables.metric import Accuracy, Perplexity, named


def test_right_answers_are_counted_among_the_highest_logits() -> None:
    logits = torch.tensor([[3.0, 2.0, 1.0, 0.0, -1.0, -2.0], [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]])
    labels = torch.tensor([0, 0])
    assert Accuracy().total(logits, labels).item() == 1
    assert Accuracy(top=5).total(logits, labels).item() == 1
    assert Accuracy(top=5).total(logits, torch.tensor([4, 1])).item() == 2
    assert Perplexity().total(logits[None], labels[None]).item() == 1  # a stream of two words


def test_perplexity_is_the_exponential_of_the_loss_and_its_tolerance_relative() -> None:
    metric = Perplexity()
    score = metric.score(math.log(115.91), mean=0.3)
    assert metric.show(score) == "115.91"
    assert metric.value(score - 0.01) == pytest.approx(115.91 * 1.01, rel=1e-4)
    assert metric.score(5.0, 0.0) > metric.score(6.0, 0.0)


def test_a_guess() -> None:
    assert Accuracy(top=5).guess(1000) == 0.005
    assert Accuracy(top=5).guess(3) == 1.0
    metric = Perplexity()
    assert metric.value(metric.score(math.log(10_000), metric.guess(10_000))) == pytest.approx(10_000)


def test_floors_shrink_with_the_samples() -> None:
    assert Accuracy().floor(0.5, 10_000) == pytest.approx(0.005)
    assert Accuracy().floor(1.0, 100) > 0, "a perfect score on 100 samples is not certain"
    for metric, score in ((Accuracy(), 0.7), (Perplexity(), -5.0)):
        assert metric.floor(score, 400) == pytest.approx(2 * metric.floor(score, 1600))


def test_metrics_are_found_by_name() -> None:
    for metric in (Accuracy(), Accuracy(top=3), Accuracy(top=5), Perplexity()):
        assert named(metric.name) == metric
    with pytest.raises(UserError, match="metric 'bleu': must be accuracy, topN_accuracy or perplexity"):
        named("bleu")
    with pytest.raises(UserError, match="Accuracy top 0: must be at least 1"):
        Accuracy(top=0)


def test_perplexities_beyond_all_bounds_stay_short() -> None:
    assert len(Perplexity().show(-1e30)) < 12
