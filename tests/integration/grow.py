"""A study on a cluster that has a head without CPUs and grows from there. It ends every other Ray."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml
from ray.cluster_utils import FAKE_HEAD_NODE_ID, AutoscalingCluster

KIND = {"resources": {"CPU": 2}, "node_config": {}, "min_workers": 0, "max_workers": 2}
STUDY = "-m search_spaces.digits_cnn --batch-sizes 16,64 --max-runs 7 --seeds 2 --concurrent-trials 2"


class Growing(AutoscalingCluster):
    """Ray's cluster of made-up machines. Its wheel lacks the file from which Ray takes the configuration."""

    def _generate_config(self, head_resources: Any, worker_node_types: Any, **_: Any) -> dict[str, Any]:
        head = {"resources": dict(head_resources), "node_config": {}, "max_workers": 0}
        return {
            "cluster_name": "growing",
            "max_workers": 4,
            "provider": {"type": "fake_multinode", "head_node_id": FAKE_HEAD_NODE_ID, "launch_multiple": True},
            "available_node_types": {**worker_node_types, "head": head},
            "head_node_type": "head",
            "idle_timeout_minutes": 10,
            "upscaling_speed": 1.0,
            "auth": {},
            "docker": {},
            "file_mounts": {},
            **{name: [] for name in ("initialization_commands", "setup_commands", "head_setup_commands")},
            **{name: [] for name in ("worker_setup_commands", "head_start_ray_commands", "worker_start_ray_commands")},
        }


if __name__ == "__main__":
    config = yaml.safe_load(Path("ray_cluster.yaml").read_text())
    kinds = {name: {**KIND} for name in config["available_node_types"] if name != "head"}
    cluster = Growing({"CPU": 0}, kinds, autoscaler_v2=True)
    Path("~/ray_bootstrap_config.yaml").expanduser().write_text(yaml.safe_dump(cluster._config))  # as `ray up` does
    cluster.start()
    try:
        folder = os.environ["RESULTS"]
        command = [sys.executable, *STUDY.split(), "--results-dir", folder, "--tracking-uri", f"sqlite:///{folder}.db"]
        code = subprocess.run(command, env={**os.environ, "RAY_ADDRESS": "auto"}).returncode
        subprocess.run(["ray", "status"])
    finally:
        cluster.shutdown()
    sys.exit(code)
