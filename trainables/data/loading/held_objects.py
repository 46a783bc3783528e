"""The base class of data sets that hold a user's own objects instead of describing files."""

from dataclasses import dataclass, field
from uuid import uuid4

from trainables.data.loading.source import Data


@dataclass(frozen=True, eq=False, repr=False)
class HeldObjects(Data):
    """A data set that is equal to itself and to its copies, also on other machines; its contents are not compared.

    Attributes:
        identity: a random name that is drawn when the data set is made; copies keep it.
    """

    identity: str = field(default_factory=lambda: uuid4().hex, init=False)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, HeldObjects) and self.identity == other.identity

    def __hash__(self) -> int:
        return hash(self.identity)

    def example_numbers(self, samples: int) -> list[int]:
        """Which training samples are an example: evenly spaced ones, or all of them again and again where too few."""
        there = self.train_samples
        return [number * there // samples if samples <= there else number % there for number in range(samples)]
