"""Rows of papers' tables, trained with PyTorch alone, several at a time on one device, as many as the time allows.

    python -m benchmarks.paper_rows cifar_resnet --minutes 60 --folder rows            # on a machine with a GPU
    python -m benchmarks.paper_rows cifar_resnet --folder rows --report                # where Ray and MLflow are, too

Training needs neither Ray nor MLflow. A row that has not ended when the time is up goes on in the next call with the
same folder. On a GPU, a small network at one batch size leaves most of the device idle, so several processes share it;
seconds per epoch are then those of rows that disturb one another, and no speed-up can be read off them.
"""

import argparse
import json
import queue
import sys
import time
from dataclasses import replace
from importlib import import_module
from multiprocessing.queues import Queue
from pathlib import Path
from typing import Any

import pandas as pd
import torch
import torch.multiprocessing

import search_spaces
from search_spaces import Study
from search_spaces.policy.plan import Proposal
from search_spaces.service.tables import table_runs
from trainables.engine.run import Run
from trainables.errors import UserError, require
from trainables.history import RUNNING
from trainables.recipe import EPOCHS, WORKERS

WAIT_SECONDS = 2.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", help="the study whose tables are run, such as cifar_resnet")
    parser.add_argument("--budget", default="paper", help="the study's budget (default: %(default)s)")
    parser.add_argument(
        "--rows", nargs="*", default=[], metavar="TECHNIQUE[:SIZE,...]", help="which rows, in this order (default: all)"
    )
    parser.add_argument("--minutes", type=float, default=60.0, help="how long to train (default: %(default)g)")
    parser.add_argument("--processes", type=int, default=1, help="rows at a time (default: %(default)s)")
    parser.add_argument("--folder", type=Path, required=True, help="where rows are kept")
    parser.add_argument("--data-dir", type=Path, default=Path("~/.cache/batchscale"), help="(default: %(default)s)")
    parser.add_argument("--report", action="store_true", help="train nothing; print the tables and draw their figures")
    options = parser.parse_args()
    try:
        study = _study(options.study, options.budget)
        if options.report:
            report(study, options.budget, options.folder)
        else:
            train_rows(options, study, chosen(study, options.rows))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _study(name: str, budget: str) -> Study:
    studies = sorted(path.stem for path in Path(search_spaces.__file__).parent.glob("*.py"))
    require(name in studies, f"study {name}: is not one of {', '.join(each for each in studies if each[0] != '_')}")
    budgets: dict[str, Study] = import_module(f"search_spaces.{name}").BUDGETS
    having = ", ".join(each for each, study in budgets.items() if study.tables)
    require(budget in budgets and bool(budgets[budget].tables), f"budget {budget}: must be one with tables: {having}")
    return budgets[budget].check_tables(workers=1)


def chosen(study: Study, patterns: list[str]) -> list[Proposal]:
    """The rows of the study's tables that the patterns name, in their order; all where there are none.

    Raises:
        UserError: a pattern names no row.
    """
    runs = table_runs(study)
    if not patterns:
        return runs
    found = []
    for pattern in patterns:
        technique, _, sizes = pattern.partition(":")
        wanted = [int(size) for size in sizes.split(",")] if sizes else [None]
        for size in wanted:
            rows = [run for run in runs if run.group.technique == technique and size in (None, run.group.batch_size)]
            there = ", ".join(dict.fromkeys(f"{run.group.technique}:{run.group.batch_size}" for run in runs))
            require(len(rows) > 0, f"rows {pattern}: no table has them; there are {there}")
            found += rows
    return list(dict.fromkeys(found))


