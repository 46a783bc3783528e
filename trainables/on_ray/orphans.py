"""Placement groups whose Ray Train controller is dead, and which therefore hold CPUs and GPUs for nobody.

Ray has a process for each controller that removes them, but it asks the dashboard, which an embedded cluster does not
have, and so never ends there. So it is left out, and a worker group removes what it finds while it starts.
"""

from contextlib import suppress
from typing import Any

import ray
from ray._private.state import state
from ray._raylet import ActorID, PlacementGroupID
from ray.core.generated import gcs_pb2
from ray.train.torch import TorchTrainer
from ray.train.v2._internal.callbacks.placement_group_callback import PlacementGroupCleanerCallback
from ray.util.placement_group import PlacementGroup, remove_placement_group


class WithoutCleaner(TorchTrainer):
    """A TorchTrainer without the process that removes its placement group."""

    def _create_default_callbacks(self) -> list[Any]:
        return [
            each for each in super()._create_default_callbacks() if not isinstance(each, PlacementGroupCleanerCallback)
        ]


def remove_orphans() -> None:
    """Remove the placement groups of this job whose creator is dead."""
    mine = bytes.fromhex(ray.get_runtime_context().get_job_id())
    for entry in state._connect_and_get_accessor().get_placement_group_table():
        group = gcs_pb2.PlacementGroupTableData.FromString(entry)
        removed = group.state == gcs_pb2.PlacementGroupTableData.REMOVED
        by_an_actor = not ActorID(group.creator_actor_id or ActorID.nil().binary()).is_nil()
        if group.creator_job_id == mine and by_an_actor and group.creator_actor_dead and not removed:
            with suppress(ray.exceptions.RayError):
                remove_placement_group(PlacementGroup(PlacementGroupID(group.placement_group_id)))
