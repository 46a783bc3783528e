"""Which kind of machine a cluster asks its cloud for: one that the cloud has just refused comes after all others.

Ray's autoscaler takes `score` where RAY_AUTOSCALER_UTILIZATION_SCORER names it, as in ray_cluster.yaml. By itself it
asks for the same kind again and again.
"""

from collections.abc import Mapping, Sequence

from ray.autoscaler._private.node_provider_availability_tracker import NodeAvailabilitySummary
from ray.autoscaler._private.resource_demand_scheduler import _default_utilization_scorer


def score(
    node_resources: Mapping[str, float],
    resources: Sequence[Mapping[str, float]],
    node_type: str,
    *,
    node_availability_summary: NodeAvailabilitySummary,
) -> tuple[bool, tuple[float, ...]] | None:
    """How well a kind of machine suits what is asked for. Of equals Ray takes the one with the last name.

    Args:
        node_resources: what a machine of the kind has.
        resources: what is asked for.
        node_type: the name of the kind.
        node_availability_summary: what the cloud answered within the last half hour.

    Returns:
        None where the kind does not suit.
    """
    suits = _default_utilization_scorer(
        node_resources, resources, node_type, node_availability_summary=node_availability_summary
    )
    answered = node_availability_summary.node_availabilities.get(node_type)
    return None if suits is None else (answered is None or answered.is_available, suits)
