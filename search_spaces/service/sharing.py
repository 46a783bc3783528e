"""Sharing a cluster: the more studies run on it, the fewer trials each of them runs at a time."""

import math
import time
from collections.abc import Callable
from contextlib import suppress

from ray.exceptions import RayError

from search_spaces.service.cluster import Allotment
from trainables.on_ray.keeper import studies_here

LOOK_SECONDS = 5.0
"""How often the studies on a cluster are counted."""


class Part:
    """How much of its cluster a study may use: what there is room for, divided by the studies that are there.

    Args:
        allotment: how the study uses the cluster while it is alone.
        tell: is told when the number of studies has changed: how many there are, and how many trials may run now.
    """

    def __init__(self, allotment: Allotment, tell: Callable[[int, int], object]) -> None:
        self._allotment, self._tell = allotment, tell
        self._studies, self._looked = 1, -math.inf

    def trials(self) -> int:
        """How many trials may run at a time: at least one, which waits where others use everything."""
        before = self._counted()
        most = max(1, min(self._allotment.concurrent_trials, self._allotment.groups // self._studies))
        if self._studies != before:
            self._tell(self._studies, most)
        return most

    def waiting_groups(self, running: int) -> int:
        """How many worker groups may wait for a run beside those that have one.

        None may where there are more studies than groups, so that they take turns.
        """
        most = self.trials()
        return 0 if self._studies > self._allotment.groups else max(0, most - running)

    def _counted(self) -> int:
        """Count the studies if it is time to; the number before that."""
        before, now = self._studies, time.monotonic()
        if now - self._looked > LOOK_SECONDS:
            self._looked = now
            with suppress(RayError):  # the cluster's head does not answer in time
                self._studies = max(1, studies_here())
        return before
