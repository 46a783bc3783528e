"""The scale of the random fluctuations of SGD."""


def fluctuation_scale(learning_rate: float, samples: int, batch_size: int) -> float:
    """g = eta (N / B - 1): what the linear rule keeps while B is far below N.

    Example, paper 2's baseline and its largest batch size:
        >>> round(fluctuation_scale(0.025, 50_000, 32), 1), round(fluctuation_scale(3.2, 50_000, 4096), 1)
        (39.0, 35.9)

    Args:
        learning_rate: eta, the peak.
        samples: N, of the training set.
        batch_size: B, global.

    Source: Li and Sheng, equation 4, after Smith et al. 2018.
    """
    return learning_rate * (samples / batch_size - 1)
