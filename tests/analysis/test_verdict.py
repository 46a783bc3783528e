"""Verdicts, and the baseline on constructed outcomes."""

import math
import random
from dataclasses import replace

import pytest

from analysis.group_fits import group_fits
from analysis.outcomes import Group, Outcome
from analysis.study_design import StudyDesign
from analysis.verdict import Verdict, find_baseline, verdict
from tests.analysis.constructed import LARGE, SMALL, diverged, done

DESIGN = StudyDesign((SMALL, LARGE), SMALL, (0.01, 12.8), 0.02, 1.5, 10_000, (), {})


def bowl(rate: float, noise: float = 0.0) -> float:
    """0.90 at 0.1, and 0.8 points less an octave away."""
    return 0.90 - 0.008 * math.log2(rate / 0.1) ** 2 + noise


TUNED = [done(SMALL, rate, bowl(rate), seed=0) for rate in (0.025, 0.05, 0.1, 0.2, 0.4)]


@pytest.mark.parametrize(
    ("chance", "found"),
    [
        (1.0, Verdict.HOLDS),
        (0.95, Verdict.HOLDS),
        (0.5, Verdict.UNDECIDED),
        (0.05, Verdict.FAILS),
        (0.0, Verdict.FAILS),
    ],
)
def test_a_verdict_is_given_at_95_per_cent(chance: float, found: Verdict) -> None:
    assert verdict(chance) is found


def test_a0_is_read_off_all_runs_of_the_baseline() -> None:
    found = find_baseline(DESIGN, TUNED)
    assert (found.learning_rate, found.runs, found.untrained) == (0.1, 5, False)
    assert found.score == pytest.approx(0.90, abs=0.004)
    more = [*TUNED, *(done(SMALL, 0.1, bowl(0.1, noise), seed) for seed, noise in enumerate((-0.004, 0.003, 0.001), 1))]
    assert find_baseline(DESIGN, more).error < found.error


def test_a0_covers_the_truth_with_the_error_that_it_states() -> None:
    draw = random.Random(0)
    away, errors = [], []
    for _ in range(20):
        runs = [done(SMALL, run.learning_rate, run.score + draw.gauss(0, 0.006), seed=0) for run in [*TUNED, TUNED[2]]]
        found = find_baseline(DESIGN, runs)
        away.append(found.score - 0.90)
        errors.append(found.error)
    assert sum(abs(one) < 1.64 * error for one, error in zip(away, errors, strict=True)) >= 14
    assert abs(sum(away)) / len(away) < 0.2 * DESIGN.tolerance, "no bias to speak of"


def test_one_divergence_at_the_best_rate_lowers_no_median() -> None:
    once = find_baseline(
        DESIGN, [*TUNED, *(done(SMALL, 0.1, 0.90, seed) for seed in (1, 2, 3)), diverged(SMALL, 0.1, 4)]
    )
    assert (once.learning_rate, once.untrained) == (0.1, False)
    assert once.score == pytest.approx(0.90, abs=0.006)


@pytest.mark.parametrize("score", [0.1, -0.7, -5.1])
@pytest.mark.parametrize("first", [True, False])
def test_an_awful_run_does_not_move_a0(score: float, first: bool) -> None:
    awful = done(SMALL, 0.8, score, seed=0)
    found = find_baseline(DESIGN, [awful, *TUNED] if first else [*TUNED, awful])
    assert found is not None
    assert found.score == pytest.approx(0.90, abs=0.008)
    assert found.error < 0.01


def test_the_training_score_is_that_of_runs_that_trained() -> None:
    there = [done(SMALL, 0.1, 0.90, seed, train=0.95) for seed in (1, 2, 3)]
    found = find_baseline(DESIGN, [*there, diverged(SMALL, 0.1, 4)])
    assert found is not None
    assert found.train_score == pytest.approx(0.95)


def test_nothing_can_be_judged_against_runs_that_all_diverged() -> None:
    assert find_baseline(DESIGN, [diverged(SMALL, rate, 0) for rate in (0.1, 0.4)]).untrained
    guessing = replace(DESIGN, chance=0.5)
    assert find_baseline(guessing, [done(SMALL, 0.1, 0.505), diverged(SMALL, 0.4, 0)]).untrained
    assert not find_baseline(guessing, [done(SMALL, 0.1, 0.505), done(SMALL, 0.2, 0.6)]).untrained
    assert not find_baseline(replace(DESIGN, chance=None), [done(SMALL, 0.1, -5.0)]).untrained, (
        "without classes there is no guess"
    )
    assert find_baseline(DESIGN, [done(LARGE, 0.1, 0.9)]) is None
    assert find_baseline(DESIGN, [Outcome(SMALL, 0.1, 0, "failed", math.nan, math.nan)]) is None


def test_a_baseline_is_fitted_with_its_best_setting_alone() -> None:
    setting = (("optimizer.momentum", 0.9),)
    worse = [run._replace(setting=(("optimizer.momentum", 0.1),), score=run.score - 0.2) for run in TUNED]
    found = find_baseline(DESIGN, [*worse, *(run._replace(setting=setting) for run in TUNED)])
    assert (found.setting, found.runs) == (setting, 5)


def test_scores_are_fitted_in_tolerances_with_the_floor_of_the_validation_samples() -> None:
    few = replace(DESIGN, validation_samples=100)
    (run,) = group_fits(few, [TUNED[2]])[SMALL].runs
    assert run.score == pytest.approx(0.90 / 0.02)
    assert run.floor == pytest.approx(math.sqrt(0.9 * 0.1 / 100) / 0.02)
    assert run.x == math.log2(0.1)
    given_up = Outcome(LARGE, 0.4, 1, "stopped_early", 0.3, 0.3)
    (run,) = group_fits(DESIGN, [*TUNED, given_up])[LARGE].runs
    assert (run.futile, run.score) == (True, pytest.approx(0.88 / 0.02)), "it could not reach A0 - tolerance"


def test_the_groups_of_a_technique_learn_their_shape_together_and_no_others_do() -> None:
    other = Group("other", SMALL.batch_size)
    design = replace(DESIGN, groups=(SMALL, LARGE, other))
    few = [done(LARGE, 0.1, 0.9), done(LARGE, 0.2, 0.9)]
    loud = [done(other, rate, 0.9 + 0.05 * (-1) ** seed, seed) for rate in (0.1, 0.2) for seed in range(4)]
    alone, beside = group_fits(design, [*TUNED, *few]), group_fits(design, [*TUNED, *few, *loud])
    assert beside[LARGE] == alone[LARGE]
    assert [len(runs) for _, runs in beside[LARGE].others] == [len(TUNED)]
    assert beside[other].others == ()
