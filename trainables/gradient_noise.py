"""Gradient noise: estimates of |G|^2 and tr(Sigma) from the gradients of the parts of a batch.

A batch of B samples is divided into n parts of b = B/n samples, with gradients g_1 ... g_n and their mean g. Then

    |G|^2 = (n |g|^2 - mean |g_i|^2) / (n - 1)          tr(Sigma) = b n (mean |g_i|^2 - |g|^2) / (n - 1)

are unbiased estimates of the squared norm of the expected gradient and of the trace of the covariance of one sample's
gradient. Their ratio is not unbiased. So each of the two is averaged over steps, and the averages are divided.

Source: McCandlish et al. 2018, "An Empirical Model of Large-Batch Training", appendix A.1; Johnson et al. 2020,
"AdaScale SGD", section 3.
"""

import math
from dataclasses import dataclass

AVERAGED_STEPS = 100
"""Number of steps that the averages reach back. AdaScale's paper uses 1000 / k steps. That is no average at all where k
reaches 1000, as it may when the reference batch size is 1."""


@dataclass(frozen=True)
class GradientNoise:
    """The gradient noise of a run, as measured so far.

    Attributes:
        squared_norm: estimate of |G|^2, the squared norm of the expected gradient; it can be negative.
        variance: estimate of tr(Sigma), the trace of the covariance of one sample's gradient.
        measurements: number of steps at which the noise was measured.
    """

    squared_norm: float
    variance: float
    measurements: int = 1

    @property
    def scale(self) -> float:
        """B_noise = tr(Sigma) / |G|^2, in samples: the batch size at which noise and signal are equal."""
        return self.variance / self.squared_norm if self.squared_norm > 0 else math.inf


def noise_between(part_squares: float, square: float, parts: int, part_size: int) -> GradientNoise | None:
    """The noise estimated from the parts of one batch; None where a gradient is not finite.

    Args:
        part_squares: mean of |g_i|^2 over the parts.
        square: |g|^2, where g is the mean of the parts' gradients.
        parts: n, the number of parts, at least 2.
        part_size: b, the number of samples in a part.
    """
    if not (math.isfinite(part_squares) and math.isfinite(square)):
        return None
    squared_norm = (parts * square - part_squares) / (parts - 1)
    variance = part_size * parts * max(0.0, part_squares - square) / (parts - 1)
    return GradientNoise(squared_norm, variance)


def averaged(before: GradientNoise | None, now: GradientNoise | None) -> GradientNoise | None:
    """The running average after one more measurement: first a plain mean, later an exponential moving average.

    average <- (1 - s) average + s now, with s = max(1 / measurements, 1 / 100)
    """
    if before is None or now is None:
        return now or before
    count = before.measurements + 1
    share = max(1 / count, 1 / AVERAGED_STEPS)
    return GradientNoise(
        before.squared_norm + share * (now.squared_norm - before.squared_norm),
        before.variance + share * (now.variance - before.variance),
        count,
    )
