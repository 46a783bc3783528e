"""The law: recovered truths."""

import math
import random

import numpy as np
import pytest

from analysis.belief import Belief, Limits
from analysis.law_forms import POWER, RISE_AND_FALL, SATURATING
from analysis.scaling_law import PowerLaw, fit_power_law

LIMITS = Limits(-8.0, 6.0)
SIZES = (32, 64, 128, 256, 512)


def belief(edge: float, deviation: float, beyond: float = 0.0, none: float = 0.0) -> Belief:
    """A normal belief around log2 of an edge, with shares above the range and where nothing holds."""
    edges = np.random.default_rng(0).normal(edge, deviation, 1000)
    edges[: round(1000 * beyond)] = math.inf
    edges[1000 - round(1000 * none) :] = -math.inf
    return Belief(edges, LIMITS)


def beliefs(exponent: float, deviation: float, sizes: tuple[int, ...] = SIZES, seed: int = 0) -> dict[int, Belief]:
    """Beliefs about 0.1 * B^exponent, each as far off as it says."""
    draw = random.Random(seed)
    truth = {size: math.log2(0.1) + exponent * math.log2(size) for size in sizes}
    return {size: belief(truth[size] + draw.gauss(0, deviation), deviation) for size in sizes}


@pytest.mark.parametrize("exponent", [-0.5, 0.0, 0.5, 1.0])
def test_a_power_law_is_recovered(exponent: float) -> None:
    law = fit_power_law(beliefs(exponent, 0.03))
    assert isinstance(law, PowerLaw)
    assert law.exponent == pytest.approx(exponent, abs=0.04)
    assert law.lower <= exponent <= law.upper
    assert law.factor == pytest.approx(0.1, rel=0.25)
    assert law.edges == 5


def test_wider_beliefs_leave_a_wider_exponent_and_fewer_a_much_wider_one() -> None:
    widths = [
        law.upper - law.lower
        for law in (
            fit_power_law(beliefs(0.5, 0.05)),
            fit_power_law(beliefs(0.5, 0.4)),
            fit_power_law(beliefs(0.5, 0.4, SIZES[:3])),
        )
        if isinstance(law, PowerLaw)
    ]
    assert widths[0] < widths[1] < widths[2] / 1.5
    assert widths[1] < 0.6


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    laws = [fit_power_law(beliefs(0.5, 0.25, seed=seed)) for seed in range(30)]
    assert sum(law.lower <= 0.5 <= law.upper for law in laws if isinstance(law, PowerLaw)) >= 25


def test_edges_that_do_not_lie_on_a_line_widen_the_interval() -> None:
    bent = {size: belief(edge, 0.05) for size, edge in zip(SIZES, (-3.0, -2.0, -1.0, -1.5, -2.5), strict=True)}
    straight = {size: belief(edge, 0.05) for size, edge in zip(SIZES, (-3.0, -2.5, -2.0, -1.5, -1.0), strict=True)}
    of_bent, of_straight = fit_power_law(bent), fit_power_law(straight)
    assert isinstance(of_bent, PowerLaw)
    assert isinstance(of_straight, PowerLaw)
    assert of_bent.upper - of_bent.lower > 2 * (of_straight.upper - of_straight.lower)


def test_an_edge_above_the_range_pulls_the_line_up_and_nothing_else() -> None:
    flat = {size: belief(5.0, 0.1) for size in SIZES[:3]}
    up = fit_power_law({**flat, 512: belief(0.0, 0.1, beyond=1.0)})
    alone = fit_power_law(flat)
    assert isinstance(up, PowerLaw)
    assert isinstance(alone, PowerLaw)
    assert (up.edges, alone.edges) == (4, 3)
    assert up.exponent > alone.exponent
    assert up.lower > alone.lower


def test_an_edge_that_may_not_exist_tells_where_it_would_lie() -> None:
    three = {size: belief(edge, 0.1) for size, edge in zip(SIZES[:3], (-3.0, -2.5, -2.0), strict=True)}
    laws = [
        fit_power_law({**three, **more})
        for more in ({}, {512: belief(-1.0, 0.1, none=0.2)}, {512: belief(-1.0, 0.1, none=0.9)})
    ]
    alone, likely, unlikely = (law for law in laws if isinstance(law, PowerLaw))
    assert likely.upper - likely.lower < 0.8 * (alone.upper - alone.lower)
    assert likely.lower <= 0.5 <= likely.upper
    assert (unlikely.lower, unlikely.upper, unlikely.edges) == (alone.lower, alone.upper, 3)


def test_where_nothing_may_hold_there_is_no_edge_to_fit() -> None:
    law = fit_power_law({**beliefs(0.5, 0.1), 1024: belief(-5.0, 0.1, none=0.5)})
    assert isinstance(law, PowerLaw)
    assert law.edges == 5
    assert law.exponent == pytest.approx(0.5, abs=0.1)


def test_too_few_edges_give_a_reason() -> None:
    found = {**beliefs(0.5, 0.1, (32, 64)), 128: belief(0.0, 0.1, beyond=1.0), 256: belief(0.0, 0.1, none=1.0)}
    assert fit_power_law(found) == "no exponent: it takes 3 finite edges, and there are 2"


def test_the_band_is_narrowest_among_the_edges() -> None:
    law = fit_power_law(beliefs(0.5, 0.2))
    assert isinstance(law, PowerLaw)
    low, high = law.band(np.array([4.0, 128.0, 4096.0]))
    widths = np.log2(high / low)
    assert widths[1] < widths[0] / 2
    assert widths[1] < widths[2] / 2
    assert low[1] < 0.1 * 128**0.5 < high[1]


OCTAVES = np.arange(7.0)
"""log2 of a batch size by the smallest, 16."""


@pytest.mark.parametrize(
    ("form", "edges"),
    [
        (POWER, 0.5 * OCTAVES),
        (SATURATING, -np.logaddexp2(0.0, 2.0 - OCTAVES)),
        (RISE_AND_FALL, -np.logaddexp2((3.0 - OCTAVES) / 2, (OCTAVES - 3.0) / 2)),
    ],
)
def test_edges_give_back_their_form(form: str, edges: np.ndarray) -> None:
    law = fit_power_law({16 * 2 ** int(at): belief(edge, 0.1) for at, edge in zip(OCTAVES, edges, strict=True)})
    assert isinstance(law, PowerLaw)
    assert sum(law.forms.values()) == pytest.approx(1)
    assert law.forms[form] > 0.9


def test_few_wide_edges_leave_the_form_open() -> None:
    law = fit_power_law(beliefs(0.5, 0.5, SIZES[:3]))
    assert isinstance(law, PowerLaw)
    assert max(law.forms.values()) < 0.7


def test_an_edge_that_did_not_run_is_told_from_all_forms() -> None:
    """The interval has the truth, and grows with the distance."""
    law = fit_power_law(beliefs(0.5, 0.1))
    assert isinstance(law, PowerLaw)
    widths = []
    for size in (1024, 4096):
        low, high = np.quantile(law.edges_at(size), (0.05, 0.95))
        assert low < math.log2(0.1 * size**0.5) < high
        widths.append(high - low)
    assert widths[0] < widths[1]
    flat = fit_power_law(
        {size: belief(-2.0 - np.logaddexp2(0.0, 5.0 - math.log2(size)), 0.05) for size in (16, *SIZES)}
    )
    assert isinstance(flat, PowerLaw)
    assert np.median(flat.edges_at(1024)) == pytest.approx(-2.0, abs=0.25)
