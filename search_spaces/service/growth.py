"""What a cluster that was joined has, and what its autoscaler can still bring."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import ray
import yaml

CONFIGURATION = Path("~/ray_bootstrap_config.yaml")
"""Where `ray up` leaves the cluster's file on its head. Ray itself tells a driver only of machines that run."""

Resources = Mapping[str, float]


class Machines(NamedTuple):
    """The resources of each machine of a cluster: of those that run, and of all once it has grown."""

    now: list[Resources]
    later: list[Resources]

    def most(self, name: str) -> float:
        """How much of a resource the cluster has, or has once it has grown."""
        return max(total(self.now, name), total(self.later, name))


def machines() -> Machines:
    """The machines of the cluster that this process is connected to."""
    return Machines([node["Resources"] for node in ray.nodes() if node["Alive"]], _to_come())


def _to_come() -> list[Resources]:
    """The resources of each machine that the cluster has once it has grown; none where it does not grow.

    Only the cluster's head knows, from its file, which `ray up` may change while a study runs. A machine whose
    resources are not in the file, as those of one's own machines are not, is not counted.
    """
    path = CONFIGURATION.expanduser()
    host, _, _ = ray.get_runtime_context().gcs_address.rpartition(":")
    here = host == ray.util.get_node_ip_address()
    return largest(yaml.safe_load(path.read_text())) if here and path.is_file() else []


def largest(config: Mapping[str, Any]) -> list[Resources]:
    """The machines of a cluster that is as large as its file allows, where each new one is the largest that may be."""
    kinds = [kind for name, kind in config.get("available_node_types", {}).items() if name != config["head_node_type"]]
    most = int(config.get("max_workers", 0))
    allowed = [kind["resources"] for kind in kinds for _ in range(min(most, kind.get("max_workers", most)))]
    return sorted(filter(None, allowed), key=_size, reverse=True)[:most]


def total(of: Sequence[Resources], name: str) -> float:
    """How much of a resource machines have together."""
    return sum(each.get(name, 0.0) for each in of)


def _size(resources: Resources) -> tuple[float, float]:
    return resources.get("GPU", 0.0), resources.get("CPU", 0.0)
