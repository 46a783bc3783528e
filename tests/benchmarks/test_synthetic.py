"""The synthetic trainer is what its formula says, and its truth is that of its runs."""

import math

import numpy as np
import pytest

from analysis.outcomes import Group
from benchmarks.synthetic import BATCH_SIZES, CHANCE, EPOCHS, FAMILIES, QUICK, STANDARD, Scale, World, world

GROUPS = [Group("synthetic", size) for size in BATCH_SIZES]


def share_that_holds(the_world: World, group: Group, x: float, runs: int = 600) -> float:
    """The share of real runs that end at A0 - tolerance or better."""
    bar = the_world.a0 - the_world.tolerance
    return float(np.mean([the_world.train(group, 2.0**x, seed).curve[-1] >= bar for seed in range(runs)]))


@pytest.mark.parametrize("family", FAMILIES)
def test_half_of_the_runs_hold_at_the_true_edge_and_nine_in_ten_at_the_safe_rate(family: str) -> None:
    the_world, group = world(family, 1), GROUPS[1]
    edge = the_world.edge(group)
    if edge is None:
        assert family == "holds nowhere"
        return
    assert math.isfinite(edge)
    off = 0.02
    assert (
        share_that_holds(the_world, group, edge - off) >= 0.45 >= share_that_holds(the_world, group, edge + off) - 0.1
    )
    safe = the_world.edge(group, 0.9)
    if safe is not None:
        assert safe <= edge
        assert share_that_holds(the_world, group, safe - off) >= 0.87
        assert share_that_holds(the_world, group, safe + 0.1) <= 0.95


@pytest.mark.parametrize("scale", [STANDARD, QUICK])
def test_a0_is_the_median_of_the_baselines_runs_at_its_best_rate(scale: Scale) -> None:
    the_world, group = world("power law", 2, scale), GROUPS[0]
    assert scale.deviation[0] <= the_world.deviation <= scale.deviation[1]
    medians = [
        np.median([the_world.train(group, 2.0**x, seed).curve[-1] for seed in range(400)])
        for x in np.arange(-8, 0, 0.25)
    ]
    assert max(medians) == pytest.approx(the_world.a0, abs=0.2 * scale.tolerance)


def test_two_humps_fall_below_the_bar_in_between() -> None:
    found = 0
    for seed in range(10):
        the_world = world("two humps", seed)
        holds = the_world.holding(GROUPS[0], the_world.a0 - the_world.tolerance) >= 0.5
        found += int(np.sum(np.diff(holds.astype(int)) == -1) == 2)
    assert found >= 8


def test_a_run_is_the_same_again_and_another_seed_is_not() -> None:
    the_world = world("power law", 2)
    one, again, other = (the_world.train(GROUPS[0], 0.03, seed) for seed in (1, 1, 2))
    assert one == again != other
    assert len(one.curve) == EPOCHS


def test_diverged_runs_end_at_chance_and_late_ones_late() -> None:
    the_world = world("late divergence", 3)
    far = 2.0 ** (the_world.shapes[GROUPS[0]].breakdown + 2)
    ended = [the_world.train(GROUPS[0], far, seed) for seed in range(40)]
    assert {each.status for each in ended} == {"diverged"}
    assert all(each.curve[-1] == CHANCE for each in ended)
    assert max(len(each.curve) for each in ended) > 2


def test_a_slow_start_recovers() -> None:
    the_world = world("slow start", 0)
    group = GROUPS[2]
    near = the_world.train(group, 2.0 ** (the_world.edge(group) - 0.05), 1).curve
    low = the_world.train(group, 2.0 ** (the_world.edge(group) - 2), 1).curve
    assert near[2] < low[2] - 0.2, "it stands still at first"
    assert near[-1] == pytest.approx(low[-1], abs=0.05)


def test_batch_sizes_that_hold_nowhere_and_odd_spots_exist() -> None:
    assert any(world("holds nowhere", 0).edge(group) is None for group in GROUPS)
    odd = world("odd spots", 0)
    shape = odd.shapes[GROUPS[0]]
    assert share_that_holds(odd, GROUPS[0], shape.odd, 50) == 0.0
    assert odd.edge(GROUPS[0]) > shape.odd
