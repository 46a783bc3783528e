"""Growth: the global batch size now.

A growth is a frozen dataclass called with the run's Progress. To add one, write one more such class here; the
contract tests find it.
"""

from dataclasses import dataclass
from typing import Protocol

from trainables.progress import Progress


class Growth(Protocol):
    """progress -> global batch size now; `rate` is what the growth itself multiplies the learning rate by."""

    def __call__(self, progress: Progress) -> int: ...

    def rate(self, progress: Progress) -> float: ...


@dataclass(frozen=True)
class FixedBatch:
    """The batch size the run started with, to the end.

    batch_size = B, rate = 1
    """

    def __call__(self, progress: Progress) -> int:
        return progress.batch_size

    def rate(self, progress: Progress) -> float:
        return 1.0
