"""The answer on constructed outcomes: edges, laws, what the rules did, and why it stopped."""

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest

from analysis.answer import answer, why_it_stopped
from analysis.conclusions import conclusions
from analysis.edge import Edge
from analysis.outcomes import Group, Outcome
from analysis.scaling_law import PowerLaw
from analysis.study_design import StudyDesign
from analysis.verdict import Verdict, find_baseline
from tests.analysis.constructed import BASELINE, LARGE, SMALL, diverged, done
from trainables.metric import Perplexity

SIZES = (32, 64, 128, 256)
SHORT, STARVED = Group("short", 64), Group("starved", 64)
GROUPS = (SMALL, SHORT, STARVED, *(Group("t", size) for size in SIZES[1:]))
RULES = {
    "linear": tuple(group.batch_size / 32 for group in GROUPS),
    "square_root": tuple(math.sqrt(group.batch_size / 32) for group in GROUPS),
    "squared": tuple((group.batch_size / 32) ** 2 for group in GROUPS),
}
DESIGN = StudyDesign(GROUPS, SMALL, (0.01, 0.9), 0.01, 1.5, 10_000, (), RULES)


def edge_at(batch_size: int) -> float:
    return 0.15 * math.sqrt(batch_size / 32)


def around(group: Group) -> list[Outcome]:
    """Runs that leave no doubt: they hold up to the group's edge, and diverge beyond it."""
    edge = edge_at(group.batch_size)
    held = [done(group, share * edge, 0.90, seed) for share in (0.5, 0.75, 0.97) for seed in (1, 2, 3)]
    return [*held, *(diverged(group, share * edge, seed) for share in (1.03, 1.5) for seed in (1, 2))]


MEASURED = [done(SMALL, 0.1, score, seed) for seed, score in ((0, 0.903), (1, 0.901), (2, 0.900), (3, 0.899))]
PRESCRIBED = [
    *(done(Group("t", 64), 0.2, 0.90, seed) for seed in (1, 2, 3)),
    *(done(Group("t", 64), 0.141421, 0.90, seed) for seed in (1, 2, 3)),
    diverged(Group("t", 128), 0.4),
    *(done(Group("t", 128), 0.2, 0.90, seed) for seed in (1, 2, 3)),
    diverged(Group("t", 256), 0.8),
]
"""What the rules prescribe, but for the square root at 256 and the square at 64, which did not run."""
FALLS_SHORT = [
    done(SHORT, rate, score, train=0.6)
    for rate, score in ((0.025, 0.855), (0.05, 0.868), (0.1, 0.875), (0.2, 0.86), (0.4, 0.70))
]
NO_ROOM = [Outcome(STARVED, 0.1, 1, "out_of_memory", 0.1, 0.1)]
OUTCOMES = [
    *(run for size in SIZES for run in around(Group("t", size))),
    *(*MEASURED, *PRESCRIBED, *FALLS_SHORT, *NO_ROOM),
]


@pytest.mark.parametrize("runs", [[], [diverged(SMALL, 0.1, seed=0)], around(Group("t", 64))])
def test_before_a_run_of_the_baseline_has_trained_there_is_no_answer(runs: Sequence[Outcome]) -> None:
    found = answer(DESIGN, runs)
    assert (found.baseline, found.groups, found.laws, found.breaks) == (None, [], {}, {})
    assert found.frame().empty


def test_every_group_is_answered_in_the_studys_order_against_the_baseline() -> None:
    found = answer(DESIGN, OUTCOMES)
    assert tuple(each.group for each in found.groups) == GROUPS
    assert found.baseline.learning_rate == 0.1
    assert found.baseline.score == pytest.approx(0.900, abs=0.002)
    assert found.baseline.error < 0.003


def test_an_edge_above_all_rates_that_ran_says_only_that_to_the_law() -> None:
    """It lies above the highest rate that ran, not above the searched range, which here ends a factor 600 higher."""
    design = replace(DESIGN, learning_rates=(0.01, 256.0))
    largest = Group("t", 256)
    others = [run for run in OUTCOMES if run.group != largest]
    half_open = answer(design, [*others, *(done(largest, rate, 0.90) for rate in (0.1, 0.2, 0.4))])
    found, without = half_open.laws["t"], answer(design, others).laws["t"]
    assert isinstance(found, PowerLaw)
    assert isinstance(without, PowerLaw)
    assert half_open.groups[-1].scalable.upper is None
    assert found.exponent == pytest.approx(without.exponent, abs=0.1)
    joint = half_open.groups[-1].joint
    assert joint is not None
    assert joint[1] is not None
    assert joint[1] < 4 * edge_at(256)


