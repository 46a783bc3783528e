"""A cluster of machines that one has, as it is typed: up, a study from here and on its head, a machine lost, down."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import yaml
from ray._private.utils import get_num_cpus

from tests.integration.machines import MISSING, lose, machines, on

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(1500),
    pytest.mark.skipif(bool(MISSING), reason=f"needs {', '.join(MISSING)}"),
]

ROOT = Path(__file__).parents[2]
FILE = ROOT / "deploy" / "ray_cluster.local.yaml"
STUDY = "python -m search_spaces.digits_cnn --batch-sizes 16,64 --max-runs 12 --seeds 2 --concurrent-trials 2"
RAY = (sys.executable, "-m", "ray.scripts.scripts")


class Laptop:
    """The machine at which the user sits: a home with a token, and the cluster's file."""

    def __init__(self, folder: Path, addresses: list[str]) -> None:
        self.folder, self.file = folder, folder / "cluster.yaml"
        home = folder / "home"
        home.mkdir()
        self.environment = {**os.environ, "HOME": str(home), "RAY_ADDRESS": ""}
        self.ray("get-auth-token", "--generate")
        config = yaml.safe_load(FILE.read_text())
        config["provider"] |= {"head_ip": addresses[0], "worker_ips": addresses[1:]}
        config["min_workers"] = config["max_workers"] = len(addresses) - 1
        config["auth"] = {"ssh_user": "root", "ssh_private_key": str(folder / "ssh" / "key")}
        pip = config["setup_commands"][-1]
        config["setup_commands"] = [  # instead of an installation
            f"test -d ~/venv || ln -s {sys.prefix} ~/venv",
            pip.replace("~/venv/bin/pip", "echo") + " > ~/pip",
        ]
        self.file.write_text(yaml.safe_dump(config))

    def ray(self, *words: str) -> str:
        done = subprocess.run(
            [*RAY, *words], cwd=ROOT, env=self.environment, capture_output=True, text=True, stdin=subprocess.DEVNULL
        )
        assert not done.returncode, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout

    @contextmanager
    def running(self, *words: str) -> Iterator[tuple["subprocess.Popen[str]", Path]]:
        """A study's command on the cluster, and the file of what it prints."""
        said = self.folder / "said.txt"
        with said.open("w") as file:
            command = [*STUDY.replace("python", sys.executable, 1).split(), "--cluster", str(self.file), *words]
            here = subprocess.Popen(command, cwd=ROOT, env=self.environment, stdout=file, stderr=file, text=True)
        try:
            yield here, said
        finally:
            here.kill()
            here.wait()


@pytest.fixture
def addresses(tmp_path: Path) -> Iterator[list[str]]:
    with machines(tmp_path, 2) as found:
        yield found


def test_a_study_runs_on_a_cluster_from_both_places(addresses: list[str], tmp_path: Path) -> None:
    laptop, (head, _) = Laptop(tmp_path, addresses), addresses
    laptop.ray("up", "-y", str(laptop.file))
    of_both = f"/{2 * get_num_cpus()}.0 CPU"
    _wait(lambda: of_both in on(tmp_path, head, "ray status").stdout, "the second machine joins")
    results = tmp_path / "results"

    with laptop.running("--results-dir", str(results)) as (here, said):
        _wait(lambda: "[1/12]" in said.read_text() or here.poll() is not None, "a run ends")
        for process in psutil.process_iter(["name", "cmdline"]):
            words = " ".join(process.info["cmdline"] or ())
            if process.info["name"] == "ssh" and (f"root@{head}" in words or "ray_ssh" in words):
                process.kill()
        lose(tmp_path / "machine1")
        _wait(lambda: "the cluster answers again" in said.read_text() or here.poll() is not None, "it is found again")
        assert here.poll() is None, said.read_text()
        here.send_signal(signal.SIGINT)
        assert here.wait(60) == 130, said.read_text()
    words = said.read_text()
    assert "the connection to the cluster has ended; it is made again" in words, words
    assert "the same command follows it again" in words, words
    with laptop.running("--results-dir", str(results)) as (here, said):
        assert here.wait(600) == 0, said.read_text()
    words = said.read_text()
    for said_too in ("which was started before", "[12/12]", "Brought home"):
        assert said_too in words, words
    home = {path.name for path in (results / "digits_cnn").iterdir()}
    assert {"frontier.csv", "frontier.png", "report.html"} <= home
    assert not {"job", "lock", "optuna.journal"} & home
    expected = "-e /root/batchscale[cluster] -c /root/batchscale/deploy/constraints.txt"
    assert expected in on(tmp_path, head, "cat ~/pip").stdout

    listening = [line.split()[3] for line in on(tmp_path, head, "ss -ltn").stdout.splitlines()[1:] if line.strip()]
    assert {"127.0.0.1:5000", "127.0.0.1:8265"} <= set(listening)
    assert not {"0.0.0.0:5000", "*:5000", "0.0.0.0:8265", "*:8265"} & set(listening)

    refused = on(tmp_path, head, f"RAY_AUTH_MODE=disabled {STUDY} --name refused", check=False)
    assert refused.returncode == 2, refused.stdout
    assert "RAY_AUTH_MODE=token" in refused.stdout
    attached = on(tmp_path, head, f"{STUDY} --name attached", check=False)
    assert attached.returncode == 0, attached.stdout
    assert "[12/12]" in attached.stdout
    assert "linear rule" in on(tmp_path, head, "python -m analysis.report attached").stdout

    laptop.ray("down", "-y", str(laptop.file))
    _wait(lambda: not _left(tmp_path, head), f"nothing is left on the head: {_left(tmp_path, head)}")


def _left(folder: Path, address: str) -> str:
    """The processes of Ray, MLflow and Python on a machine, one in each line."""
    said = on(folder, address, "pgrep -af 'ray|mlflow|gcs_server|python' | grep -v pgrep; echo the end").stdout
    assert "the end" in said
    return said.partition("the end")[0].strip()


def _wait(condition: Callable[[], bool], what: str, seconds: float = 300) -> None:
    latest = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < latest, what
        time.sleep(1)
