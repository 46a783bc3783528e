"""Recommendations on constructed outcomes, whose edges are known also where nothing ran."""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module

import pandas as pd
import pytest

import analysis.recommend
from analysis.answer import answer
from analysis.outcomes import Group, Outcome
from analysis.paper_table import PaperTable
from analysis.recommend import recommend, sentences
from analysis.runs import StudyRuns
from analysis.stored_recipe import stored_recipe
from analysis.study_design import StudyDesign
from search_spaces import Study
from search_spaces.service.program import studies
from tests.analysis.test_answer import DESIGN, FALLS_SHORT, OUTCOMES, edge_at
from trainables import Recipe, UserError
from trainables.optimizers import SGD, Adam
from trainables.scaling import AdaptiveSquareRootScaling
from trainables.warmup import LEGWarmup, LinearWarmup

FOUND = answer(DESIGN, OUTCOMES)


@pytest.mark.parametrize("batch_size", [48, 96, 192, 384, 512])
def test_the_edge_of_a_batch_size_that_did_not_run_is_told_from_those_that_did(batch_size: int) -> None:
    told = recommend(DESIGN, FOUND, "t", batch_size)
    assert told.lower < edge_at(batch_size) < told.upper
    assert told.learning_rate <= told.lower
    assert told.reference == max(size for size in (32, 64, 128, 256) if size <= batch_size)
    assert told.score_lower < 0.90 < told.score_upper
    assert told.form == ""


def test_an_interval_is_wider_farther_away_and_as_measured_where_it_was() -> None:
    near, far = (recommend(DESIGN, FOUND, "t", size) for size in (300, 512))
    assert far.upper / far.lower > near.upper / near.lower
    told = recommend(DESIGN, FOUND, "t", 128)
    (ran,) = (each.scalable for each in FOUND.groups if each.group == Group("t", 128))
    assert ran.lower * 0.97 < told.lower < told.upper < ran.upper * 1.03


