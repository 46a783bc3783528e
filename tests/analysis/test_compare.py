"""Two studies side by side: the same twice, and one whose rates are twice as high."""

from dataclasses import replace

import pandas as pd
import pytest

from analysis.answer import GroupAnswer, answer
from analysis.compare import Side, compared, difference_sentences
from analysis.edge import Edge
from analysis.runs import StudyRuns
from tests.analysis.test_answer import DESIGN, OUTCOMES
from trainables.errors import UserError
from trainables.metric import Perplexity


def side(name: str, factor: float = 1.0, held_equal: str = "epochs", **changes: object) -> Side:
    low, high = DESIGN.learning_rates
    design = replace(DESIGN, learning_rates=(low * factor, high * factor), **changes)
    outcomes = [run._replace(learning_rate=run.learning_rate * factor) for run in OUTCOMES]
    params = {"held_equal": held_equal}
    return Side(StudyRuns(name, "id", design, params, pd.DataFrame()), answer(design, outcomes))


def test_rates_twice_as_high_are_a_factor_2() -> None:
    first, second = side("a"), side("b", factor=2.0)
    rows = compared(first, second)
    assert len(rows) == len(DESIGN.groups)
    known = rows[rows["factor"].notna()]
    assert len(known) >= 2
    assert known["factor"].tolist() == pytest.approx([2.0] * len(known), rel=0.05)
    assert (known["factor_lower"] < 2).all()
    assert (known["factor_upper"] > 2).all()
    told = " ".join(difference_sentences(first, second, rows))
    assert f"{len(known)} edges are known in both" in told
    assert "in a and " in told


def test_a_study_does_not_differ_from_itself() -> None:
    same = side("a")
    rows = compared(same, same)
    known = rows[rows["factor"].notna()]
    assert known["factor"].tolist() == pytest.approx([1.0] * len(known), rel=0.03)
    assert "0 differ." in difference_sentences(same, same, rows)[0]


def test_groups_of_one_study_only_and_other_tolerances_are_said() -> None:
    first, second = side("a"), side("b", tolerance=0.02)
    found = second.found._replace(groups=second.found.groups[:1])
    rows = compared(first, Side(second.runs, found))
    assert (rows["second_flags"] == "not in this study").sum() == len(DESIGN.groups) - 1
    assert "Their tolerances differ" in difference_sentences(first, second, rows)[0]


def test_too_few_steps_is_said_only_where_equal_steps_recover() -> None:
    first, second = side("a"), side("b", held_equal="steps")
    scaling = next(each for each in first.found.groups if each.scales)
    gap = scaling._replace(why="optimisation gap", scalable=Edge(None, None, None, None, ("none",)))

    def told(at_equal_epochs: GroupAnswer, at_equal_steps: GroupAnswer) -> str:
        sides = [
            Side(side.runs, side.found._replace(groups=[group]))
            for side, group in ((first, at_equal_epochs), (second, at_equal_steps))
        ]
        return " ".join(difference_sentences(*sides, compared(*sides)))

    assert "a gave every batch size equal epochs, b equal steps." in told(scaling, scaling)
    assert "too few steps" not in told(scaling, scaling)
    assert "has too few steps at equal epochs: at equal steps it scales." in told(gap, scaling)
    again = gap._replace(
        belief=gap.belief._replace(edges=gap.belief.edges * 0 - float("inf")), why="generalisation gap"
    )
    assert "does not scale at equal steps either (generalisation gap)." in told(gap, again)
    assert "too few steps" not in told(gap, again)
    second = Side(second.runs._replace(params={**second.runs.params, "task": "another"}), second.found)
    assert "too few steps" not in told(gap, scaling), "another task says nothing of this one's steps"


def test_other_metrics_are_refused() -> None:
    first = side("a")
    other = Side(first.runs._replace(name="b", design=replace(DESIGN, metric=Perplexity())), first.found)
    with pytest.raises(UserError, match="are judged by accuracy and perplexity"):
        compared(first, other)
