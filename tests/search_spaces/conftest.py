"""A place to run commands in, which must be empty of processes afterwards; commands that are refused; and plans."""

import math
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from analysis.outcomes import Group
from analysis.study_design import StudyDesign
from search_spaces.digits_cnn import BUDGETS
from search_spaces.policy.plan import Plan
from search_spaces.service import command_line
from search_spaces.study import Study
from tests.search_spaces.place import Place, one_line
from tests.search_spaces.synthetic import SIZES, MakePlan


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    yield place
    assert place.wait_until_empty(10) == []


@pytest.fixture
def refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Iterator[Callable[..., str]]:
    """The one line that a command leaves with, run in this process up to the point where it would end it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command_line, "_leave", sys.exit)
    for name in ("RAY_ADDRESS", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    handlers = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}

    def ask(*arguments: str, budgets: Mapping[str, Study] = BUDGETS) -> str:
        monkeypatch.setattr(sys, "argv", ["study", *arguments])
        with pytest.raises(SystemExit) as left:
            command_line.main(budgets)
        code = left.value.code
        assert isinstance(code, int)
        return one_line(subprocess.CompletedProcess(arguments, code, *capsys.readouterr()))

    yield ask
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture
def make_plan() -> MakePlan:
    """Plans for the synthetic trainers: one technique at five batch sizes, two rules, no further dimensions."""

    def make(max_runs: int = 60, resolution: float = 1.5) -> Plan:
        groups = tuple(Group("t", size) for size in SIZES)
        rules = {
            "linear": tuple(size / SIZES[0] for size in SIZES),
            "square_root": tuple(math.sqrt(size / SIZES[0]) for size in SIZES),
        }
        design = StudyDesign(groups, groups[0], (0.01, 12.8), 0.02, resolution, 10_000, (), rules)
        grace = dict.fromkeys(groups, 2)
        return Plan(design, first=0.1, seeds=3, seeds_near_margin=3, max_runs=max_runs, epochs=10, grace_epochs=grace)

    return make
