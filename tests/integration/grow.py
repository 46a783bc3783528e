"""A study on a cluster that has a head without CPUs and grows from there. It ends every other Ray."""

import os
import subprocess
import sys
from pathlib import Path

import yaml
from ray.cluster_utils import AutoscalingCluster

KIND = {"resources": {"CPU": 2}, "node_config": {}, "min_workers": 0, "max_workers": 2}
STUDY = "-m search_spaces.digits_cnn --batch-sizes 16,64 --max-runs 7 --seeds 2 --concurrent-trials 2"

if __name__ == "__main__":
    config = yaml.safe_load(Path("ray_cluster.yaml").read_text())
    kinds = {name: {**KIND} for name in config["available_node_types"] if name != "head"}
    cluster = AutoscalingCluster({"CPU": 0}, kinds, autoscaler_v2=True, idle_timeout_minutes=10)
    cluster.start()
    try:
        folder = os.environ["RESULTS"]
        command = [sys.executable, *STUDY.split(), "--results-dir", folder, "--tracking-uri", f"sqlite:///{folder}.db"]
        code = subprocess.run(command, env={**os.environ, "RAY_ADDRESS": "auto"}).returncode
        subprocess.run(["ray", "status"])
    finally:
        cluster.shutdown()
    sys.exit(code)
