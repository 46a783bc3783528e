"""Three sentences: of constructed studies that scale up, down, or not at all, and of what is open."""

import re
from dataclasses import replace

import pandas as pd
import pytest

from analysis.answer import answer
from analysis.headline import headline
from analysis.outcomes import Group
from tests.analysis.constructed import SMALL
from tests.analysis.test_answer import DESIGN, MEASURED, NO_ROOM, OUTCOMES, STARVED, around

FRAME = pd.DataFrame({"train_seconds": [40.0, 50.0]})
T = tuple(Group("t", size) for size in (32, 64, 128, 256))


def test_a_study_that_scales_says_how_far_by_which_law_and_that_it_is_decided() -> None:
    design = replace(DESIGN, groups=T, rules={})
    runs = [*MEASURED, *(run for group in T for run in around(group))]
    how_far, law, sure = headline(design, answer(design, runs), FRAME)
    assert how_far.startswith("With t, the learning rate scales up to batch size 256, where it may be as high as 0.4")
    assert "times as high as at 32" in how_far
    exponent = re.search(r"grows as the batch size to the power (\d\.\d+) ", law)
    assert exponent is not None
    assert float(exponent[1]) == pytest.approx(0.5, abs=0.05)
    assert "agrees with the square-root rule's 0.5" in law
    assert sure == "It took 2 runs, 2 minutes of training, and decided every batch size."


def test_what_stops_it_and_what_is_open_is_said_but_not_that_memory_may_come() -> None:
    how_far, _, sure = headline(DESIGN, answer(DESIGN, OUTCOMES), FRAME)
    assert "scales up to batch size 256" in how_far
    assert f"{STARVED.technique} at" not in sure, "more runs would not give it memory"
    alone = replace(DESIGN, groups=(SMALL, STARVED), rules={})
    how_far, law, _ = headline(alone, answer(alone, [*MEASURED, *around(SMALL), *NO_ROOM]), FRAME)
    assert "no batch size above the baseline's 32 is known to scale" in how_far
    assert law.startswith("There is no exponent yet: it takes 3 finite edges")


def test_a_study_that_scales_down_says_how_far_down() -> None:
    design = replace(DESIGN, groups=T, baseline=T[-1], rules={})
    runs = [run for group in T for run in around(group)]
    how_far, _, _ = headline(design, answer(design, runs), FRAME)
    assert how_far == "With t, the learning rate scales down from batch size 256 to 32."
