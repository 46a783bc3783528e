"""What is killed costs a study nothing: a worker, a mailbox, a controller, a trial, the driver, Ray itself, MLflow."""

import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import mlflow
import pandas as pd
import psutil
import pytest

from analysis.runs import load_runs
from search_spaces.service.optuna_store import open_storage
from tests.search_spaces.place import Place, free_port, one_line

STUDY = ("--batch-sizes", "16,64", "--max-runs", "8", "--seeds", "2", "--concurrent-trials", "1")
"""A search that asks for the same runs each time, as there is never another one under way."""
RUN = ["technique", "batch_size", "learning_rate", "seed", "status", "epoch", "validation_accuracy", "train_loss"]


def outcomes(folder: Path, uri: str = "") -> pd.DataFrame:
    """What came out of each run, in the order in which they ended."""
    return load_runs("digits_cnn", uri or f"sqlite:///{folder / 'mlflow.db'}").frame[RUN]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    place = Place(tmp_path_factory.mktemp("undisturbed"))
    done = place.run(*STUDY)
    assert done.returncode == 0, done.stdout + done.stderr
    return outcomes(place.folder)


def lines_of(process: subprocess.Popen[str], said: list[str]) -> Iterator[int]:
    """How many runs have ended, after each line of a study's output."""
    assert process.stdout is not None
    for line in process.stdout:
        said.append(line)
        yield sum(each.strip().startswith("[") for each in said)


def kill(place: Place, title: str) -> None:
    """Kill a process of the study whose title has these words."""
    for process in psutil.process_iter(["cmdline"]):
        if title in " ".join(process.info["cmdline"] or ()) and place.has(process.pid):
            process.kill()
            return
    raise AssertionError(f"no process {title}")


@pytest.mark.faults
def test_killed_processes_cost_nothing(place: Place, undisturbed: pd.DataFrame) -> None:
    """The run goes on from its last epoch, a plain line says so, and every number is the same."""
    process, said = place.start(*STUDY), []
    victims = {1: "ray::RayTrainWorker", 2: "ray::Mailbox", 3: "ray::TrainController", 4: "ray::ResourceTrainable"}
    for ended in lines_of(process, said):
        if ended in victims:
            time.sleep(0.5)
            kill(place, victims.pop(ended))
    told, (_, err) = "".join(said), process.communicate(timeout=60)
    assert process.returncode == 0, told + err
    assert not victims
    assert "Traceback" not in told + err
    assert "died" not in told + err, "Ray's own words for it"
    assert told.count("went on with new ones") + told.count("it is started again") == 4, told
    pd.testing.assert_frame_equal(outcomes(place.folder), undisturbed)


@pytest.mark.slow
def test_a_killed_study_goes_on(place: Place, undisturbed: pd.DataFrame) -> None:
    """Killed twice; every run is in MLflow once, and the search asks for what it would have asked for."""
    uri = f"sqlite:///{place.folder / 'mlflow.db'}"
    for most, options in ((2, ()), (5, ("--resume",))):
        process, said = place.start(*STUDY, *options), []
        for ended in lines_of(process, said):
            if ended >= most:
                time.sleep(0.5)
                process.kill()
                break
        process.communicate(timeout=60)
    assert "and has not ended; --resume goes on with it" in one_line(place.run(*STUDY))
    client = mlflow.MlflowClient(uri)
    runs = client.search_runs([client.get_experiment_by_name("digits_cnn").experiment_id])
    assert "RUNNING" not in {run.info.status for run in runs}
    other = one_line(place.run("--resume", *STUDY, "--tolerance", "0.1"))
    assert "--resume: tolerance of digits_cnn was 0.025, and is now 0.1; --name begins another study" in other
    done = place.run("--resume", *STUDY)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Going on with digits_cnn" in done.stdout
    found = outcomes(place.folder)
    pd.testing.assert_frame_equal(found, undisturbed)
    runs = client.search_runs([client.get_experiment_by_name("digits_cnn").experiment_id])
    assert len(runs) == 1 + len(found), "the study and its runs"
    assert {run.info.status for run in runs} == {"FINISHED"}
    for run in runs:
        points = [point.step for point in client.get_metric_history(run.info.run_id, "train_loss")]
        assert points == sorted(set(points)), "no epoch twice"
    folder = place.folder / "results" / "digits_cnn"
    (study,) = open_storage(folder).get_all_studies()
    trials = open_storage(folder).get_all_trials(study._study_id)
    assert all(trial.state.is_finished() for trial in trials)
    assert sorted(path.name for path in folder.iterdir() if path.name.startswith(("running", "outbox"))) == []
    assert place.wait_until_empty(120) == []


