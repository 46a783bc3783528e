"""Where a run stands: the only argument a schedule needs."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """Where a run stands, handed to every slot of a recipe at every step.

    Example:
        >>> Progress(epoch=5.0, epochs=20, batch_size=256, base_batch_size=32).fraction
        0.25

    Attributes:
        epoch: passes over the training set so far, fractional inside an epoch.
        epochs: length of the whole run, warm-up included.
        batch_size: global batch size the run started with, in samples.
        base_batch_size: the recipe's reference batch size, in samples.
        samples: training samples seen so far.
    """

    epoch: float
    epochs: float
    batch_size: int
    base_batch_size: int
    samples: int = 0

    @property
    def fraction(self) -> float:
        """Share of the whole run that is done, warm-up included, 0 to 1."""
        return self.epoch / self.epochs

    @property
    def batch_ratio(self) -> float:
        """How many times the reference batch size the run started with: k = B / B0."""
        return self.batch_size / self.base_batch_size