def test_edges_lie_where_runs_stop_holding() -> None:
    for each in answer(DESIGN, OUTCOMES).groups:
        if each.group.technique == "t":
            edge = edge_at(each.group.batch_size)
            assert each.scalable.held in {point.learning_rate for point in each.points}
            assert 0.75 * edge <= each.scalable.held <= 0.97 * edge
            assert edge < each.scalable.failed <= 1.5 * edge
            assert each.scalable.lower <= edge <= each.scalable.upper
            assert each.scalable.flags == ()
            assert each.verdicts[0.75 * edge] is Verdict.HOLDS
            assert each.verdicts[1.5 * edge] is Verdict.FAILS
            assert each.scales
            assert (each.why, each.limit) == ("", "")
            assert each.joint[0] <= edge <= each.joint[1]


def test_each_technique_has_a_law_of_its_own_or_a_reason() -> None:
    laws = answer(DESIGN, OUTCOMES).laws
    assert laws.keys() == {"t", "short", "starved"}
    assert isinstance(laws["t"], PowerLaw)
    assert laws["t"].edges == 4
    assert laws["t"].lower <= 0.5 <= laws["t"].upper
    assert laws["short"] == laws["starved"] == "no exponent: it takes 3 finite edges, and there are 0"


def test_a_rule_breaks_at_the_lowest_batch_size_at_which_its_prescription_fails() -> None:
    found = answer(DESIGN, OUTCOMES)
    assert (found.breaks["t", "linear"], found.breaks["t", "square_root"]) == (128, None)
    assert (found.breaks["short", "linear"], found.breaks["short", "square_root"]) == (64, 64)
    rules = {each.group.batch_size: each.rules for each in found.groups if each.group.technique == "t"}
    holds, fails = Verdict.HOLDS, Verdict.FAILS
    assert rules[64] == {"linear": (0.2, holds), "square_root": (0.141421, holds), "squared": (0.4, fails)}
    assert rules[128] == {"linear": (0.4, fails), "square_root": (0.2, holds), "squared": (None, None)}, "out of range"
    assert rules[256] == {"linear": (0.8, fails), "square_root": (0.282843, holds), "squared": (None, None)}
    assert found.breaks["t", "squared"] == 64


def test_a_group_where_nothing_holds_says_why_and_keeps_an_edge_of_its_own() -> None:
    by_group = {each.group: each for each in answer(DESIGN, OUTCOMES).groups}
    short, starved = by_group[SHORT], by_group[STARVED]
    assert (short.scalable.flags, short.why) == (("none",), "optimisation gap")
    assert short.best.learning_rate == 0.1
    assert 0.1 < short.competitive.lower < 0.2
    assert not short.scales
    assert (starved.points, starved.best, starved.why) == ([], None, "out of memory")
    assert starved.scalable.flags == starved.competitive.flags == ("undecided",)


def test_where_it_may_still_scale_no_reason_is_given() -> None:
    """One rate that falls short says nothing of the others."""
    only = [run for run in OUTCOMES if run.group != SHORT or run.learning_rate == 0.2]
    (short,) = (each for each in answer(DESIGN, only).groups if each.group == SHORT)
    assert (short.scalable.flags, short.why) == (("undecided",), "")


def test_the_table_has_a_row_to_each_group_with_the_numbers_of_the_answer() -> None:
    found = answer(DESIGN, OUTCOMES)
    table = found.frame()
    assert list(table.columns) == [
        *("technique", "batch_size", "runs", "best_learning_rate", "best_accuracy"),
        *(f"competitive_{column}" for column in ("lower", "upper", "held", "failed", "flags")),
        *(f"scalable_{column}" for column in ("lower", "upper", "held", "failed", "flags")),
        *("safe_lower", "safe_upper", "failed_below", "runs_below"),
        *("joint_lower", "joint_upper", "limit", "why_it_stopped"),
        *(f"{rule}_{column}" for rule in RULES for column in ("learning_rate", "verdict")),
    ]
    assert list(zip(table.technique, table.batch_size, strict=True)) == list(GROUPS)
    rows = table.set_index(["technique", "batch_size"])
    assert rows.runs.to_dict() == {SMALL: 17, SHORT: 5, STARVED: 0, **dict(zip(GROUPS[3:], (19, 17, 14), strict=True))}
    assert rows.scalable_upper["t", 64] == found.groups[3].scalable.upper
    assert rows.best_accuracy["short", 64] == pytest.approx(0.875, abs=0.006)
    assert rows.scalable_flags.to_dict()[SHORT] == "none"
    assert rows.why_it_stopped["starved", 64] == "out of memory"
    assert (rows.linear_verdict["t", 128], rows.squared_verdict["t", 128]) == ("fails", "")
    assert math.isnan(rows.squared_learning_rate["t", 128])
    assert math.isnan(rows.best_learning_rate["starved", 64])
    assert math.isnan(rows.scalable_lower["short", 64])


