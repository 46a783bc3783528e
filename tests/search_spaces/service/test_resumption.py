"""Going on with a study: only the same one, and only one process at a time."""

import re
from pathlib import Path

import pytest

from analysis.outcomes import Group
from search_spaces.service.resumption import check_same, claimed, passes_from_json, passes_to_json
from trainables import UserError


def test_a_study_that_has_become_another_does_not_go_on() -> None:
    def model() -> None: ...

    def other() -> None: ...

    stored = {"tolerance": "0.025", "max_runs": "20", "task": f"Task(model={model})", "held_equal": "seconds"}
    now = {
        "tolerance": 0.025,
        "max_runs": 40,
        "task": f"Task(model={model})".replace("0x", "0x1"),
        "held_equal": "seconds",
    }
    check_same("s", stored, now)
    for changed, words in (
        ({"tolerance": 0.05}, "tolerance of s was 0.025, and is now 0.05; --name begins another study"),
        ({"task": f"Task(model={other})"}, "task of s was "),
        ({"technique.new": "Recipe()"}, "technique.new of s was not there, and is now Recipe()"),
        ({"workers": 4}, "workers of s was not there, and is now 4"),
    ):
        with pytest.raises(UserError, match=re.escape(f"--resume: {words}")):
            check_same("s", stored, {**now, **changed})
    check_same("s", {**stored, "held_equal": "epochs"}, {**now, "held_equal": "epochs", "workers": 4})


def test_a_folder_has_one_process(tmp_path: Path) -> None:
    with (
        claimed(tmp_path / "s"),
        pytest.raises(UserError, match="another process runs a study there"),
        claimed(tmp_path / "s"),
    ):
        pass
    with claimed(tmp_path / "s"):
        pass


def test_measured_passes_are_kept() -> None:
    passes = {Group("a", 16): 1.0, Group("b", 64): 2.41}
    assert passes_from_json(passes_to_json(passes)) == passes
