"""The scale of the random fluctuations of SGD."""


def fluctuation_scale(learning_rate: float, samples: int, batch_size: int) -> float:
    """g = eta (N / B - 1). The linear rule keeps it nearly constant while B is far below N.

    Example, Li and Sheng's baseline and their largest batch size:
        >>> round(fluctuation_scale(0.025, 50_000, 32), 1), round(fluctuation_scale(3.2, 50_000, 4096), 1)
        (39.0, 35.9)

    Args:
        learning_rate: eta, the peak learning rate.
        samples: N, the size of the training set.
        batch_size: B, the global batch size.

    Source: Li and Sheng, equation 4, after Smith et al. 2018.
    """
    return learning_rate * (samples / batch_size - 1)