def test_the_setting_a_group_was_measured_with_is_in_its_row() -> None:
    setting = (("optimizer.momentum", 0.95),)
    runs = [run._replace(setting=setting) for run in OUTCOMES if run.group == SMALL]
    design = replace(DESIGN, groups=(SMALL,), rules={}, dimensions=("optimizer.momentum",))
    found = answer(design, runs)
    assert found.groups[0].setting == found.baseline.setting == setting
    assert found.frame()["optimizer.momentum"].tolist() == [0.95]


def test_a_perplexity_is_shown_as_such_though_runs_are_judged_by_the_loss() -> None:
    runs = [Outcome(SMALL, 0.1, seed, "done", -math.log(115.0), -4.0) for seed in range(4)]
    design = replace(DESIGN, groups=(SMALL,), rules={}, metric=Perplexity(), chance=-math.log(1000.0))
    assert answer(design, runs).frame().best_perplexity.tolist() == [pytest.approx(115.0, abs=0.1)]


NONE, SCALES = Edge(None, None, None, None, ("none",)), Edge(0.1, 0.2, 0.1, 0.2, ())


@pytest.mark.parametrize(
    ("runs", "edge", "why"),
    [
        ([done(LARGE, 1.0, 0.80, train=0.80)], NONE, "optimisation gap"),
        ([done(LARGE, 1.0, 0.80, train=0.95)], NONE, "generalisation gap"),
        ([diverged(LARGE, 1.0)], NONE, "diverged"),
        ([diverged(LARGE, 1.0), done(LARGE, 0.5, 0.80, train=0.80)], NONE, "optimisation gap"),
        ([Outcome(LARGE, 1.0, 1, "out_of_memory", 0.1, 0.1)], SCALES, "out of memory"),
        ([done(LARGE, 1.0, 0.92)], SCALES, ""),
        ([], SCALES, ""),
    ],
)
def test_why_a_batch_size_stopped_scaling(runs: list[Outcome], edge: Edge, why: str) -> None:
    outcomes = [*BASELINE, *runs]
    design = replace(DESIGN, groups=(SMALL, LARGE))
    baseline = find_baseline(design, outcomes)
    assert baseline is not None
    assert why_it_stopped(design, outcomes, LARGE, baseline, edge) == why


def test_from_a_baseline_in_the_middle_it_is_told_how_far_up_and_how_far_down() -> None:
    sizes = (16, 32, 64, 128)
    groups, base = tuple(Group("t", size) for size in sizes), Group("t", 64)
    rules = {"linear": tuple(size / 64 for size in sizes), "unscaled": (1.0,) * 4}
    design = replace(DESIGN, groups=groups, baseline=base, rules=rules)
    short = [run._replace(group=groups[0]) for run in FALLS_SHORT]
    runs = [*(run for group in groups[1:] for run in around(group)), *short]
    found = answer(design, runs)
    told = conclusions(design, found)
    assert "t: scales up to batch size 128, the largest tried." in told
    assert "t: scales down to batch size 32; it does not at 16 (optimisation gap)." in told
    assert found.breaks["t", "unscaled"] is None
    assert any("the unscaled rule was not seen to break above the baseline, and at 16 below" in line for line in told)


def test_the_sentences_say_how_far_it_scales_and_what_is_open() -> None:
    told = conclusions(DESIGN, answer(DESIGN, OUTCOMES))
    assert "t: scales up to batch size 256, the largest tried." in told
    assert "t: decided at batch size 32, 64, 128, 256." in told
    assert "short: no batch size is known to scale; it does not at 64 (optimisation gap)." in told
    assert "starved: no batch size is known to scale; it does not at 64 (out of memory)." in told
    assert not any(line.startswith(("t: batch size", "starved: batch size")) for line in told), "nothing is undecided"
    only = [run for run in OUTCOMES if run.group != SHORT or run.learning_rate == 0.2]
    told = conclusions(DESIGN, answer(DESIGN, only))
    assert "short: no batch size is known to scale; open at 64." in told
    assert not any(line.startswith("short: decided") for line in told)
    assert any(line.startswith("short: batch size 64 is undecided: nothing ") for line in told)
