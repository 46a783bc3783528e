"""`ray up ray_cluster.yaml` against an AWS that is simulated; what it would run on the head is written down."""

import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from moto import mock_aws
from ray.autoscaler._private import commands
from ray.autoscaler._private.providers import _get_node_provider
from ray.autoscaler.tags import TAG_RAY_LAUNCH_CONFIG, TAG_RAY_NODE_KIND, TAG_RAY_USER_NODE_TYPE

pytestmark = pytest.mark.integration

FILE = Path(__file__).parents[2] / "ray_cluster.yaml"


class Runner:
    """Stands for `subprocess` in Ray's updater: it notes commands instead of running them."""

    CalledProcessError = subprocess.CalledProcessError

    def __init__(self) -> None:
        self.commands: list[str] = []

    def check_call(self, words: list[str], *_: Any, **__: Any) -> None:
        self.commands.append(" ".join(words))

    def check_output(self, words: list[str], *_: Any, **__: Any) -> bytes:
        self.commands.append(" ".join(words))
        return b"1 user, load average: 0"


@pytest.fixture
def aws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A client of EC2 in the region of the file, and a home with a token."""
    token = tmp_path / ".ray" / "auth_token"
    token.parent.mkdir()
    token.write_text("x" * 64)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "none")
    monkeypatch.chdir(FILE.parent)
    with mock_aws(config={"iam": {"load_aws_managed_policies": True}}):
        yield boto3.client("ec2", region_name=yaml.safe_load(FILE.read_text())["provider"]["region"])


def test_ray_up_brings_up_a_head(aws: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runner = Runner()
    monkeypatch.setattr(commands, "get_or_create_head_node", partial(commands.get_or_create_head_node, _runner=runner))
    written = tmp_path / "cluster.yaml"
    image = aws.describe_images()["Images"][0]["ImageId"]
    written.write_text(FILE.read_text().replace("ami-00000000000000000", image))
    config = commands.create_or_update_cluster(str(written), None, None, False, False, True, None, no_config_cache=True)
    (head,) = (each for reservation in aws.describe_instances()["Reservations"] for each in reservation["Instances"])
    assert head["InstanceType"] == "m7i.2xlarge"
    disk = head["BlockDeviceMappings"][0]["Ebs"]
    assert disk["DeleteOnTermination"] is False, "what the head holds outlives it"

    ran = "\n".join(runner.commands)
    steps = [
        ".ray/auth_token",
        "python3 -m venv ~/venv",
        'pip install -q -e "$HOME/batchscale[cluster]" -c ~/batchscale/deploy/constraints.txt',
        "deploy/environment.sh",
        "ray stop",
        "ray start --head --port=6379 --dashboard-host=127.0.0.1",
        "deploy/mlflow_server.sh",
    ]
    places = [ran.find(step) for step in steps]
    assert -1 not in places, dict(zip(steps, places, strict=True))
    assert places == sorted(places)

    rules = aws.describe_security_groups(GroupIds=[head["SecurityGroups"][0]["GroupId"]])["SecurityGroups"][0]
    outside = [rule for rule in rules["IpPermissions"] if rule.get("IpRanges")]
    assert [(rule["FromPort"], rule["ToPort"]) for rule in outside] == [(22, 22)], "only SSH is open to the outside"

    provider = _get_node_provider(config["provider"], config["cluster_name"])
    for kind, spot in (("worker_spot", True), ("worker", False)):
        node = config["available_node_types"][kind]["node_config"]
        tags = {TAG_RAY_NODE_KIND: "worker", TAG_RAY_USER_NODE_TYPE: kind, TAG_RAY_LAUNCH_CONFIG: kind}
        (made,) = provider.create_node(node, tags, 1).values()
        assert (made.instance_lifecycle == "spot") is spot
        assert made.instance_type == "g6e.12xlarge"
