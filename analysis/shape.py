"""What the curves of a technique's batch sizes have in common: the noise, how sharply runs begin to fail, and dips.

A few runs of one batch size say little about these; the runs of all batch sizes say more. So each of the parameters in
BETWEEN, which are standard normal in the prior, is taken to lie around a centre that the technique's groups share:

    z = centre + b * e,    centre ~ N(0, 1 - b^2),    e ~ N(0, 1)

Every other group is summed up by the mean and the variance of its curves, and a group's curves are drawn again in
proportion to how well they agree with the others. Where an edge lies is not shared, so a group's interval remains its
own.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np

from analysis.fit import Fit, largest_step, resampled
from analysis.response_curve import PLACES

BETWEEN = {"noise": 0.25, "onset": 0.4, "diverging": 0.4, "dips": 0.4}
"""The parameters that batch sizes have in common, and b: how much each varies between them, as a share of its prior."""
_PLACES = [PLACES[name] for name in BETWEEN]
_VARIANCES = np.array(list(BETWEEN.values())) ** 2
LEAST = 0.05
"""No batch size is taken to know a parameter to a smaller variance than this share of the prior's."""
KEPT = 0.2
"""At least this share of a group's curves remains effective: less is shared where groups disagree a lot."""


@lru_cache(maxsize=512)
def with_shape_of(fit: Fit, others: tuple[Fit, ...]) -> Fit:
    """A group's fit, whose curves are also expected to have the shape of other groups' curves."""
    others = tuple(each for each in others if each.runs)
    if not fit.runs or not others:
        return fit
    mean, variance = _expected([_known(each.latents[:, _PLACES]) for each in others])
    z = fit.latents[:, _PLACES]
    log = (0.5 * z**2 - 0.5 * (z - mean) ** 2 / variance).sum(axis=1)
    log *= largest_step(log, 1.0, KEPT)
    chosen = resampled(np.exp(log - log.max()), 0.5)
    return replace(fit, latents=fit.latents[chosen], others=tuple((each.frame, each.runs) for each in others))


def _known(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean and the variance of the likelihood of each parameter, which with the prior gives this sample."""
    variance = np.clip(z.var(axis=0), LEAST, 1 - LEAST)
    precision = 1 / variance - 1
    return z.mean(axis=0) / variance / precision, 1 / precision


def _expected(known: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """The mean and the variance of each parameter in one more group."""
    precision, total = 1 / (1 - _VARIANCES), np.zeros(len(_PLACES))
    for mean, variance in known:
        precision = precision + 1 / (variance + _VARIANCES)
        total = total + mean / (variance + _VARIANCES)
    return total / precision, 1 / precision + _VARIANCES
