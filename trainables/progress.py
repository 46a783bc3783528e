"""Progress: the state of a run that its schedules are called with."""

from dataclasses import dataclass

from trainables.gradient_noise import GradientNoise


@dataclass(frozen=True)
class Progress:
    """The state of a run, which the schedules of its recipe are called with at every step.

    Example:
        >>> Progress(epoch=5.0, epochs=20, batch_size=256, base_batch_size=32).fraction
        0.25

    Attributes:
        epoch: epochs so far, with the fraction inside an epoch. With AdaScale it counts epochs of the schedule, which
            may be fewer.
        epochs: length of the whole run, warm-up included.
        batch_size: global batch size that the run started with, in samples.
        base_batch_size: the recipe's reference batch size, in samples.
        samples: training samples seen so far.
        steps: optimizer steps taken so far.
        grown_batch_size: global batch size of the latest step, in samples; None before the first step.
        noise: the gradient noise measured so far; None before the first step and where no slot needs it.
        passes_per_epoch: passes over the training set that make an epoch of this run; see Task.
    """

    epoch: float
    epochs: float
    batch_size: int
    base_batch_size: int
    samples: int = 0
    steps: int = 0
    grown_batch_size: int | None = None
    noise: GradientNoise | None = None
    passes_per_epoch: float = 1.0

    @property
    def fraction(self) -> float:
        """The fraction of the whole run that is done, warm-up included, 0 to 1."""
        return self.epoch / self.epochs

    @property
    def batch_ratio(self) -> float:
        """k = B / B0: the batch size that the run started with, divided by the reference batch size."""
        return self.batch_size / self.base_batch_size
