"""Where edges are expected from those of other batch sizes."""

import math

import numpy as np
import pytest

from analysis.belief import Belief
from analysis.outcomes import Group
from search_spaces.policy.expectation import expected_edge
from tests.search_spaces.synthetic import MakePlan


def certain(octaves: float) -> Belief:
    """An edge known to a thirtieth of an octave."""
    starts = np.arange(-7, 4, 1 / 32)
    mass = np.append(np.isclose(starts, octaves).astype(float), 0.0)
    return Belief(starts, mass, mass)


def test_without_edges_it_lies_somewhat_above_the_baselines_best(make_plan: MakePlan) -> None:
    design = make_plan().design
    here = expected_edge(design, Group("t", 16), 0.1, {})
    assert here.mean == pytest.approx(math.log2(0.1) + 1.5)
    there = expected_edge(design, Group("t", 256), 0.1, {})
    assert there.mean == pytest.approx(here.mean + 0.5 * 4)
    assert there.deviation > here.deviation


def test_a_power_law_is_continued(make_plan: MakePlan) -> None:
    views = {Group("t", size): certain(-3 + math.log2(size / 16)) for size in (16, 32, 64)}
    found = expected_edge(make_plan().design, Group("t", 128), 0.1, views)
    assert found.mean == pytest.approx(0.0, abs=0.3)
    assert found.deviation < 0.7


def test_another_techniques_edges_help_only_where_it_has_none_of_its_own(make_plan: MakePlan) -> None:
    views = {Group("other", 16): certain(-1.0)}
    group = Group("t", 16)
    assert expected_edge(make_plan().design, group, 0.1, views).mean == pytest.approx(-1.0, abs=0.1)
    views[Group("t", 32)] = certain(-3.0)
    assert expected_edge(make_plan().design, group, 0.1, views).mean < -2.5


def test_the_density_sums_to_one_and_leaves_a_little_everywhere(make_plan: MakePlan) -> None:
    density = expected_edge(make_plan().design, Group("t", 16), 0.1, {}).density(np.arange(-7, 4, 1 / 32))
    assert density.sum() == pytest.approx(1.0)
    assert density.min() >= 0.1 / len(density)
