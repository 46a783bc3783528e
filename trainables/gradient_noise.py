"""How noisy the gradient is: |G|^2 and tr(Sigma), from the gradients of a batch's parts.

A batch of B samples is looked at in n parts of b = B/n samples with gradients g_1 ... g_n and mean g. Then

    |G|^2 = (n |g|^2 - mean |g_i|^2) / (n - 1)          tr(Sigma) = b n (mean |g_i|^2 - |g|^2) / (n - 1)

are unbiased for the squared norm of the expected gradient and for the trace of one sample's gradient covariance. Their
ratio is not, so the two are averaged over steps separately and divided last.

Source: McCandlish et al. 2018, "An Empirical Model of Large-Batch Training", appendix A.1; Johnson et al. 2020,
"AdaScale SGD", section 3.
"""

import math
from dataclasses import dataclass

AVERAGED_STEPS = 100
"""How far back averages reach. AdaScale's own reach, 1000 / k steps, is none at all where the reference batch is 1."""


@dataclass(frozen=True)
class GradientNoise:
    """What has been measured of a run's gradient noise.

    Attributes:
        squared_norm: |G|^2 of the expected gradient; an estimate, so it can be negative.
        variance: tr(Sigma) of one sample's gradient.
        measurements: steps behind them.
    """

    squared_norm: float
    variance: float
    measurements: int = 1

    @property
    def scale(self) -> float:
        """B_noise = tr(Sigma) / |G|^2, in samples: the batch size at which noise and signal are equal."""
        return self.variance / self.squared_norm if self.squared_norm > 0 else math.inf


def noise_between(part_squares: float, square: float, parts: int, part_size: int) -> GradientNoise | None:
    """The noise that the parts of one batch show, or None where a gradient is not finite.

    Args:
        part_squares: mean over the parts of |g_i|^2.
        square: |g|^2 of their mean.
        parts: n, at least 2.
        part_size: b, samples.
    """
    if not (math.isfinite(part_squares) and math.isfinite(square)):
        return None
    squared_norm = (parts * square - part_squares) / (parts - 1)
    variance = part_size * parts * max(0.0, part_squares - square) / (parts - 1)
    return GradientNoise(squared_norm, variance)


def averaged(before: GradientNoise | None, now: GradientNoise | None) -> GradientNoise | None:
    """The running average after one more measurement: a plain mean at first, later one that forgets.

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
