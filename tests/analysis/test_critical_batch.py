"""Times to a score, by hand; and the critical batch size of synthetic studies, which is known."""

import math

import numpy as np
import pandas as pd
import pytest

from analysis.critical_batch import at_overhead, critical_batch
from analysis.outcomes import Group
from analysis.time_to_target import NEVER, Fastest, Measured, Reached, fastest, speed_ups, time_to_score
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


RUNS = {"a": (0.1, [0.5, 0.6, 0.7]), "b": (0.2, [0.6, 0.7, 0.7]), "c": (0.4, [0.1, 0.1, 0.1])}
FRAME = pd.DataFrame(
    [
        {"run_id": f"{name}{size}", "technique": "t", "batch_size": size, "learning_rate": rate, "status": "done"}
        for size in (32, 64)
        for name, (rate, _) in RUNS.items()
    ]
)
CURVES = {f"{name}{size}": curve(scores, 320 // size, size) for size in (32, 64) for name, (_, scores) in RUNS.items()}


def test_the_fastest_rate_is_the_one_with_the_fewest_samples() -> None:
    small, large = fastest(FRAME, CURVES, Accuracy(), 0.65)
    assert (small.learning_rate, small.runs[0].known, small.plateau) == (0.2, "exactly", 2)
    assert small.reached.epochs == pytest.approx(1.5)
    assert large.group == Group("t", 64)
    assert speed_ups([small, large], small) == pytest.approx([1.0, 2.0])
    (never, _) = fastest(FRAME, CURVES, Accuracy(), 0.9)
    assert (never.reached, never.runs[0].known) == (NEVER, "more")
    assert never.runs[0].log == pytest.approx(math.log(960))
    assert speed_ups([never], small) == [0.0]
    assert fastest(FRAME, CURVES, Accuracy(), 0.55)[0].runs[0].known == "at most", "in its first epoch"
    assert fastest(FRAME, {}, Accuracy(), 0.65) == [], "older stores hold no samples and seconds"


def test_a_run_that_failed_says_nothing_and_the_rate_that_more_runs_reach_it_at_counts() -> None:
    failed = pd.DataFrame([{**FRAME.iloc[1], "run_id": "failed", "status": "failed"}])
    curves = {**CURVES, "failed": curve([0.1]), "missed": curve([0.1, 0.1, 0.1])}
    small, _ = fastest(pd.concat([FRAME, failed]), curves, Accuracy(), 0.65)
    assert (small.learning_rate, len(small.runs)) == (0.2, 1)
    missed = pd.DataFrame([{**FRAME.iloc[1], "run_id": "missed"}])
    small, _ = fastest(pd.concat([FRAME, missed]), curves, Accuracy(), 0.65)
    assert small.learning_rate == 0.1, "all of whose runs reach it"


def synthetic(critical: float, scatter: float, generator: np.random.Generator) -> list[Fastest]:
    """Batch sizes 16 to 2,048 with two runs each, 20 epochs of 50,000 samples long; the smallest takes five."""
    points = []
    for size in 16 * 2 ** np.arange(8):
        samples = 250_000 * (1 + size / critical) / (1 + 16 / critical) * np.exp(scatter * generator.standard_normal(2))
        runs = tuple(Measured(math.log(min(value, 1e6)), "exactly" if value <= 1e6 else "more") for value in samples)
        points.append(Fastest(Group("t", int(size)), 0.1, Reached(1.0, 1.0, float(np.mean(samples)), 1.0), 1.0, runs))
    return points


@pytest.mark.parametrize("scatter", [(0.02, 0.05), (0.05, 0.15)])
@pytest.mark.parametrize("range_of_critical", [(4, 64), (64, 4096)])
def test_its_interval_covers_the_known_one(scatter: tuple[float, float], range_of_critical: tuple[int, int]) -> None:
    """Of 60 studies 54 are expected; 48 or fewer would come by chance in 3 % of such tests."""
    generator = np.random.default_rng(1)
    covered = 0
    for _ in range(60):
        critical = float(np.exp(generator.uniform(*map(math.log, range_of_critical))))
        found = critical_batch(synthetic(critical, generator.uniform(*scatter), generator))
        assert found is not None
        truth = min(at_overhead(16, critical), 2048)
        covered += found.lower <= truth <= (found.upper or math.inf)
    assert covered >= 48


def test_more_scatter_widens_it_and_a_range_that_ends_before_it_leaves_it_open() -> None:
    generator = np.random.default_rng(2)
    wide, narrow = (critical_batch(synthetic(512.0, scatter, generator)) for scatter in (0.2, 0.02))
    assert wide is not None
    assert narrow is not None
    assert wide.upper is not None
    assert narrow.upper is not None
    assert wide.upper / wide.lower > narrow.upper / narrow.lower
    beyond = critical_batch(synthetic(1e6, 0.05, generator))
    assert beyond is not None
    assert beyond.upper is None


def test_two_batch_sizes_or_a_smallest_one_that_says_nothing_say_nothing() -> None:
    points = synthetic(512.0, 0.05, np.random.default_rng(3))
    assert critical_batch(points[:2]) is None
    assert critical_batch(points[:3]) is not None
    for known in ("more", "at most"):
        silent = points[0]._replace(runs=(Measured(math.log(1e6), known),))
        assert critical_batch([silent, *points[1:]]) is None
