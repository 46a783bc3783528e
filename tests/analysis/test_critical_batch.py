"""Times to a score, by hand; and the critical batch size of synthetic studies, which is known."""

import math

import numpy as np
import pandas as pd
import pytest

from analysis.critical_batch import OVERHEAD, critical_batch
from analysis.outcomes import Group
from analysis.time_to_target import NEVER, Fastest, Reached, fastest, speed_ups, time_to_plateau, time_to_score
from trainables.metric import Accuracy, Perplexity


def curve(accuracies: list[float], steps: int = 10, batch_size: int = 32, seconds: float = 2.0) -> pd.DataFrame:
    epochs = np.arange(1, 1 + len(accuracies))
    return pd.DataFrame(
        {
            "validation_accuracy": accuracies,
            "validation_loss": [1.0] * len(accuracies),
            "steps": steps * epochs,
            "samples": steps * batch_size * epochs,
            "train_seconds": seconds * epochs,
        },
        index=epochs,
    )


def test_a_score_between_two_epochs_is_reached_between_them() -> None:
    found = time_to_score(curve([0.5, 0.7, 0.6, 0.9]), Accuracy(), 0.65)
    assert found == pytest.approx(Reached(1.75, 17.5, 560, 3.5))
    assert time_to_score(curve([0.5, 0.7]), Accuracy(), 0.4).epochs == 1
    assert time_to_score(curve([0.5, 0.7]), Accuracy(), 0.71) == NEVER
    assert time_to_score(curve([0.5]).assign(validation_loss=3.0), Perplexity(), -3.0).epochs == 1


def test_a_plateau_is_a_runs_own() -> None:
    assert time_to_plateau(curve([0.3, 0.795, 0.79, 0.80]), Accuracy()) == Reached(2, 20, 640, 4)


def test_the_fastest_rate_is_the_one_with_the_fewest_samples() -> None:
    runs = {"a": (0.1, [0.5, 0.6, 0.7]), "b": (0.2, [0.6, 0.7, 0.7]), "c": (0.4, [0.1, 0.1, 0.1])}
    frame = pd.DataFrame(
        [
            {"run_id": name, "technique": "t", "batch_size": size, "learning_rate": rate, "setting": ()}
            for size in (32, 64)
            for name, (rate, _) in runs.items()
        ]
    ).assign(run_id=lambda rows: rows["run_id"] + rows["batch_size"].astype(str))
    curves = {
        f"{name}{size}": curve(scores, 320 // size, size) for size in (32, 64) for name, (_, scores) in runs.items()
    }
    small, large = fastest(frame, curves, Accuracy(), 0.65)
    assert (small.learning_rate, small.runs) == (0.2, 1)
    assert small.reached.epochs == pytest.approx(1.5)
    assert large.group == Group("t", 64)
    assert speed_ups([small, large], small) == pytest.approx([1.0, 2.0])
    (never, _) = fastest(frame, curves, Accuracy(), 0.9)
    assert never.reached == NEVER
    assert speed_ups([never], small) == [0.0]
    assert fastest(frame, {}, Accuracy(), 0.65) == [], "older stores hold no samples and seconds"


def synthetic(critical: float, scatter: float, generator: np.random.Generator) -> list[Fastest]:
    """Batch sizes 16 to 2,048 with two runs each, 20 epochs of 50,000 samples long; the smallest takes five."""
    points = []
    for size in 16 * 2 ** np.arange(8):
        samples = 250_000 * (1 + size / critical) / (1 + 16 / critical) * np.exp(scatter * generator.standard_normal(2))
        logs = tuple(math.log(value) if value <= 1e6 else math.inf for value in samples)
        reached = Reached(1.0, 1.0, float(np.mean(samples)), 1.0)
        points.append(Fastest(Group("t", int(size)), 0.1, reached, 2, logs, math.log(1e6)))
    return points


def test_its_interval_covers_the_known_one() -> None:
    generator = np.random.default_rng(1)
    covered, finite = [], 0
    for _ in range(200):
        critical, scatter = (
            float(np.exp(generator.uniform(math.log(32), math.log(4096)))),
            generator.uniform(0.02, 0.15),
        )
        truth = min(OVERHEAD * critical + (1 + OVERHEAD) * 16, 2048)
        found = critical_batch(synthetic(critical, scatter, generator))
        assert found is not None
        finite += found.upper is not None
        covered.append(found.lower <= truth <= (found.upper or math.inf))
    assert np.mean(covered) >= 0.88
    assert finite > 150, "and it is an interval with two ends where the batch sizes bound it"


def test_more_runs_narrow_it() -> None:
    generator = np.random.default_rng(2)
    few, many = (critical_batch(synthetic(512.0, scatter, generator)) for scatter in (0.2, 0.02))
    assert few is not None
    assert many is not None
    assert few.upper is not None
    assert many.upper is not None
    assert many.upper / many.lower < few.upper / few.lower


def test_one_batch_size_or_a_target_that_the_smallest_misses_say_nothing() -> None:
    points = synthetic(512.0, 0.05, np.random.default_rng(3))
    assert critical_batch(points[:1]) is None
    assert critical_batch([points[0]._replace(logs=(math.inf,)), *points[1:]]) is None
