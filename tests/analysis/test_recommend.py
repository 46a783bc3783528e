"""Recommendations on constructed outcomes, whose edges are known also where nothing ran."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import import_module

import pytest

from analysis.answer import answer
from analysis.outcomes import Group
from analysis.recommend import recommend
from analysis.stored_recipe import stored_recipe
from search_spaces import Study
from search_spaces.service.program import studies
from tests.analysis.test_answer import DESIGN, FALLS_SHORT, OUTCOMES, edge_at
from trainables import Recipe, UserError
from trainables.optimizers import SGD

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
        ("t", 16, "batch size 16: must be 32 to 512, where the law is known to hold; a study with --batch-sizes that"),
        ("t", 513, "batch size 513: must be 32 to 512"),
        ("short", 64, "technique short: no exponent: it takes 3 finite edges, and there are 0; more runs or batch"),
        ("nope", 64, "technique 'nope': must be one of t, short, starved"),
    ],
)
def test_what_is_not_known_is_refused(technique: str, batch_size: int, words: str) -> None:
    with pytest.raises(UserError, match=words):
        recommend(DESIGN, FOUND, technique, batch_size)


def test_nothing_is_recommended_from_where_a_larger_batch_does_not_scale() -> None:
    large = Group("t", 400)
    fails = [run._replace(group=large) for run in FALLS_SHORT]
    groups = (*DESIGN.groups, large)
    rules = {name: (*ratios, 400 / 32) for name, ratios in DESIGN.rules.items()}
    design = replace(DESIGN, groups=groups, rules=rules)
    found = answer(design, [*OUTCOMES, *fails])
    assert found.groups[-1].why == "optimisation gap"
    assert recommend(design, found, "t", 399).reference == 256
    with pytest.raises(UserError, match=r"batch size 512: must be 32 to 399, .* hold; 400 does not scale; a study"):
        recommend(design, found, "t", 512)


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
