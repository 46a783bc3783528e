"""What a worker group is told to do, and what it answers where it cannot."""

from dataclasses import dataclass

import torch

from trainables.recipe import Recipe
from trainables.task import Task


@dataclass(frozen=True)
class Start:
    """Order: begin a run; the result is None."""

    task: Task
    recipe: Recipe
    batch_size: int
    learning_rate: float
    seed: int
    data_dir: str
    dtype: torch.dtype = torch.float32


@dataclass(frozen=True)
class TrainEpoch:
    """Order: train one epoch of the run; the result is its EpochReport."""


@dataclass(frozen=True)
class Save:
    """Order: the result is the run's state, bytes."""


@dataclass(frozen=True)
class Load:
    """Order: put a run that was just started into a saved state; the result is None."""

    state: bytes


@dataclass(frozen=True)
class Stop:
    """Order: the workers return and the group ends."""


Order = Start | TrainEpoch | Save | Load | Stop


@dataclass(frozen=True)
class Failure:
    """A result: what a worker raised.

    Attributes:
        kind: the exception's class name.
        message: its text.
        trace: its traceback.
    """

    kind: str
    message: str
    trace: str


class RunFailed(RuntimeError):
    """A worker raised while it carried out an order.

    Attributes:
        failure: what it raised.
    """

    def __init__(self, failure: Failure) -> None:
        super().__init__(f"{failure.kind}: {failure.message}")
        self.failure = failure
