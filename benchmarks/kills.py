"""What do killed processes cost a study on a cluster of three nodes?

    python -m benchmarks.kills                  # 20 kills, about 15 minutes
    python -m benchmarks.kills --kills 3

A study runs once undisturbed and once while, again and again, one of its processes is killed: a worker, the mailbox,
Ray Train's controller, the trial, the keeper of states, a whole node (another joins), or the driver, after which
`--resume` goes on. Both times every optimizer step is counted, by the model itself.
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
import ray
from ray.cluster_utils import Cluster
from torch import Tensor, nn

from analysis.runs import load_runs
from benchmarks.result import show_json
from search_spaces import main as run
from search_spaces.digits_cnn import QUICK
from trainables.models import SmallCNN

PROCESSES = ("RayTrainWorker", "Mailbox", "TrainController", "ResourceTrainable", "Keeper")
VICTIMS = (*PROCESSES, "a node", "the driver")
RUN = ["technique", "batch_size", "learning_rate", "seed", "status", "validation_accuracy", "train_loss"]
STEPS = "BATCHSCALE_STEPS"
"""The environment variable with the file that has a line for every optimizer step."""


@dataclass(frozen=True)
class CountedCNN:
    """A SmallCNN that notes the size of every batch that it trains on."""

    path: str

    def __call__(self) -> nn.Module:
        model = SmallCNN()()
        model.register_forward_pre_hook(self._note)
        return model

    def _note(self, module: nn.Module, inputs: tuple[Tensor]) -> None:
        if module.training:
            with Path(self.path).open("a") as file:
                file.write(f"{len(inputs[0])}\n")


def study(path: str) -> None:
    """Run the study, as a command of its own."""
    task = replace(QUICK.task, model=CountedCNN(path))
    run({"quick": replace(QUICK.with_choices(batch_sizes=(16, 64), max_runs=12, seeds=2), task=task, name="kills")})


def main() -> None:
    if STEPS in os.environ:
        study(os.environ[STEPS])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="of what is killed, and when")
    parser.add_argument("--json", action="store_true", help="print one JSON object last")
    options = parser.parse_args()
    os.environ["RAY_AUTH_MODE"] = "disabled"
    with tempfile.TemporaryDirectory() as folder:
        whole, killed = Path(folder, "whole"), Path(folder, "killed")
        list(_watched(whole))
        done = _disturb(killed, options.kills, random.Random(options.seed))
        runs = [load_runs("kills", f"sqlite:///{each / 'mlflow.db'}").frame[RUN] for each in (whole, killed)]
        repeated = _epochs(killed) - _epochs(whole)
    figures = {
        "kills": sum(done.values()),
        "runs": len(runs[0]),
        "runs lost": len(set(map(tuple, runs[0].to_numpy())) - set(map(tuple, runs[1].to_numpy()))),
        "epochs repeated per kill": repeated / sum(done.values()),
        "same runs, same numbers, same order": runs[0].equals(runs[1]),
    }
    print(", ".join(f"{victim} {number}" for victim, number in done.items()))
    for name, figure in figures.items():
        print(f"{name:<40} {figure}")
    if options.json:
        show_json({}, {name: [float(figure)] for name, figure in figures.items()})


def _epochs(folder: Path) -> float:
    """How many epochs were trained, from the steps of each batch size."""
    steps = Counter(map(int, (folder / "steps").read_text().split()))
    samples = QUICK.task.data.train_samples
    return sum(number / (samples // size) for size, number in steps.items())


def _disturb(folder: Path, kills: int, draws: random.Random) -> Counter[str]:
    """Run the study until it ends, and kill something every few seconds; how often what was killed."""
    done: Counter[str] = Counter()
    for driver, cluster, nodes in _watched(folder):
        time.sleep(draws.uniform(2, 25))
        if driver.poll() is not None or sum(done.values()) == kills:
            continue
        victim = draws.choice(VICTIMS)
        if victim == "the driver":
            driver.kill()
        elif victim == "a node":
            cluster.remove_node(nodes.pop(draws.randrange(len(nodes))), allow_graceful=False)
            nodes.append(cluster.add_node(num_cpus=2))
        else:
            found = [each for each in psutil.Process().children(recursive=True) if f"ray::{victim}" in _title(each)]
            if not found:
                continue
            draws.choice(found).kill()
        done[victim] += 1
        print(f"{sum(done.values()):>3} {victim}", flush=True)
    return done


def _title(process: psutil.Process) -> str:
    """The words of a process; "" of one that has just ended."""
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return ""


def _watched(folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], Cluster, list[object]]]:
    """Run the study on a cluster of its own. Before every look at it, the driver is started where it does not run."""
    folder.mkdir()
    head = {"num_cpus": 2, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    nodes: list[object] = [cluster.add_node(num_cpus=2) for _ in range(2)]
    root = str(Path(__file__).parents[1])
    environment = {**os.environ, "RAY_ADDRESS": cluster.address, STEPS: str(folder / "steps"), "PYTHONPATH": root}
    command = [sys.executable, "-m", "benchmarks.kills", "--concurrent-trials", "1"]
    try:
        options: list[str] = []
        while True:
            with (folder / "output.txt").open("a") as output:
                driver = subprocess.Popen(
                    [*command, *options], cwd=folder, env=environment, stdout=output, stderr=output
                )
            while driver.poll() is None:
                yield driver, cluster, nodes
                time.sleep(0.5)
            if driver.returncode >= 0:
                assert driver.returncode == 0, (folder / "output.txt").read_text()
                return
            options = ["--resume"]
    finally:
        cluster.shutdown()
        ray.shutdown()


if __name__ == "__main__":
    main()
