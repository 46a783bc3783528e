"""The orders that a worker group is given, and the failure that it returns where it cannot carry one out."""

from dataclasses import dataclass

import torch

from trainables.recipe import Recipe
from trainables.task import Task


@dataclass(frozen=True)
class Start:
    """Order: begin a run; the result is None.

    Attributes:
        workers: None for all workers of the group; with 1, the first trains the run by itself and the others wait.
    """

    task: Task
    recipe: Recipe
    batch_size: int
    learning_rate: float
    seed: int
    data_dir: str
    workers: int | None = None
    dtype: torch.dtype = torch.float32


@dataclass(frozen=True)
class TrainEpoch:
    """Order: train one epoch of the run; the result is its EpochReport."""


@dataclass(frozen=True)
class Save:
    """Order: save the run; the result is its state, as bytes."""


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
    """The result of an order where a worker raised an exception.

    Attributes:
        kind: the exception's class name.
        message: the exception's text.
        trace: the exception's traceback, as text.
    """

    kind: str
    message: str
    trace: str


class RunFailed(RuntimeError):
    """A worker raised an exception while it carried out an order.

    Attributes:
        failure: the worker's exception.
    """

    def __init__(self, failure: Failure) -> None:
        super().__init__(f"{failure.kind}: {failure.message}")
        self.failure = failure
