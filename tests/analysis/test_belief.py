"""Beliefs: where hold probabilities fall through a level, and intervals."""

import math

import numpy as np
import pytest

from analysis.belief import MAY_BE_NONE, SAFE, SAMPLING, TYPICAL, Belief, Limits, last_fall
from analysis.response_curve import SIZE, Curves, Frame, curves

LIMITS = Limits(-6.0, 4.0)


def curve(**parameters: float) -> Curves:
    """One sharp curve of top 0 that holds above -1 from -4 to 0, with other parameters where given."""
    usual = curves(np.zeros((1, SIZE)), Frame(0.0, 0.0, 1.0))
    own = {
        "top": 0.0,
        "edge": 0.0,
        "high": 2.0,
        "low": 2.0,
        "low_power": 2.0,
        "power": 6.0,
        "breaks": 3.0,
        "onset": 0.05,
        "noise": 0.1,
    }
    return usual._replace(**{name: np.array([[value]]) for name, value in {**own, **parameters}.items()})


def edge(of: Curves, level: float = TYPICAL, bar: float = -1.0) -> float:
    (found,) = last_fall(of, np.array([[bar]]), 0.0, LIMITS, (level,))
    return float(found.edges[0])


def test_a_typical_run_stops_holding_where_the_curve_crosses_the_bar() -> None:
    assert edge(curve()) == pytest.approx(0.0, abs=0.01)
    assert edge(curve(edge=1.3)) == pytest.approx(1.3, abs=0.01)


def test_it_stops_holding_where_half_the_runs_fail() -> None:
    assert edge(curve(breaks=-1.0)) == pytest.approx(-1.0, abs=0.03)


def test_the_safe_rate_lies_where_nine_runs_in_ten_hold() -> None:
    onset = 0.2
    assert edge(curve(breaks=-1.0, onset=onset)) - edge(curve(breaks=-1.0, onset=onset), SAFE) == pytest.approx(
        onset * math.log(9), rel=0.15
    )


def test_the_last_of_two_falls_counts() -> None:
    two = curve(dip_at=-1.0, dip_depth=5.0, dip_width=0.3)
    assert edge(two) == pytest.approx(0.0, abs=0.01)
    assert two.holding(np.array([-1.0]), np.array([[-1.0]]), 0.0)[0, 0] < 0.05


def test_nothing_and_everything_may_hold() -> None:
    assert edge(curve(), bar=1.0) == -math.inf
    assert edge(curve(edge=20.0, high=22.0, breaks=20.0)) == math.inf


def test_the_interval_is_the_shortest_that_contains_nine_curves_in_ten_and_one_standard_error() -> None:
    edges = np.concatenate([np.linspace(0.0, 0.5, 910), np.linspace(0.5, 4.0, 90)])
    belief = Belief(edges, LIMITS)
    assert belief.ends == pytest.approx((-SAMPLING, 0.5 + SAMPLING), abs=0.001)
    assert belief.interval == pytest.approx(tuple(2.0**end for end in belief.ends))
    assert belief.narrow(2 ** (0.5 + 2 * SAMPLING + 0.001))
    assert not belief.narrow(2 ** (0.5 + 2 * SAMPLING - 0.001))


def test_an_interval_ends_where_the_range_does() -> None:
    assert Belief(np.linspace(*LIMITS, 3), LIMITS).ends == LIMITS


def test_the_interval_is_open_where_too_many_edges_lie_above_the_range() -> None:
    belief = Belief(np.concatenate([np.linspace(0.0, 1.0, 80), np.full(20, math.inf)]), LIMITS)
    lower, upper = belief.interval
    assert (math.log2(lower), upper) == (pytest.approx(7 / 79 - SAMPLING, abs=0.001), None), "93 of all 100"
    assert (belief.beyond, belief.none) == (0.2, 0.0)
    assert not belief.narrow(1000.0)
    assert belief.quantile(0.9) == math.inf


def test_where_nothing_may_hold_the_rest_must_make_up_for_it_or_there_is_no_interval() -> None:
    edges = np.linspace(0.0, 1.0, 95)
    five = Belief(np.concatenate([edges, np.full(5, -math.inf)]), LIMITS)
    assert five.ends[1] - five.ends[0] == pytest.approx(92 / 94 + 2 * SAMPLING, abs=0.001), "93 of all 100"
    half = Belief(np.concatenate([edges, np.full(95, -math.inf)]), LIMITS)
    assert (half.none, half.interval) == (0.5, None)
    assert Belief(np.full(10, -math.inf), LIMITS).interval is None


def test_no_single_curve_decides_an_interval_that_is_given() -> None:
    most = int(MAY_BE_NONE * 400)
    edges = [np.random.default_rng(0).normal(-1.0, 0.1, 398 - most), [3.5, -5.5], np.full(most, -math.inf)]
    belief = Belief(np.concatenate(edges), LIMITS)
    assert belief.interval is not None
    assert belief.width < 1.0
    assert Belief(np.concatenate([*edges, [-math.inf] * 3]), LIMITS).interval is None


def test_quantiles_and_shares_agree() -> None:
    belief = Belief(np.random.default_rng(0).normal(size=1001), LIMITS)
    for share in (0.05, 0.3, 0.5, 0.9):
        assert (belief.edges < belief.quantile(share)).mean() == pytest.approx(share, abs=2e-3)


def test_of_what_lies_above_a_rate_only_that_is_said() -> None:
    belief = Belief(np.linspace(-1.0, 1.0, 101), LIMITS).known_up_to(0.5)
    assert belief.beyond == pytest.approx(0.25, abs=0.01)
    assert belief.interval is not None
    assert belief.interval[1] is None
    beyond_all = Belief(np.linspace(1.0, 2.0, 101), LIMITS).known_up_to(0.5)
    assert beyond_all.interval == (2.0**0.5, None), "the edge may lie anywhere above the highest rate that ran"
