"""A study from Python: run_study in a script of a user's own, with real Ray, Optuna and MLflow."""

import json

import mlflow
import pandas as pd
import pytest

from analysis.runs import load_runs
from search_spaces import run_study
from search_spaces.digits_cnn import QUICK
from tests.search_spaces.place import Place
from trainables import UserError

SCRIPT = """
import io
import json
from dataclasses import dataclass, replace
from pathlib import Path

import ray
from rich.console import Console

from search_spaces import run_study
from search_spaces.digits_cnn import QUICK
from trainables import Recipe
from trainables.optimizers import Optimizer


@dataclass(frozen=True)
class Broken(Optimizer):
    def __call__(self, parameters):
        raise RuntimeError("no such optimizer")


if __name__ == "__main__":
    study = QUICK.with_choices(batch_sizes=(16, 64), max_runs=10, seeds=2, resolution=1.1, learning_rates=(0.05, 25.0))
    options = {"results": "here", "tracking": "sqlite:///own.db"}
    first = run_study(study, keep_ray=True, console=Console(quiet=True), **options)
    kept = ray.is_initialized()
    session = ray.get_runtime_context().get_node_id()
    told = io.StringIO()
    broken = study.with_choices(name="broken", techniques={"broken": Recipe(optimizer=Broken())}, max_runs=7)
    second = run_study(broken, keep_ray=True, console=Console(file=told, width=100), **options)
    again = ray.get_runtime_context().get_node_id() == session
    more = study.with_choices(max_runs=12)
    further = run_study(more, keep_ray=True, resume=True, console=Console(quiet=True), **options)
    third = run_study(study.with_choices(name="third", max_runs=7), console=Console(quiet=True), **options)
    print(json.dumps({
        "answered": [[each.group.batch_size, each.scalable.flags] for each in first.answer.groups],
        "frontier": first.frontier.batch_size.tolist(),
        "runs": [len(each.runs) for each in (first, second, third, further)],
        "went_on": further.runs.run_id.tolist()[:10] == first.runs.run_id.tolist(),
        "files": [str(path) for path in first.files],
        "names": [first.name, second.name, third.name],
        "told": told.getvalue(),
        "unanswered": [second.answer.baseline, second.files.picture],
        "kept": kept, "again": again, "left": ray.is_initialized(), "run_ids": [first.run_id, further.run_id],
    }))
"""


@pytest.mark.slow
def test_a_study_runs_from_python(place: Place) -> None:
    """It answers in data frames, prints only where it is told to, and leaves Ray running only where it is asked to."""
    (place.folder / "script.py").write_text(SCRIPT)
    done = place.run(module="script")
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert [size for size, _ in found["answered"]] == found["frontier"] == [16, 64]
    assert found["runs"] == [10, 6, 7, 12], "a broken technique is tried at six rates"
    assert found["went_on"], "with more runs allowed, a study that had ended goes on"
    assert found["names"] == ["digits_cnn", "broken", "third"]
    assert found["kept"], "as asked"
    assert found["again"], "the second study used the same cluster"
    assert not found["left"], "as by default"
    table, picture, drawing, page, _ = (place.folder / path for path in found["files"])
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert "<svg" in drawing.read_text()
    assert "vegaEmbed" in page.read_text()
    uri = f"sqlite:///{place.folder / 'own.db'}"
    runs = load_runs("digits_cnn", uri)
    assert found["run_ids"] == [runs.parent_id] * 2
    assert len(pd.read_csv(table)) == 2

    assert found["unanswered"] == [None, None]
    assert "         RuntimeError: no such optimizer\n" in found["told"]
    assert found["told"].count("Traceback (most recent call last)") == 1, "what a worker raised, once"
    assert "script.py" in found["told"], "and where"
    failed = load_runs("broken", uri).frame
    assert set(failed.status) == {"failed"}
    client = mlflow.MlflowClient(uri)
    for run_id in failed.run_id:
        assert [each.path for each in client.list_artifacts(run_id)] == ["traceback.txt"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"search": "random"}, "search 'random': must be frontier, optuna, grid"),
        ({"workers": 0}, "workers 0: must be at least 1"),
        ({"concurrent_trials": 0}, "concurrent trials 0: must be at least 1"),
        ({"results": "/proc/results"}, "results directory /proc/results/digits_cnn: cannot be written"),
        ({"tracking": "sqlite:////proc/mlflow.db"}, "tracking store sqlite:////proc/mlflow.db: cannot be written"),
        ({"tables": True}, "Toy table: technique 'nope' is not one of warmup"),
    ],
)
def test_what_cannot_be_run_raises_in_one_line(
    options: dict[str, object], words: str, monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    study = QUICK
    if "tables" in options:
        (table,) = QUICK.tables
        wrong = table.runs[0]._replace(technique="nope")
        study = QUICK.with_choices(tables=(type(table)(table.name, "", (wrong,)),))
    with pytest.raises(UserError, match=words) as caught:
        run_study(study, **options)
    assert "\n" not in str(caught.value)


MY_STUDY = '''
"""How far does a regression of one's own scale?"""

from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.data import Dataset

from search_spaces import Study, main
from trainables import Recipe, Task
from trainables.data import DatasetData
from trainables.loss import SquaredError
from trainables.metric import Metric
from trainables.optimizers import SGD


class Waves(Dataset):
    def __init__(self, samples):
        self.x = torch.linspace(-2, 2, samples)[:, None]

    def __len__(self):
        return len(self.x)

    def __getitem__(self, number):
        return self.x[number], torch.sin(3 * self.x[number]) + 0.05 * torch.randn(1)


@dataclass(frozen=True)
class AbsoluteError(Metric):
    lower_is_better = True

    def total(self, outputs, targets):
        return (outputs - targets).abs().sum()


def model():
    return nn.Sequential(nn.Linear(1, 16), nn.Tanh(), nn.Linear(16, 1))


STUDY = Study(
    name="waves",
    question="how far does a regression of my own scale?",
    task=Task(model, DatasetData(Waves(256), Waves(100)), epochs=4, loss=SquaredError(), metric=AbsoluteError()),
    techniques={"sgd": Recipe(base_batch_size=16, optimizer=SGD(momentum=0.9))},
    batch_sizes=(16, 32),
    learning_rates=(0.001, 8.0),
    first_learning_rate=0.05,
    tolerance=0.1,
    resolution=1.1,
    seeds=2,
    max_runs=9,
)

if __name__ == "__main__":
    main({"quick": STUDY})
'''


@pytest.mark.slow
def test_a_study_file_of_ones_own_works_as_a_command(place: Place) -> None:
    """Outside the package, with its own data set and metric; the report reads it back without the file."""
    (place.folder / "my_study.py").write_text(MY_STUDY)
    helped = place.run("--help", module="my_study")
    assert helped.stdout.startswith("usage: python -m my_study ")
    done = place.run(module="my_study")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "A0 = 0." in done.stdout
    table = (place.folder / "results" / "waves" / "frontier.csv").read_text()
    assert "best_absolute_error" in table
    frame = load_runs("waves", f"sqlite:///{place.folder / 'mlflow.db'}").frame
    assert len(frame) == 9
    assert frame.validation_absolute_error.notna().all()
    (place.folder / "my_study.py").unlink()
    again = place.run("waves", "--results-dir", "again", module="analysis.report")
    assert again.returncode == 0, again.stderr
    assert (place.folder / "again/waves/frontier.csv").read_text() == table
