"""What data sets share that hold objects of a user's own rather than describe files."""

from dataclasses import dataclass, field
from uuid import uuid4

from trainables.data.loading.source import Data


@dataclass(frozen=True, eq=False, repr=False)
class HeldObjects(Data):
    """A data set that is equal to itself and to its copies, on other machines too, whatever it holds.

    Attributes:
        identity: drawn when the data set is made; copies keep it.
    """

    identity: str = field(default_factory=lambda: uuid4().hex, init=False)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, HeldObjects) and self.identity == other.identity

    def __hash__(self) -> int:
        return hash(self.identity)
