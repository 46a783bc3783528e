"""Uplift on constructed outcomes: a technique whose edges lie a known factor higher, one that holds nowhere."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from analysis.answer import answer
from analysis.edge import other_order
from analysis.outcomes import Group, Outcome
from analysis.uplift import as_many_of_each, uplifts
from tests.analysis.constructed import BASELINE, SMALL, diverged, done
from tests.analysis.test_answer import DESIGN, FALLS_SHORT

WIDER, STARVED, LOST = Group("wider", 32), Group("starved", 32), Group("lost", 32)
GROUPS = (SMALL, WIDER, STARVED, LOST)
HIGHER = 3.0


def around(group: Group, edge: float) -> list[Outcome]:
    held = [done(group, share * edge, 0.92, seed) for share in (0.5, 0.75, 0.95) for seed in (1, 2)]
    return [*held, *(diverged(group, share * edge, seed) for share in (1.05, 1.5) for seed in (1, 2))]


OUTCOMES = [
    *BASELINE,
    *around(SMALL, 0.2),
    *around(WIDER, 0.2 * HIGHER),
    *(run._replace(group=LOST) for run in FALLS_SHORT),
]
FRAME = pd.DataFrame(
    {
        "technique": run.group.technique,
        "batch_size": run.group.batch_size,
        "status": run.status,
        "samples": 1000.0,
        "train_seconds": 2.0 if run.group == WIDER else 1.0,
    }
    for run in OUTCOMES
)


def test_a_technique_is_compared_with_the_first_at_the_same_batch_size() -> None:
    rules = {"linear": (1.0,) * len(GROUPS)}
    design = replace(DESIGN, groups=GROUPS, rules=rules, learning_rates=(0.01, 0.9))
    wider, lost = uplifts(answer(design, OUTCOMES), FRAME)
    assert (wider.technique, wider.batch_size, lost.technique) == ("wider", 32, "lost")
    assert wider.lower < HIGHER < wider.upper
    assert wider.factor == pytest.approx(HIGHER, rel=0.15)
    assert wider.higher > 0.95
    assert wider.score == pytest.approx(0.0, abs=0.01)
    assert wider.cost == pytest.approx(2.0)
    assert (lost.factor, lost.lower, lost.upper) == (None, None, None)
    assert lost.higher < 0.05
    assert -0.06 < lost.score < -0.02
    assert math.isnan(uplifts(answer(design, OUTCOMES), FRAME.iloc[:0])[0].cost)


def test_the_error_of_a0_is_the_same_for_both() -> None:
    """So the factor of two equal sets of runs that decline slowly is known better than either edge."""
    noisy = [done(SMALL, 0.05, 0.9 + (-1) ** seed * 0.012, seed) for seed in range(10)]
    slope = [(0.1, 0.898), (0.14, 0.894), (0.2, 0.888), (0.28, 0.88), (0.4, 0.86)]
    runs = [*noisy, *(done(group, *each, seed) for group in (SMALL, WIDER) for each in slope for seed in (1, 2))]
    design = replace(DESIGN, groups=(SMALL, WIDER), rules={}, learning_rates=(0.01, 0.9), tolerance=0.012)
    found = answer(design, runs)
    one, other = (each.belief.edges for each in found.groups)
    assert found.groups[0].fit == found.baseline.fit
    both = np.isfinite(one[other_order(len(one))]) & np.isfinite(other)
    assert np.corrcoef(one[other_order(len(one))][both], other[both])[0, 1] > 0.2
    (told,) = uplifts(found, FRAME)
    assert told.lower < 1 < told.upper


def test_as_many_runs_of_each_are_the_first_ones_but_for_the_baseline() -> None:
    design = replace(DESIGN, groups=GROUPS, rules={}, learning_rates=(0.01, 0.9))
    kept = as_many_of_each(design, [*OUTCOMES, failed := done(STARVED, 0.1, 0.9)._replace(status="failed")])
    assert failed not in kept
    assert [run for run in kept if run.group == SMALL] == [run for run in OUTCOMES if run.group == SMALL]
    assert not any(run.group in (WIDER, LOST) for run in kept), "one technique has no run there"
    design = replace(design, groups=(SMALL, WIDER, LOST))
    kept = as_many_of_each(design, OUTCOMES)
    count = len(FALLS_SHORT)
    for group in (WIDER, LOST):
        mine = [run for run in OUTCOMES if run.group == group]
        assert [run for run in kept if run.group == group] == mine[: min(count, 10)]


def test_one_technique_is_compared_with_none() -> None:
    design = replace(DESIGN, groups=(SMALL,), rules={})
    assert uplifts(answer(design, [*BASELINE, *around(SMALL, 0.2)]), FRAME) == []
    assert uplifts(answer(design, []), FRAME) == []