def test_scores_go_on_as_they_fell() -> None:
    falling = [
        run._replace(score=run.score - 0.002 * (run.group.batch_size // 128)) if run.status == "done" else run
        for run in OUTCOMES
        if run.group.technique == "t"
    ]
    groups = tuple(group for group in DESIGN.groups if group.technique == "t")
    rules = {
        name: tuple(ratio for ratio, group in zip(ratios, DESIGN.groups, strict=True) if group in groups)
        for name, ratios in DESIGN.rules.items()
    }
    design = replace(DESIGN, groups=groups, rules=rules)
    told = recommend(design, answer(design, falling), "t", 512)
    assert told.score == pytest.approx(0.894, abs=0.0015)
    assert told.bar == pytest.approx(0.89, abs=0.002)


@pytest.mark.parametrize(
    ("technique", "batch_size", "words"),
    [
        (
            "t",
            16,
            "batch size 16: must be 32 to 512, told from edges at 32 to 256; a study with other --batch-sizes would",
        ),
        ("t", 513, "batch size 513: must be 32 to 512"),
        ("short", 64, "technique short: no exponent: it takes 3 finite edges, and there are 0; more runs or batch"),
        ("nope", 64, "technique 'nope': must be one of t, short, starved"),
    ],
)
def test_what_is_not_known_is_refused(technique: str, batch_size: int, words: str) -> None:
    with pytest.raises(UserError, match=words):
        recommend(DESIGN, FOUND, technique, batch_size)


def test_nothing_is_recommended_from_where_a_batch_size_does_not_scale() -> None:
    large = Group("t", 400)
    fails = [run._replace(group=large) for run in FALLS_SHORT]
    groups = (*DESIGN.groups, large)
    rules = {name: (*ratios, 400 / 32) for name, ratios in DESIGN.rules.items()}
    design = replace(DESIGN, groups=groups, rules=rules)
    found = answer(design, [*OUTCOMES, *fails])
    assert found.groups[-1].why == "optimisation gap"
    assert recommend(design, found, "t", 399).reference == 256
    for size in (400, 512):
        with pytest.raises(UserError, match=rf"batch size {size}: .* because batch size 400 does not scale \(optim"):
            recommend(design, found, "t", size)


def test_where_only_the_prior_limits_every_edge_there_is_nothing_to_scale_from() -> None:
    """Every batch size holds at the highest rate that ran; a law has some edges then, the report has none."""
    held = [run for run in OUTCOMES if run.group.technique == "t" and run.status == "done"]
    found = answer(DESIGN, held)
    assert not any(each.scalable.finite for each in found.groups)
    with pytest.raises(UserError, match="technique t: no "):
        recommend(DESIGN, found, "t", 96)


def test_before_the_baseline_has_learnt_there_is_nothing_to_recommend() -> None:
    with pytest.raises(UserError, match="no run of its baseline has learnt anything"):
        recommend(DESIGN, answer(DESIGN, []), "t", 64)


@dataclass(frozen=True)
class Own(SGD):
    """Somebody's own optimizer."""


def test_every_recipe_of_the_studies_is_read_back_from_its_text() -> None:
    for name in studies():
        budgets: Mapping[str, Study] = import_module(f"search_spaces.{name}").BUDGETS
        for study in budgets.values():
            for recipe in study.all_techniques.values():
                assert stored_recipe(repr(recipe)) == recipe
    assert stored_recipe(repr(Recipe(optimizer=Own()))) is None
    assert stored_recipe("__import__('os').getcwd()") is None
    assert stored_recipe("") is None


def stored(design: StudyDesign, outcomes: Sequence[Outcome], recipe: Recipe) -> StudyRuns:
    """Runs as they come from MLflow."""
    rows = [
        {
            "run_id": str(at),
            "technique": run.group.technique,
            "batch_size": run.group.batch_size,
            "learning_rate": run.learning_rate,
            "seed": run.seed,
            "status": run.status,
            "setting": run.setting,
            "validation_loss": 1.0,
            "validation_accuracy": run.score,
            "train_loss": 1.0,
            "train_accuracy": run.train_score,
            "epoch": 10.0,
            "passes": run.group.batch_size / 32,
            "samples": 1000.0,
            "train_seconds": 1.0,
        }
        for at, run in enumerate(outcomes)
    ]
    params = {"technique.t": repr(recipe)}
    return StudyRuns("constructed", "id", design, params, pd.DataFrame(rows))


RECIPE = Recipe(
    base_batch_size=32, optimizer=Adam(), scaling=AdaptiveSquareRootScaling(), warmup=LEGWarmup(base_epochs=0.5)
)


def test_what_sets_it_follows_the_recipe_at_that_batch_size() -> None:
    design = replace(DESIGN, train_samples=9600)
    told = sentences(stored(design, OUTCOMES, RECIPE), recommend(design, FOUND, "t", 96))
    assert told[0].startswith("t at batch size 96: learning rate 0.1")
    assert "It is warmed up for 1.5 epochs." in told
    assert any(line.startswith("The scaling moves the optimizer too: Adam(beta1=0.7") for line in told)
    assert any("--batch-size 96 --warmup-epochs 2 " in line for line in told)
    assert any(f"warmup_steps={round(1.5 * 9600 / 96)})" in line for line in told)


def test_where_steps_were_held_equal_schedules_are_stretched() -> None:
    """Those of LEGW keep their steps, and a warm-up told in epochs grows with the passes."""
    design = replace(DESIGN, train_samples=9600)
    found = recommend(design, FOUND, "t", 96)
    for warmup, epochs in ((LEGWarmup(base_epochs=0.5), 1.5), (LinearWarmup(epochs=2), 6)):
        runs = stored(design, OUTCOMES, replace(RECIPE, warmup=warmup))
        told = sentences(runs._replace(params={**runs.params, "held_equal": "steps"}), found)
        assert "For equal steps, its schedule takes 30 passes over the training set." in told
        assert f"It is warmed up for {epochs:g} epochs." in told


def test_a_searched_warm_up_is_the_one_that_was_measured() -> None:
    found = recommend(DESIGN, FOUND, "t", 96)._replace(setting=(("warmup.base_epochs", 2.0),))
    told = sentences(stored(DESIGN, OUTCOMES, RECIPE), found)
    assert "warmup.base_epochs 2, scaled from batch size 64." in told[0]
    assert "It is warmed up for 6 epochs." in told


def test_a_score_below_the_bar_takes_the_edge_back() -> None:
    found = recommend(DESIGN, FOUND, "t", 96)
    runs = stored(DESIGN, OUTCOMES, Recipe(optimizer=Own()))
    told = sentences(runs, found._replace(score=0.8, score_lower=0.79, score_upper=0.81))
    assert "so this batch size is not expected to scale." in told[2]
    assert not any("maximum scalable" in line for line in told)
    assert any("its warm-up is not known here" in line for line in told)
    told = sentences(runs, found._replace(score=found.bar - 0.001, score_lower=0.87, score_upper=0.9))
    assert told[2].startswith("If it reaches 89.0")


def test_every_technique_is_told_of_and_those_without_a_law_say_why(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = stored(DESIGN, OUTCOMES, RECIPE)
    monkeypatch.setattr(analysis.recommend, "load_runs", lambda *_, **__: runs)
    options = argparse.Namespace(study="constructed", batch_size=96, technique=None, tracking_uri=None)
    assert analysis.recommend.main(options) == 0
    told = capsys.readouterr()
    assert "t at batch size 96: learning rate" in told.out
    assert told.err.count("error: technique") == 2
    options.technique = "short"
    assert analysis.recommend.main(options) == 2
    monkeypatch.setattr(
        analysis.recommend, "load_runs", lambda *_, **__: runs._replace(tables=(PaperTable("I", "", ()),))
    )
    assert analysis.recommend.main(options) == 2
    assert "ran papers' tables the last time" in capsys.readouterr().err
