"""The files that bring up a cluster pass Ray's own validation, offline, and agree with each other."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from ray.autoscaler._private.util import prepare_config, validate_config

ROOT = Path(__file__).parent.parent
AWS, LOCAL = ROOT / "ray_cluster.yaml", ROOT / "deploy" / "ray_cluster.local.yaml"
PINNED = dict(
    line.split("==")
    for line in (ROOT / "deploy" / "constraints.txt").read_text().splitlines()
    if not line.startswith("#")
)


@pytest.fixture(params=[AWS, LOCAL], ids=lambda path: path.name)
def config(request: pytest.FixtureRequest) -> dict[str, Any]:
    return yaml.safe_load(request.param.read_text())


def test_ray_takes_the_file(config: dict[str, Any]) -> None:
    prepared = prepare_config(config)
    validate_config(prepared)
    assert prepared["setup_commands"], "without, Ray installs a nightly wheel"


def test_the_project_and_the_token_are_shipped(config: dict[str, Any]) -> None:
    assert config["file_mounts"] == {"~/batchscale": ".", "~/.ray/auth_token": "~/.ray/auth_token"}
    for command in (*config["head_start_ray_commands"], *config["worker_start_ray_commands"]):
        assert "ray start" not in command or "RAY_AUTH_MODE=token" in command
        assert "ray start --head" not in command or "RAY_enable_autoscaler_v2=0 " in command
    for script in re.findall(r"~/batchscale/(deploy/[\w.]+)", str(config)):
        assert (ROOT / script).is_file()


def test_the_head_on_aws_trains_nothing_and_machines_start_from_none() -> None:
    kinds = yaml.safe_load(AWS.read_text())["available_node_types"]
    assert kinds.pop("head")["resources"] == {"CPU": 0}
    assert max(kinds) == "worker_spot", "the one that is asked for first"
    assert {kind["min_workers"] for kind in kinds.values()} == {0}
    assert kinds["worker_spot"]["resources"] == kinds["worker"]["resources"]


def test_what_is_pinned_is_what_the_project_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for text in (*project["dependencies"], *project["optional-dependencies"]["cluster"]):
        requirement = Requirement(text)
        assert requirement.specifier.contains(PINNED[requirement.name]), text


def test_the_job_on_kubernetes_ends_its_cluster() -> None:
    job, claim = (yaml.safe_load((ROOT / "deploy" / f"{name}.yaml").read_text()) for name in ("rayjob", "rayjob_data"))
    spec, cluster = job["spec"], job["spec"]["rayClusterSpec"]
    assert spec["shutdownAfterJobFinishes"] is True
    assert cluster["authOptions"] == {"mode": "token"}
    assert cluster["rayVersion"] == PINNED["ray"]
    head = cluster["headGroupSpec"]["template"]["spec"]
    assert head["volumes"][0]["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    folder = head["containers"][0]["volumeMounts"][0]["mountPath"]
    assert spec["entrypoint"].count(f"{folder}/") == 2, "results and MLflow lie on what outlives the cluster"


def test_the_image_has_what_it_copies() -> None:
    lines = (ROOT / "deploy" / "Dockerfile").read_text().splitlines()
    copied = [word for line in lines if line.startswith("COPY") for word in line.split()[1:-1]]
    assert {"analysis", "search_spaces", "trainables", "deploy/constraints.txt"} <= set(copied)
    assert all((ROOT / each).exists() for each in copied)
