"""Does a study get slower, or larger in memory, as its runs add up?

    python -m benchmarks.scale                   # 1,068 runs of a moment each, about 15 minutes
    python -m benchmarks.scale --quick           # 54 runs

A grid of tiny runs goes through the whole service, one at a time, on an embedded cluster. What a run costs besides its
training is the time from the end of the run before to its own, less the seconds that it trained. The driver's memory
and open files are looked at every second. Then the search for the edge is asked for runs of a synthetic study that is
never decided, and the report is made again from MLflow.
"""

import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import NamedTuple

import psutil
from rich.console import Console

from analysis.report import report
from analysis.runs import load_runs
from benchmarks.ask_time import ask_seconds
from benchmarks.result import benchmark_parser, show_json
from search_spaces import Study, run_study
from search_spaces.digits_cnn import QUICK
from search_spaces.service.optuna_store import open_storage
from trainables.data import Digits

SIZES = (8, 16, 24, 32)
NAME = "scale"


class Sample(NamedTuple):
    """What the driver holds at a moment.

    Attributes:
        moment: in seconds.
        mebibytes: its memory.
        files: its open files.
    """

    moment: float
    mebibytes: float
    files: int


def study(quick: bool) -> Study:
    """A grid of runs that train for a moment."""
    task = replace(QUICK.task, data=Digits(train_samples=512, validation_samples=64), epochs=1)
    sizes, rates = (SIZES[:2], (0.05, 0.1)) if quick else (SIZES, (0.003, 12.8))
    return replace(QUICK, task=task).with_choices(
        name=NAME, batch_sizes=sizes, baseline_batch_size=sizes[0], learning_rates=rates, resolution=1.1, seeds=2
    )


def samples_until(done: threading.Event) -> list[Sample]:
    """Look at this process every second."""
    this, found = psutil.Process(), []
    while not done.wait(1.0):
        found.append(Sample(time.time(), this.memory_info().rss / 2**20, this.num_fds()))
    return found


class Costs(NamedTuple):
    """What a study's runs cost besides their training.

    Attributes:
        runs: the seconds of each run after the first.
        report: the seconds that it takes to make the report again from MLflow.
        samples: what the driver held, from second to second, from the end of the first run on.
    """

    runs: list[float]
    report: float
    samples: list[Sample]


def measure(small: Study) -> Costs:
    """Run a study, one run at a time, and look at it."""
    with tempfile.TemporaryDirectory() as folder:
        uri, done, looked = f"sqlite:///{folder}/mlflow.db", threading.Event(), []
        looking = threading.Thread(target=lambda: looked.extend(samples_until(done)))
        looking.start()
        quiet = Console(quiet=True)
        try:
            found = run_study(small, search="grid", concurrent_trials=1, tracking=uri, results=folder, console=quiet)
        finally:
            done.set()
            looking.join()
        storage = open_storage(Path(folder, NAME))
        (kept,) = storage.get_all_studies()
        ends = sorted(trial.datetime_complete.timestamp() for trial in storage.get_all_trials(kept._study_id))
        trained = found.runs["train_seconds"].to_list()
        begun = time.perf_counter()
        report(load_runs(NAME, uri), Path(folder, "again"), quiet)
        reported = time.perf_counter() - begun
    costs = [after - before - seconds for before, after, seconds in zip(ends, ends[1:], trained[1:], strict=False)]
    return Costs(costs, reported, [each for each in looked if each.moment >= ends[0]])


def main() -> None:
    options = benchmark_parser(__doc__, "54 runs, which prove nothing").parse_args()
    costs = measure(study(options.quick))
    asks = ask_seconds(20, 10) if options.quick else ask_seconds(1000, 100)
    part = min(100, len(costs.runs) // 2)
    raw = {
        "first runs": costs.runs[:part],
        "last runs": costs.runs[-part:],
        "asks at first": asks[0].seconds,
        "asks at last": asks[-1].seconds,
        "report": [costs.report],
    }
    ratios = {
        "last_run_vs_first": median(raw["last runs"]) / median(raw["first runs"]),
        "last_ask_vs_first": median(raw["asks at last"]) / median(raw["asks at first"]),
    }
    runs = len(costs.runs) + 1
    print(f"{runs} runs, {asks[-1].finished} asks")
    for name, seconds in raw.items():
        print(f"{name:<20} median {1000 * median(seconds):8.0f} ms   longest {1000 * max(seconds):8.0f} ms")
    print(f"report per run       {1000 * costs.report / runs:8.1f} ms")
    looks = {"at the first end": 0, "half-way": len(costs.samples) // 2, "at the end": -1}
    for name, which in looks.items():
        print(f"driver {name:<18} {costs.samples[which].mebibytes:8.0f} MiB {costs.samples[which].files:5d} open files")
    for name, ratio in ratios.items():
        print(f"{name:<20} {ratio:8.2f}x")
    if options.json:
        show_json(ratios, raw)


if __name__ == "__main__":
    main()
