"""Dropout whose draws belong to samples.

nn.Dropout draws from the process's one random stream, so what it drops depends on how a batch is split. Here every
sample of an epoch has a random key, and whether one of its values is dropped is a hash of that key, the layer, and the
value's place: the same on every worker, in every micro-batch, in both passes of SAM and after a retry.
"""

import torch
from torch import Tensor, nn

_ELEMENTWISE = (nn.Dropout,)
_CHANNELWISE = (nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)


class SampleDropout(nn.Module):
    """Zeroes values, or whole channels, of training inputs with probability p and divides the others by 1 - p.

    Args:
        p: probability, 0 to 1.
        layer: its number in the model; layers draw apart.
        channelwise: whether a channel is kept or dropped as a whole.
    """

    def __init__(self, p: float, layer: int, channelwise: bool) -> None:
        super().__init__()
        self.p, self._layer, self._channelwise = p, layer, channelwise
        self._keys: Tensor | None = None
        self._calls = 0

    def pass_over(self, keys: Tensor) -> None:
        """Say which samples the next pass consists of: their keys, (samples,) int32."""
        self._keys, self._calls = keys, 0

    def forward(self, x: Tensor) -> Tensor:  # (samples, ...) -> the same
        if not self.training or self.p == 0:
            return x
        assert self._keys is not None, "a training pass needs the keys of its samples"
        shape = x.shape[: 2 if self._channelwise else None]
        place = torch.arange(shape[1:].numel(), dtype=torch.int32, device=x.device)
        number = self._layer + 1000 * self._calls
        self._calls += 1
        kept = _hash(_hash(self._keys + number)[:, None] ^ _hash(place)) >= int(self.p * 2**31)
        return x * kept.view(*shape, *(1 for _ in x.shape[len(shape) :])) * (1 / (1 - self.p) if self.p < 1 else 0.0)

    def extra_repr(self) -> str:
        return f"p={self.p}"


def with_sample_dropout(model: nn.Module) -> nn.Module:
    """The model, in place, with its Dropout layers replaced by SampleDropout."""
    layers = [
        (parent, name, child)
        for parent in model.modules()
        for name, child in parent.named_children()
        if isinstance(child, _ELEMENTWISE + _CHANNELWISE)
    ]
    for number, (parent, name, child) in enumerate(layers):
        setattr(parent, name, SampleDropout(child.p, number, isinstance(child, _CHANNELWISE)))
    return model


def dropouts(model: nn.Module) -> list[SampleDropout]:
    """The model's SampleDropout layers."""
    return [module for module in model.modules() if isinstance(module, SampleDropout)]


def _hash(x: Tensor) -> Tensor:
    """int32 -> 0 .. 2^31 - 1, each bit depending on all bits.

    Source: Wellons, "Prospecting for Hash Functions" (2018), lowbias32.
    """
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B - 2**32)):
        x = (x ^ ((x >> shift) & (2 ** (32 - shift) - 1))) * factor
    return (x ^ (x >> 16)) & 0x7FFFFFFF
