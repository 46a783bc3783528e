"""How long does it take to read a large study back?

    python -m benchmarks.reading                 # 2,000 runs of 200 epochs in sqlite

A hundred made-up runs are written as a study writes them, in larger batches, and then copied within the database, since
MLflow would take ten minutes to write them all. Reading is compared with asking MLflow for every run and number by
itself, which is timed on some of the runs.
"""

import tempfile
import time
from pathlib import Path

import mlflow
import numpy as np
from mlflow.store.tracking.dbmodels.models import SqlLatestMetric, SqlMetric, SqlParam, SqlRun, SqlTag
from sqlalchemy import create_engine, func, literal, select

from analysis.outcomes import Group
from analysis.runs import load_runs
from analysis.study_design import StudyDesign
from benchmarks.result import benchmark_parser, show
from search_spaces.service.parent_run import Record, begin, open_store
from search_spaces.service.tracking import Tracker

SIZES, RATES = (32, 128, 512, 2048), np.geomspace(0.01, 2.56, 25)
WRITTEN = 100
"""How many runs are written through MLflow."""
FEW = 50
"""How many runs are read one by one."""


def main() -> None:
    parser = benchmark_parser(__doc__, "200 runs of 20 epochs, which proves nothing")
    options = parser.parse_args()
    copies, epochs = (2, 20) if options.quick else (20, 200)
    with tempfile.TemporaryDirectory() as folder:
        uri = f"sqlite:///{folder}/mlflow.db"
        start = time.perf_counter()
        written_ids = _write(uri, Path(folder), epochs)
        for number in range(1, copies):
            _copy(uri, written_ids, f"x{number:02}")
        written = time.perf_counter() - start
        start = time.perf_counter()
        study = load_runs("reading", uri)
        read = time.perf_counter() - start
        assert len(study.frame) == copies * WRITTEN
        assert all(len(curve) == epochs for curve in study.curves.values())
        client = mlflow.MlflowClient(uri)
        names = next(iter(study.curves.values())).columns
        start = time.perf_counter()
        for run_id in study.frame["run_id"][:FEW]:
            for name in names:
                client.get_metric_history(run_id, name)
        one_by_one = (time.perf_counter() - start) * copies * WRITTEN / FEW
    raw = {"written": [written], "read": [read], f"read one by one, from {FEW} runs": [one_by_one]}
    show({"one_by_one_vs_read": one_by_one / read}, raw, options.json)


def _write(uri: str, folder: Path, epochs: int) -> list[str]:
    """Write a study of made-up runs, and give the ids of these runs."""
    groups = tuple(Group("made_up", size) for size in SIZES)
    design = StudyDesign(groups, groups[0], (0.01, 2.56), 0.01, 1.5, 10_000, (), {}, train_samples=50_000)
    client = open_store(uri)
    parent = begin(client, Record("reading", design.to_json(), {"budget": "made up"}, folder))
    tracker = Tracker(client, parent, folder / "outbox.jsonl")
    generator = np.random.default_rng(0)
    for number in range(WRITTEN):
        size, rate = SIZES[number % len(SIZES)], float(RATES[number // len(SIZES) % len(RATES)])
        params = {"technique": "made_up", "batch_size": size, "learning_rate": rate, "seed": number}
        tracker.start(str(number), f"run {number}", params)
        best = 0.9 - 0.02 * (np.log2(rate / 0.1) - np.log2(size / 32) / 2) ** 2 + 0.002 * generator.standard_normal()
        steps = np.arange(1, 1 + epochs)
        accuracy = best * (1 - np.exp(-5 * steps / epochs))
        series = {
            "train_loss": 1 - accuracy,
            "train_accuracy": accuracy,
            "validation_loss": 1 - accuracy,
            "validation_accuracy": accuracy,
            "samples": 50_000.0 * steps,
            "steps": (50_000 // size) * steps,
            "train_seconds": 2.0 * steps,
        }
        pairs = {name: list(zip(steps.tolist(), map(float, values), strict=True)) for name, values in series.items()}
        tracker.log(str(number), {"epoch": float(epochs)}, epochs, pairs)
        tracker.end(str(number), "done")
    assert tracker.close("done") == 0
    return list(load_runs("reading", uri, curves=False).frame["run_id"])


def _copy(uri: str, run_ids: list[str], prefix: str) -> None:
    """Copy runs within a database. The ids of the copies begin with the prefix, which none of MLflow's own does."""
    engine = create_engine(uri)
    with engine.begin() as connection:
        for model in (SqlRun, SqlTag, SqlParam, SqlMetric, SqlLatestMetric):
            table = model.__table__
            own = literal(prefix).concat(func.substr(table.c.run_uuid, len(prefix) + 1))
            columns = [own if column.name == "run_uuid" else column for column in table.columns]
            rows = select(*columns).where(table.c.run_uuid.in_(run_ids))
            connection.execute(table.insert().from_select(list(table.columns.keys()), rows))
    engine.dispose()


if __name__ == "__main__":
    main()
