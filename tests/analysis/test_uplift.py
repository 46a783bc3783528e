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
from analysis.uplift_report import comparisons
from tests.analysis.constructed import BASELINE, SMALL, diverged, done
from tests.analysis.test_answer import DESIGN, FALLS_SHORT
from tests.analysis.test_recommend import RECIPE, stored

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


def test_as_many_runs_of_each_are_the_first_ones() -> None:
    """At the baseline's batch size, and where a technique has no run, all are kept."""
    larger = [Group(name, 64) for name in ("t", "wider", "lost")]
    design = replace(DESIGN, groups=(SMALL, WIDER, *larger), rules={}, learning_rates=(0.01, 0.9))
    runs = [*OUTCOMES, *around(larger[0], 0.3), *around(larger[1], 0.9)[:4]]
    failed = done(larger[1], 0.1, 0.9)._replace(status="failed")
    kept = as_many_of_each(replace(design, groups=design.groups[:4]), [*runs, failed])
    assert failed not in kept
    assert [run for run in kept if run.group.batch_size == 32] == OUTCOMES
    for group in larger[:2]:
        assert [run for run in kept if run.group == group] == [run for run in runs if run.group == group][:4]
    assert as_many_of_each(design, runs) == runs, "the third has no run at 64"


def test_the_report_compares_from_as_many_runs_where_one_has_more() -> None:
    larger = (Group("t", 64), Group("wider", 64))
    design = replace(DESIGN, groups=(SMALL, WIDER, *larger), rules={}, learning_rates=(0.01, 0.9))
    more = [*OUTCOMES[: -len(FALLS_SHORT)], *around(larger[0], 0.2), *around(larger[0], 0.2), *around(larger[1], 0.4)]
    told = "\n".join(comparisons(stored(design, more, RECIPE), answer(design, more)))
    assert "wider against t at batch size 64, from as many runs of each: its edge is 2" in told
    assert "at batch size 32, from as many" not in told
    assert "Largest scalable batch size, from as many runs of each: t 64, wider 64." in told
    even = [*OUTCOMES[: -len(FALLS_SHORT)], *around(larger[0], 0.2), *around(larger[1], 0.4)]
    assert "from as many" not in "\n".join(comparisons(stored(design, even, RECIPE), answer(design, even)))


def test_one_technique_is_compared_with_none() -> None:
    design = replace(DESIGN, groups=(SMALL,), rules={})
    assert uplifts(answer(design, [*BASELINE, *around(SMALL, 0.2)]), FRAME) == []
    assert uplifts(answer(design, []), FRAME) == []
