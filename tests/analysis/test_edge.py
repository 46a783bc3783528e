"""Edges on constructed outcomes."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from analysis.edge import SAFE_RUNS, Judged, competitive, scalable, surrounded
from analysis.group_fits import best_rate
from analysis.limits import what_limits
from analysis.outcomes import Group, Outcome, leading, points_of
from analysis.study_design import StudyDesign
from analysis.verdict import Baseline, Verdict, find_baseline

BASE, GROUP = Group("t", 16), Group("t", 1024)


def design(resolution: float = 1.5, tolerance: float = 0.01) -> StudyDesign:
    return StudyDesign((BASE, GROUP), BASE, (2.0**-6, 2.0**4), tolerance, resolution, 10**5, (), {})


def run(octaves: float, score: float, seed: int = 1, status: str = "done") -> Outcome:
    return Outcome(GROUP, 2.0**octaves, seed, status, score, score)


def broken(octaves: float, seed: int = 1) -> Outcome:
    return run(octaves, 0.1, seed, "diverged")


MEASURED = [Outcome(BASE, 0.1, seed, "done", score, 0.9) for seed, score in enumerate((0.900, 0.901, 0.899, 0.900) * 4)]
NOISY = [one._replace(score=one.score + (-1) ** one.seed * 0.012) for one in MEASURED]
HOLDS = [run(-4, 0.899), run(-3, 0.900), run(-2, 0.901)]


def baseline_of(*runs: Outcome, of: StudyDesign, measured: Sequence[Outcome] = MEASURED) -> Baseline:
    found = find_baseline(of, [*measured, *runs])
    assert found is not None
    return found


def look(*runs: Outcome, measured: Sequence[Outcome] = MEASURED, resolution: float = 1.5) -> Judged:
    of = design(resolution)
    return scalable(of, runs, GROUP, baseline_of(*runs, of=of, measured=measured))


def ends(*runs: Outcome) -> tuple[float, float]:
    found = look(*runs).edge
    return math.log2(found.lower), math.log2(found.upper)


def test_an_edge_lies_between_a_rate_that_holds_and_one_that_falls_short() -> None:
    lower, upper = ends(*HOLDS, run(-1, 0.5))
    assert -2.3 < lower < -1.5
    assert -1.3 < upper < -0.6


def test_every_run_between_narrows_the_interval() -> None:
    runs, widths = [*HOLDS, run(-1, 0.5)], []
    for more in ([], [run(-1.5, 0.899), run(-1.5, 0.900, 2)], [run(-1.25, 0.5), run(-1.25, 0.4, 2)]):
        runs += more
        widths.append(look(*runs).belief.width)
    assert widths == sorted(widths, reverse=True)
    assert widths[-1] < 0.45 < widths[0]


def test_the_score_says_more_than_the_side_it_fell_on() -> None:
    """Just below the bar, the edge is near; far below it, it may be far."""
    near, far = (look(*HOLDS, run(-1, score), run(0, 0.3)).belief for score in (0.8885, 0.3))
    assert near.quantile(0.5) > far.quantile(0.5) + 0.2


def test_the_error_of_a0_is_part_of_the_interval() -> None:
    slope = [*HOLDS, run(-1.5, 0.894), run(-1, 0.888), run(-0.5, 0.88)]
    assert look(*slope, measured=NOISY).belief.width > 1.2 * look(*slope).belief.width


def test_one_divergence_makes_a_rate_less_likely_to_hold_but_not_certain_to_fail() -> None:
    held = [*HOLDS, *(run(-1, 0.900, seed) for seed in range(1, 6)), broken(1)]
    before, after = look(*held), look(*held, broken(-1, 9))
    assert before.chances[0.5] > after.chances[0.5] > 0.5
    assert after.verdicts[0.5] is not Verdict.FAILS
    assert after.edge.lower > 2.0**-1.5


def test_the_safe_rate_lies_below_where_runs_begin_to_diverge() -> None:
    often = [run(octaves, 0.900, seed) for octaves in (-4, -3, -2.5) for seed in (1, 2, 3)]
    half = [broken(-1.5, 1), run(-1.5, 0.900, 2), run(-1, 0.900, 1), broken(-1, 2), broken(-0.5), broken(0)]
    judged = look(*often, *half)
    assert judged.safe.quantile(0.5) < judged.belief.quantile(0.5) - 0.3
    assert judged.edge.safe is not None


def test_failures_below_the_edge_are_counted() -> None:
    often = [run(octaves, 0.900, seed) for octaves in (-4, -3, -2, -1) for seed in (1, 2, 3)]
    runs = [*often, broken(-2, 4), broken(0), broken(0.5)]
    judged = look(*runs)
    best, lower = best_rate(judged.fit), math.log2(judged.edge.lower)
    assert best <= -2 < lower < -0.5
    assert judged.edge.failed_below == (1, sum(best <= math.log2(each.learning_rate) < lower for each in runs))


def test_rates_that_are_too_low_do_not_hide_the_edge() -> None:
    lower, upper = ends(run(-6, 0.4), run(-5, 0.7), *HOLDS, run(-1, 0.5))
    assert -2.4 < lower < upper < -0.6


def test_one_odd_spot_below_rates_that_hold_is_not_the_edge() -> None:
    holds = [run(octaves, 0.90, seed) for octaves in (-3, -2.5, -1.5, -1) for seed in (1, 2)]
    lower, upper = ends(*holds, broken(-2), run(-0.5, 0.5), run(0, 0.3))
    assert -1.5 < lower < upper < 0.2


def test_the_end_above_a_dip_counts() -> None:
    dip = [run(-2, 0.870), run(-2.1, 0.880), run(-1.9, 0.872)]
    lower, upper = ends(run(-4, 0.9), run(-3, 0.9), *dip, *(run(-1.2, 0.900, seed) for seed in (1, 2)), run(-0.5, 0.5))
    assert -1.6 < lower < upper < -0.2


def test_edges_say_what_is_missing() -> None:
    assert look().edge.flags == ("undecided",)
    assert look(run(0, 0.90)).edge.flags == ("censored", "undecided")
    top = look(*(run(octaves, 0.90, seed) for octaves in (1, 2, 3, 4) for seed in (1, 2, 3))).edge
    assert (top.flags, top.upper, top.held) == (("censored",), None, 16.0)
    assert look(run(-2, 0.90), run(1, 0.5)).edge.flags == ("undecided",)
    assert look(run(0, 0.5)).edge.flags == ("undecided",), "the best may lie elsewhere"
    assert look(run(-2, 0.86), run(-1, 0.875), run(0, 0.88), run(1, 0.87)).edge.flags == ("none",)


def test_a_narrow_edge_has_no_flags_and_reports_what_was_seen() -> None:
    sharp = [run(octaves, 0.90, seed) for octaves in (-3, -2, -1.2) for seed in (1, 2, 3)]
    found = look(*sharp, *(run(octaves, 0.5, seed) for octaves in (-1, -0.7) for seed in (1, 2)))
    assert found.edge.flags == ()
    assert math.log2(found.edge.held) == pytest.approx(-1.2)
    assert found.belief.narrow(1.5)
    assert not found.belief.narrow(1.01)


def test_a_competitive_edge_exists_where_nothing_scales() -> None:
    runs = [run(-3, 0.85), run(-2, 0.868), run(-1, 0.874), run(-0.5, 0.875), run(0, 0.873), run(0.5, 0.8), run(1, 0.5)]
    found = competitive(design(), runs, GROUP, baseline_of(*runs, of=design()))
    assert found is not None
    assert 0.75 < found.edge.lower < found.edge.upper < 1.9
    assert look(*runs).edge.flags == ("none",)


def test_nothing_competes_where_nothing_trains() -> None:
    def competes(of: StudyDesign, *runs: Outcome) -> bool:
        return competitive(of, runs, GROUP, baseline_of(*runs, of=of)) is not None

    assert not competes(design(), broken(-2), broken(0))
    assert not competes(replace(design(), chance=0.1), run(-2, 0.1005), run(0, 0.0995))
    assert competes(replace(design(), chance=0.1), run(-2, 0.1005), run(0, 0.8))


@pytest.mark.parametrize("level", [0.1, 0.5, 0.7, 0.8])
def test_it_does_not_matter_that_failures_came_first(level: float) -> None:
    """A search that begins too high sees five failures before the first rate that holds."""
    fails = [run(1 - 0.5 * at, level + 0.001 * at, seed=at + 1) for at in range(5)]
    holds = [run(-3 - 0.5 * at, 0.900 - 0.001 * at, seed=at + 1) for at in range(5)]
    for found in (look(*fails, *holds), look(*holds, *fails)):
        assert found.belief.none < 0.05
        assert all(found.chances[2.0 ** (-3 - 0.5 * at)] > 0.8 for at in range(5)), found.chances


def test_where_nothing_failed_the_upper_end_is_open() -> None:
    found = look(run(-2, 0.9), run(-1, 0.9))
    assert found.edge.upper is None
    assert found.edge.flags == ("censored", "undecided")
    assert found.edge.lower >= 2.0**-2.5


def test_the_safe_rate_is_no_higher_than_the_edge() -> None:
    more = [run(-4, 0.900, seed) for seed in range(1, 1 + SAFE_RUNS)]
    found = look(*HOLDS, *more, run(-1.5, 0.893), run(-1, 0.5)).edge
    assert found.safe is not None
    assert found.safe[0] <= found.safe[1] <= found.upper


def test_the_safe_rate_is_not_told_from_a_few_runs() -> None:
    runs = [run(octaves, 0.900, seed) for octaves in (-4, -3, -2) for seed in (1, 2, 3, 4)] + [run(-1, 0.5)]
    assert look(*runs[-SAFE_RUNS:]).edge.safe is not None
    assert look(*runs[1 - SAFE_RUNS :]).edge.safe is None


def test_equal_runs_give_equal_answers() -> None:
    one, other = look(*HOLDS, run(-1, 0.5)), look(*HOLDS, run(-1, 0.5))
    assert one.edge == other.edge
    assert np.array_equal(one.belief.edges, other.belief.edges)


def test_what_limits_an_answer_is_said() -> None:
    def limit(*runs: Outcome, measured: Sequence[Outcome] = MEASURED) -> str:
        found = baseline_of(*runs, of=design(), measured=measured)
        return what_limits(design(), look(*runs, measured=measured), found)

    assert limit() == "no run of it ended; it needs runs"
    assert limit(*HOLDS, run(0, 0.5)).endswith("wide; more runs would narrow it to 1.5")
    assert limit(*HOLDS).startswith("no rate has failed above 0.25, the highest that ran")
    assert limit(*HOLDS, run(4, 0.892)).startswith("the edge may lie above the range, which ends at 16")
    falls = [run(octaves, 0.87 - 0.01 * octaves) for octaves in (0, 1, 2)]
    assert limit(*falls).startswith("nothing seems to hold, but rates on both sides of its best have not run")
    assert limit(run(0, 0.5)).startswith("nothing holds with a probability of ")
    sharp = [run(octaves, 0.90, seed) for octaves in (-3, -2, -1.2) for seed in (1, 2, 3)]
    assert limit(*sharp, *(run(octaves, 0.5, seed) for octaves in (-1, -0.7) for seed in (1, 2))) == ""
    steep = [
        run(octaves, 0.890 - 0.012 * octaves, seed) for octaves in (-1, -0.5, 0, 0.5, 1, 2) for seed in range(1, 9)
    ]
    few = [one._replace(score=0.900 + 0.006 * (-1) ** one.seed) for one in MEASURED[:4]]
    assert limit(*steep, measured=few) == (
        "the error of A0 limits it; more runs would settle it, of which up to a third go to the baseline"
    )


def test_the_best_must_have_neighbours_on_both_sides() -> None:
    ends_of_range = (2.0**-6, 2.0**4)

    def around(*runs: Outcome) -> bool:
        return surrounded(points_of(runs, GROUP), design())

    assert not around()
    assert not around(run(0, 0.5))
    assert not around(run(0, 0.5), run(1, 0.4))
    assert around(run(-1, 0.4), run(0, 0.5), run(1, 0.4))
    assert around(run(-6, 0.5), run(1, 0.4)), "the best lies at the lower end"
    assert around(run(1, 0.4), run(4, 0.5)), "the best lies at the upper end"
    assert leading(points_of([run(0, 0.5)], GROUP), 0.0) is not None
    assert design().learning_rates == ends_of_range


def test_the_order_in_which_runs_ended_does_not_matter() -> None:
    """The curves are drawn along another path then, and must end at the same posterior."""
    runs = [*HOLDS, run(-1.5, 0.899), run(-1.5, 0.900, 2), run(-1, 0.5), run(-1.25, 0.5), run(-1.25, 0.4, 2)]
    shuffle = np.random.default_rng(0)
    for _ in range(5):
        belief = look(*(runs[at] for at in shuffle.permutation(len(runs)))).belief
        assert -1.5 <= belief.quantile(0.5) <= -1.25
        assert belief.width < 0.3, "both seeds held at -1.5 and fell far short at -1.25"


def test_runs_that_learn_nothing_above_the_edge_are_no_second_hump() -> None:
    """Of batch size 128 of `cifar_sam` quick: all runs from 0.11 on fail, one of them recovers to 32 %."""
    scores = {0.11: 0.43, 0.13: 0.29, 0.16: 0.17, 0.19: 0.11, 0.23: 0.11, 0.27: 0.32, 0.32: 0.1, 0.45: 0.09}
    runs = [Outcome(GROUP, 0.08, seed, "done", score, score) for seed, score in ((1, 0.50), (2, 0.49))]
    runs += [Outcome(GROUP, rate, 1, "done", score, score) for rate, score in scores.items()]
    base = [Outcome(BASE, 0.02, seed, "done", 0.54 + 0.01 * (-1) ** seed, 0.6) for seed in range(1, 7)]
    of = replace(design(resolution=2.0, tolerance=0.08), chance=0.1, validation_samples=1000)
    shuffle, narrow = np.random.default_rng(0), 0
    for _ in range(5):
        mixed = [runs[at] for at in shuffle.permutation(len(runs))]
        narrow += scalable(of, mixed, GROUP, baseline_of(*mixed, of=of, measured=base)).belief.narrow(of.resolution)
    assert narrow >= 4
