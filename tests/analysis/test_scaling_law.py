"""The law: recovered truths."""

import math
import random

import pytest

from analysis.edge import Edge
from analysis.scaling_law import PowerLaw, fit_power_law


def edges(
    exponent: float, width: float, sizes: tuple[int, ...] = (32, 64, 128, 256, 512), seed: int = 0
) -> dict[int, Edge]:
    """Intervals of that many octaves around 0.1 * B^exponent, the truth anywhere inside."""
    draw = random.Random(seed)
    found = {}
    for size in sizes:
        low = 0.1 * size**exponent / 2 ** (width * draw.random())
        found[size] = Edge(low, low * 2**width, low, low * 2**width, ())
    return found


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0])
def test_a_power_law_is_recovered(exponent: float) -> None:
    law = fit_power_law(edges(exponent, width=0.1))
    assert isinstance(law, PowerLaw)
    assert law.exponent == pytest.approx(exponent, abs=0.04)
    assert law.lower <= exponent <= law.upper
    assert law.factor == pytest.approx(0.1, rel=0.25)


def test_wider_intervals_leave_a_wider_exponent() -> None:
    laws = [fit_power_law(edges(0.5, width)) for width in (0.1, 1.0)]
    assert laws[0].upper - laws[0].lower < laws[1].upper - laws[1].lower


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    laws = [fit_power_law(edges(0.5, 0.6, seed=seed)) for seed in range(10)]
    assert sum(law.lower <= 0.5 <= law.upper for law in laws) >= 8


def test_too_few_edges_give_a_reason() -> None:
    found = {
        **edges(0.5, 0.3, (32, 64)),
        128: Edge(1.0, None, 1.0, None, ("censored",)),
        256: Edge(None, None, None, None, ("none",)),
    }
    assert fit_power_law(found) == "no exponent: it takes 3 finite edges, and there are 2"


def test_edges_with_an_end_missing_are_left_out() -> None:
    law = fit_power_law({**edges(0.5, 0.1), 1024: Edge(math.pi, None, math.pi, None, ("censored",))})
    assert law.edges == 5
