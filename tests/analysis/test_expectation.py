"""Where edges are expected from those of other batch sizes."""

import math

import numpy as np
import pytest

from analysis.belief import Belief, Limits
from analysis.expectation import Expectation, expected_edge, joint, neighbours
from analysis.outcomes import Group
from analysis.study_design import StudyDesign

SIZES = (16, 32, 64, 128, 256)
GROUPS = tuple(Group("t", size) for size in SIZES)
DESIGN = StudyDesign(GROUPS, GROUPS[0], (0.01, 12.8), 0.02, 1.5, 10_000, (), {})


def certain(octaves: float, none: float = 0.0) -> Belief:
    """An edge known to a thirtieth of an octave, if there is one."""
    edges = np.linspace(octaves - 1 / 60, octaves + 1 / 60, 100)
    edges[: round(100 * none)] = -math.inf
    return Belief(edges, Limits(-6.7, 3.7))


def test_without_edges_it_lies_somewhat_above_the_baselines_best() -> None:
    here = expected_edge(DESIGN, Group("t", 16), 0.1, {})
    assert here.mean == pytest.approx(math.log2(0.1) + 1.5)
    there = expected_edge(DESIGN, Group("t", 256), 0.1, {})
    assert there.mean == pytest.approx(here.mean + 0.5 * 4)
    assert there.deviation > here.deviation


def test_a_power_law_is_continued() -> None:
    views = {Group("t", size): certain(-3 + math.log2(size / 16)) for size in (16, 32, 64)}
    found = expected_edge(DESIGN, Group("t", 128), 0.1, views)
    assert found.mean == pytest.approx(0.0, abs=0.3)
    assert found.deviation < 0.7


def test_another_techniques_edges_help_only_where_it_has_none_of_its_own() -> None:
    views = {Group("other", 16): certain(-1.0)}
    group = Group("t", 16)
    assert expected_edge(DESIGN, group, 0.1, views).mean == pytest.approx(-1.0, abs=0.1)
    views[Group("t", 32)] = certain(-3.0)
    assert expected_edge(DESIGN, group, 0.1, views).mean < -2.5


def test_only_other_groups_that_scale_say_where_an_edge_is_expected() -> None:
    group = Group("t", 64)
    assert neighbours(DESIGN, group, 0.1, {group: certain(-1.0)}) is None
    assert neighbours(DESIGN, group, 0.1, {Group("t", 32): certain(-1.0, none=0.9)}) is None
    found = neighbours(DESIGN, group, 0.1, {group: certain(2.0), Group("t", 32): certain(-1.0)})
    assert found == expected_edge(DESIGN, group, 0.1, {Group("t", 32): certain(-1.0)})


def test_a_joint_belief_leans_towards_what_is_expected() -> None:
    alone = Belief(np.linspace(-4.0, 2.0, 1000), Limits(-6.7, 3.7))
    together = joint(alone, Expectation(0.0, 0.4))
    assert together.quantile(0.5) == pytest.approx(0.0, abs=0.15)
    assert together.width < 0.7 * alone.width
    edges = alone.edges.copy()
    edges[:300] = -math.inf
    assert joint(Belief(edges, alone.limits), Expectation(0.0, 0.4)).none == pytest.approx(0.3, abs=0.01), (
        "whether anything holds is left as it is"
    )


def test_what_is_not_expected_stays_possible() -> None:
    density = Expectation(0.0, 0.3).relative(np.array([0.0, 5.0]))
    assert density[0] == pytest.approx(1.0)
    assert 0.01 < density[1] < 0.1
