"""The information that a run is expected to give about an edge."""

import math

import numpy as np
import pytest

from analysis.belief import Belief, Limits
from analysis.response_curve import SIZE, Frame, curves
from search_spaces.policy.information import CELLS_IN_RESOLUTION, CUTS, cells, classes, information

SURE_EVEN = np.ones(4)


def test_a_run_that_names_the_cell_gives_all_there_is_to_know() -> None:
    ends = np.eye(4)[:, None, :]  # four curves, one rate, four classes
    assert information(ends, np.arange(4), SURE_EVEN) == pytest.approx([2.0])
    assert information(ends, np.array([0, 0, 1, 1]), SURE_EVEN) == pytest.approx([1.0])


def test_a_run_that_ends_alike_for_all_curves_tells_nothing() -> None:
    ends = np.full((4, 1, 2), 0.5)
    assert information(ends, np.arange(4), SURE_EVEN) == pytest.approx([0.0])


def test_where_the_cell_is_known_nothing_is_left_to_tell() -> None:
    ends = np.eye(4)[:, None, :]
    assert information(ends, np.zeros(4), SURE_EVEN) == pytest.approx([0.0])


def test_it_is_that_of_a_noisy_channel() -> None:
    """Two cells and a class that is right nine times in ten: 1 - H(0.1) bits."""
    right = np.array([[[0.9, 0.1]], [[0.1, 0.9]]])
    entropy = -0.9 * math.log2(0.9) - 0.1 * math.log2(0.1)
    assert information(right, np.arange(2), np.ones(2)) == pytest.approx([1 - entropy])


def test_weights_count() -> None:
    ends = np.eye(2)[:, None, :]
    share = 0.2
    entropy = -share * math.log2(share) - (1 - share) * math.log2(1 - share)
    assert information(ends, np.arange(2), np.array([1.0, 4.0])) == pytest.approx([entropy])


@pytest.mark.parametrize("depth", [math.inf, 5.5])
def test_the_classes_of_a_run_are_all_there_are_and_match_the_hold_probability(depth: float) -> None:
    of = curves(np.random.default_rng(0).standard_normal((300, SIZE)), Frame(0.0, -2.0, 2.0, depth))
    rates = np.array([-4.0, -2.0, 0.0])
    found = classes(of, rates, bar=-1.0, floor=0.2)
    assert found.shape == (300, 3, len(CUTS) + 2)
    assert found.min() >= -1e-12
    assert found.sum(axis=2) == pytest.approx(np.ones((300, 3)))
    above = found[:, :, 1 + int(np.flatnonzero(CUTS == 0.25)[0]) + 1 :].sum(axis=2)
    assert above == pytest.approx(of.holding(rates, np.full((300, 1), -0.75), 0.2), abs=1e-9)


def test_every_edge_has_a_cell() -> None:
    edges = np.array([-math.inf, -6.0, -5.9, 0.0, 3.99, math.inf])
    found = cells(Belief(edges, Limits(-6.0, 4.0)), resolution=2.0)
    inside = CELLS_IN_RESOLUTION * 10
    assert found.tolist() == [inside, 0, 0, 12, inside - 1, inside + 1]
