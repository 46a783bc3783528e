"""Sharing a cluster: the more studies run on it, the fewer trials each of them runs at a time."""

import math
import time
from collections.abc import Callable

from search_spaces.service.cluster import Allotment
from trainables.on_ray.keeper import studies

LOOK_SECONDS = 5.0
"""How often the studies on a cluster are counted."""


class Part:
    """How many trials a study may run at a time: what the cluster has room for, divided by the studies on it.

    Args:
        allotment: how the study uses the cluster while it is alone.
        tell: prints a line.
    """

    def __init__(self, allotment: Allotment, tell: Callable[[str], object]) -> None:
        self._allotment, self._tell = allotment, tell
        self._studies, self._looked = 1, -math.inf

    def __call__(self) -> int:
        now = time.monotonic()
        if now - self._looked > LOOK_SECONDS:
            self._looked, before, self._studies = now, self._studies, max(1, studies())
            if self._studies != before:
                others = self._studies - 1
                who = f"{others} other stud{'ies' if others > 1 else 'y'}" if others else "no other study"
                self._tell(f"The cluster is used by {who}: at most {self._most} at a time here.")
        return self._most

    @property
    def _most(self) -> int:
        return max(1, min(self._allotment.concurrent_trials, self._allotment.groups // self._studies))