@pytest.mark.faults
def test_a_study_whose_ray_is_killed_goes_on(place: Place, undisturbed: pd.DataFrame) -> None:
    """Ray ends the driver, in words of its own."""
    process, said = place.start(*STUDY), []
    for ended in lines_of(process, said):
        if ended == 2:
            kill(place, "raylet/raylet")
            break
    process.communicate(timeout=180)
    assert process.returncode
    done = place.run("--resume", *STUDY)
    assert done.returncode == 0, done.stdout + done.stderr
    pd.testing.assert_frame_equal(outcomes(place.folder), undisturbed)
    assert place.wait_until_empty(120) == []


@pytest.mark.faults
def test_a_study_whose_results_folder_vanishes_ends_in_one_line(place: Place) -> None:
    """What it can no longer keep it says at once; the runs that had ended are in MLflow, which is told of the end."""
    process, said = place.start(*STUDY), []
    for ended in lines_of(process, said):
        if ended == 2:
            shutil.rmtree(place.folder / "results")
            break
    out, err = process.communicate(timeout=180)
    assert process.returncode == 2, out + err
    assert err.count("\n") == 1, err
    assert "the study cannot be kept ([Errno 2] No such file or directory" in err
    assert len(outcomes(place.folder)) >= 2
    client = mlflow.MlflowClient(f"sqlite:///{place.folder / 'mlflow.db'}")
    runs = client.search_runs([client.get_experiment_by_name("digits_cnn").experiment_id])
    assert "RUNNING" not in {run.info.status for run in runs}
    assert place.wait_until_empty(120) == []


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, Callable[[], None], Callable[[], None]]]:
    """The address of an MLflow server, and what stops and starts it."""
    port = free_port()
    uri, servers = f"http://127.0.0.1:{port}", []
    store = ("--backend-store-uri", f"sqlite:///{tmp_path / 'server.db'}", "--artifacts-destination", str(tmp_path))

    def start() -> None:
        command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), *store]
        with (tmp_path / "server.txt").open("a") as log:
            servers.append(subprocess.Popen(command, stdout=log, stderr=log))
        for _ in range(600):
            with socket.socket() as tried:
                if tried.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(0.2)
        raise AssertionError((tmp_path / "server.txt").read_text())

    def stop() -> None:
        process = psutil.Process(servers[-1].pid)
        for each in (*process.children(recursive=True), process):
            each.send_signal(signal.SIGKILL)
        servers[-1].wait()

    start()
    yield uri, stop, start
    stop()


@pytest.mark.faults
def test_a_study_goes_on_while_mlflow_is_away(
    place: Place,
    server: tuple[str, Callable[[], None], Callable[[], None]],
    undisturbed: pd.DataFrame,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It loses no number, and its end waits for the store and says so."""
    monkeypatch.setenv("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")
    uri, stop, start = server
    process, said = place.start("--tracking-uri", uri, *STUDY), []
    runs = iter((stop, start))
    for ended in lines_of(process, said):
        if (ended == 2 and len(said[-1]) and said[-1].strip().startswith("[")) or "waiting for" in said[-1]:
            next(runs, lambda: None)()
    told, (_, err) = "".join(said), process.communicate(timeout=120)
    assert process.returncode == 0, told + err
    assert "training goes on, and what is to be written waits" in told
    assert "the tracking store answers again" in told
    pd.testing.assert_frame_equal(outcomes(place.folder, uri), undisturbed)
