"""Where a run stands: the only argument a schedule needs."""

from dataclasses import dataclass

from trainables.gradient_noise import GradientNoise


@dataclass(frozen=True)
class Progress:
    """Where a run stands, handed to every slot of a recipe at every step.

    Example:
        >>> Progress(epoch=5.0, epochs=20, batch_size=256, base_batch_size=32).fraction
        0.25

    Attributes:
        epoch: passes over the training set so far, fractional inside an epoch; under AdaScale, those that count.
        epochs: length of the whole run, warm-up included.
        batch_size: global batch size the run started with, in samples.
        base_batch_size: the recipe's reference batch size, in samples.
        samples: training samples seen so far.
        steps: optimizer steps taken so far.
        grown_batch_size: global batch size of the step before, in samples; None before the first.
        noise: the gradient noise measured so far; None where no slot asks for it, and before the first step.
    """

    epoch: float
    epochs: float
    batch_size: int
    base_batch_size: int
    samples: int = 0
    steps: int = 0
    grown_batch_size: int | None = None
    noise: GradientNoise | None = None

    @property
    def fraction(self) -> float:
        """Share of the whole run that is done, warm-up included, 0 to 1."""
        return self.epoch / self.epochs

    @property
    def batch_ratio(self) -> float:
        """How many times the reference batch size the run started with: k = B / B0."""
        return self.batch_size / self.base_batch_size
