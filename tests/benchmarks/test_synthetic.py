"""The synthetic trainer is what its formula says, and its true edges are where its expected score crosses."""

import math

import numpy as np
import pytest

from analysis.outcomes import Group
from benchmarks.synthetic import BATCH_SIZES, CHANCE, EPOCHS, FAMILIES, TOLERANCE, world

GROUPS = [Group("synthetic", size) for size in BATCH_SIZES]


@pytest.mark.parametrize("family", FAMILIES)
def test_the_true_edge_is_where_expected_accuracy_crosses(family: str) -> None:
    for seed in range(3):
        the_world = world(family, seed)
        threshold = the_world.a0() - TOLERANCE
        for group in GROUPS:
            edge, shape = the_world.edge(group), the_world.shapes[group]
            if edge is None:
                assert family == "holds nowhere"
                continue
            assert shape.expected(np.array(edge - 0.01)) >= threshold > shape.expected(np.array(edge + 0.01))


def test_runs_average_to_what_is_expected() -> None:
    the_world, group = world("late divergence", 1), GROUPS[1]
    learning_rate = 2.0 ** (the_world.shapes[group].breakdown - 0.1)
    finals = [the_world.train(group, learning_rate, seed).curve[-1] for seed in range(2000)]
    expected = float(the_world.shapes[group].expected(np.array(math.log2(learning_rate))))
    assert np.mean(finals) == pytest.approx(expected, abs=4 * np.std(finals) / math.sqrt(2000))


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
    assert shape.expected(np.array(shape.odd)) == CHANCE
    assert odd.edge(GROUPS[0]) > shape.odd
