"""A study on a cluster that has a head without CPUs and grows from there. It ends every other Ray.

    python -m tests.integration.grow FOLDER CLOUD

FOLDER gets the results; CLOUD is the class of this file that gives machines.
"""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml
from ray.autoscaler._private.fake_multi_node.node_provider import FakeMultiNodeProvider
from ray.autoscaler.node_launch_exception import NodeLaunchException
from ray.autoscaler.tags import TAG_RAY_USER_NODE_TYPE
from ray.cluster_utils import FAKE_HEAD_NODE_ID, AutoscalingCluster

HEAD = "ray.head.default"
KIND = {"resources": {"CPU": 2}, "node_config": {}, "min_workers": 0, "max_workers": 2}
STUDY = "-m search_spaces.digits_cnn --batch-sizes 16,64 --max-runs 7 --seeds 2 --concurrent-trials 2"


class Cloud(FakeMultiNodeProvider):
    """Gives every machine that it is asked for."""


class CloudWithoutSpot(FakeMultiNodeProvider):
    """Has no spot machine, as AWS at times."""

    def create_node_with_resources_and_labels(
        self, node_config: Any, tags: dict[str, str], count: int, resources: Any, labels: Any
    ) -> None:
        if tags[TAG_RAY_USER_NODE_TYPE] == "worker_spot":
            raise NodeLaunchException("InsufficientInstanceCapacity", "there is no spot machine", None)
        super().create_node_with_resources_and_labels(node_config, tags, count, resources, labels)


class Growing(AutoscalingCluster):
    """Ray's cluster of made-up machines. The wheel lacks the file from which Ray itself takes the configuration."""

    def _generate_config(self, head_resources: Any, worker_node_types: Any, **_: Any) -> dict[str, Any]:
        head = {"resources": dict(head_resources), "node_config": {}, "max_workers": 0}
        return {
            "cluster_name": "growing",
            "max_workers": 4,
            "provider": {
                "type": "external",
                "module": f"tests.integration.grow.{cloud}",
                "head_node_id": FAKE_HEAD_NODE_ID,
                "launch_multiple": True,
            },
            "available_node_types": {**worker_node_types, HEAD: head},
            "head_node_type": HEAD,
            "idle_timeout_minutes": 10,
            "upscaling_speed": 1.0,
            "auth": {},
            "docker": {},
            "file_mounts": {},
            "file_mounts_sync_continuously": False,
            **{name: [] for name in ("cluster_synced_files", "rsync_exclude", "rsync_filter")},
            **{name: [] for name in ("initialization_commands", "setup_commands", "head_setup_commands")},
            **{name: [] for name in ("worker_setup_commands", "head_start_ray_commands", "worker_start_ray_commands")},
        }


if __name__ == "__main__":
    folder, cloud = sys.argv[1:]
    config = yaml.safe_load(Path("ray_cluster.yaml").read_text())
    kinds = {name: KIND for name in config["available_node_types"] if name != config["head_node_type"]}
    cluster = Growing({"CPU": 0}, kinds, autoscaler_v2=False)
    Path("~/ray_bootstrap_config.yaml").expanduser().write_text(yaml.safe_dump(cluster._config))  # as `ray up` does
    told = re.findall(r"(RAY_(?:enable_autoscaler_v2|AUTOSCALER_UTILIZATION_SCORER))=(\S+)", str(config))
    cluster.start(override_env=dict(told))
    try:
        command = [sys.executable, *STUDY.split(), "--results-dir", folder, "--tracking-uri", f"sqlite:///{folder}.db"]
        code = subprocess.run(command, env={**os.environ, "RAY_ADDRESS": "auto"}).returncode
        subprocess.run(["ray", "status"])
    finally:
        cluster.shutdown()
    sys.exit(code)
