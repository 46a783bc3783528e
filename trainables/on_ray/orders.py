"""The orders that a worker group is given, and the failure that it returns where it cannot carry one out."""

from dataclasses import dataclass
from typing import Any

import torch

from trainables.recipe import Recipe
from trainables.task import Task


@dataclass(frozen=True)
class Start:
    """Order: begin a run, or go on with it where its keeper has a state of it; the result is a list of the EpochReports
    until then.

    Attributes:
        workers: None for all workers of the group; with 1, the first trains the run by itself and the others wait.
        keeper: the Keeper that gets the state of the run after its epochs; None to keep nothing.
        key: the name of the run's state there.
    """

    task: Task
    recipe: Recipe
    batch_size: int
    learning_rate: float
    seed: int
    data_dir: str
    workers: int | None = None
    dtype: torch.dtype = torch.float32
    keeper: Any = None
    key: str = ""


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


class WorkersLost(RuntimeError):
    """The workers ended, or answered no more, without an exception of what they were training."""