def train_rows(options: argparse.Namespace, study: Study, runs: list[Proposal]) -> None:
    """Train rows until all have ended or the time is up. Rows that ended before are not trained again."""
    options.folder.mkdir(parents=True, exist_ok=True)
    study.task.data.load(options.data_dir.expanduser())  # fetched once, or refused
    context = torch.multiprocessing.get_context("spawn")
    waiting: Queue[Proposal] = context.Queue()
    for run in runs:
        if _read(options.folder, run)["status"] == RUNNING:
            waiting.put(run)
    deadline = time.time() + 60 * options.minutes
    arguments = (options.study, options.budget, options.folder, options.data_dir.expanduser(), deadline, waiting)
    processes = [context.Process(target=_work, args=arguments) for _ in range(options.processes)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    failed = [process.exitcode for process in processes if process.exitcode]
    require(not failed, f"processes: {len(failed)} of {len(processes)} failed; what they trained is not kept")


def _work(name: str, budget: str, folder: Path, data_dir: Path, deadline: float, waiting: "Queue[Proposal]") -> None:
    """Train one row after the other in this process."""
    torch.set_num_threads(1)
    study = _study(name, budget)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    data = study.task.data.load(data_dir).to(device)
    while time.time() < deadline:
        try:
            proposal = waiting.get(timeout=WAIT_SECONDS)
        except queue.Empty:
            return
        run = Run(
            replace(study.table_task, epochs=int(dict(proposal.setting or ())[EPOCHS])),
            study.all_techniques[proposal.group.technique],
            data,
            proposal.group.batch_size,
            proposal.learning_rate,
            study.first_seed + proposal.seed,
        )
        _train(run, proposal, folder, deadline)


def _train(run: Run, proposal: Proposal, folder: Path, deadline: float) -> None:
    found, state = _read(folder, proposal), _path(folder, proposal).with_suffix(".pt")
    if state.exists():
        run.load_state_bytes(state.read_bytes())
    found["epochs"] = found["epochs"][: run.state_dict()["epoch"]]  # one of the two files may be older
    while run.status == RUNNING and time.time() < deadline:
        report = run.train_epoch()
        found["epochs"].append({"numbers": report.numbers(), "series": report.series})
    found["status"] = run.status
    if run.status == RUNNING:
        _write(state, run.state_bytes())
    _write(_path(folder, proposal), json.dumps(found).encode())
    if run.status != RUNNING:
        state.unlink(missing_ok=True)
    last = found["epochs"][-1]["numbers"] if found["epochs"] else {"epoch": 0.0, "train_seconds": 0.0}
    seconds = last["train_seconds"] / max(1.0, last["epoch"])
    print(
        f"{_path(folder, proposal).stem}: {run.status} after epoch {last['epoch']:g}, {seconds:.2f} s each", flush=True
    )


def _write(path: Path, content: bytes) -> None:
    """Write a file completely or not at all."""
    part = path.with_name(f"{path.name}.part")
    part.write_bytes(content)
    part.replace(path)


def _path(folder: Path, run: Proposal) -> Path:
    epochs = dict(run.setting or ())[EPOCHS]
    name = f"{run.group.technique}-{run.group.batch_size}-{run.learning_rate:.6g}-{epochs:g}-{run.seed}"
    return folder / f"{name}.json"


def _read(folder: Path, run: Proposal) -> dict[str, Any]:
    """What is kept of a row: its status, and the numbers and series of each epoch."""
    path = _path(folder, run)
    return dict(json.loads(path.read_text())) if path.exists() else {"status": RUNNING, "epochs": []}


def report(study: Study, budget: str, folder: Path) -> None:
    """Print the tables of the rows that have ended, and write tables.csv and the figures into the folder."""
    from rich.console import Console

    from analysis.runs import StudyRuns
    from analysis.tables_report import report_tables
    from search_spaces.service.tables import table_plan

    rows, curves, series = [], {}, {}
    for run in table_runs(study):
        found = _read(folder, run)
        if found["status"] == RUNNING:
            continue
        run_id, epochs = _path(folder, run).stem, found["epochs"]
        setting = tuple((name, float(value)) for name, value in run.setting or ())
        own = {"run_id": run_id, "learning_rate": run.learning_rate, "seed": run.seed, "setting": setting, WORKERS: 1.0}
        rows.append({**epochs[-1]["numbers"], **run.group._asdict(), **own, "status": found["status"]})
        curves[run_id] = pd.DataFrame([each["numbers"] for each in epochs]).set_index("epoch")
        pairs: dict[str, dict[int, float]] = {}
        for each in epochs:
            for name, values in each["series"].items():
                pairs.setdefault(name, {}).update(values)
        series[run_id] = {name: pd.Series(values) for name, values in pairs.items()}
    require(len(rows) > 0, f"folder {folder}: holds no row of {study.name} that has ended")
    design = table_plan(study).design
    runs = StudyRuns(study.name, "", design, {"budget": budget}, pd.DataFrame(rows), study.tables, curves, "", series)
    report_tables(runs, folder, Console())


if __name__ == "__main__":
    sys.exit(main())
