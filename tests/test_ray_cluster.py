"""The cluster file passes Ray's own validation, offline."""

from pathlib import Path

import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

FILE = Path(__file__).parent.parent / "ray_cluster.yaml"


def test_the_cluster_file_is_valid() -> None:
    config = prepare_config(yaml.safe_load(FILE.read_text()))
    validate_config(config)
    head = config["available_node_types"][config["head_node_type"]]
    assert head["resources"] == {"CPU": 0}, "the head trains nothing"
    assert all("ImageId" in node["node_config"] for node in config["available_node_types"].values())
    assert config["setup_commands"], "without, Ray installs a nightly wheel"


def test_all_packages_are_shipped() -> None:
    config = yaml.safe_load(FILE.read_text())
    assert config["file_mounts"] == {"/home/ubuntu/batchscale": "."}
