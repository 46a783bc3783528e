"""Dropout whose draws belong to samples.

nn.Dropout draws from the random generator of its process, so what it drops depends on how a batch is split. Here every
sample of an epoch has a random key. A hash of that key, the layer, the call and the position of a value decides whether
the value is dropped. The decision is the same on every worker, in every micro-batch, in both passes of SAM and after a
repeated pass.
"""

import torch
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from trainables.errors import require
from trainables.layers.split_invariant import Pass, SplitInvariant

_KINDS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)


class SampleDropout(SplitInvariant, _DropoutNd):
    """Zeroes values, or whole channels, of training inputs with probability p and divides the others by 1 - p.

    Args:
        p: probability that a value is dropped, 0 to 1.
        layer: number of the layer in the model; each layer draws independently of the others.
        channelwise: whether a channel is kept or dropped as a whole.
    """

    _kind: type[nn.Module] = nn.Dropout

    def __init__(self, p: float, layer: int, channelwise: bool) -> None:
        super().__init__(p)
        self.draw_as(layer, channelwise)

    def draw_as(self, layer: int, channelwise: bool) -> None:
        """Set the layer's number and what it drops; see the arguments of the class."""
        self._layer, self._channelwise = layer, channelwise
        self.end_pass()

    def begin_pass(self, part: Pass) -> None:
        self._keys: Tensor | None = part.keys
        self._calls = 0

    def end_pass(self) -> None:
        self._keys = None

    def forward(self, x: Tensor) -> Tensor:  # (samples, ...) or (samples * positions, ...) -> the same
        if not self.training or self.p == 0:
            return x
        keys = self._keys
        require(keys is not None, f"{self!r}: was called outside a forward pass; checkpointed activations need p = 0")
        assert keys is not None
        require(
            x.shape[0] % len(keys) == 0,
            f"{self!r}: its input of shape {tuple(x.shape)} must have the {len(keys)} samples of the pass in its first "
            "dimension (batch_first=True)",
        )
        shape = x.shape[: 2 if self._channelwise else None]
        each = shape.numel() // len(keys)
        place = _mix(torch.arange(each, dtype=torch.int32, device=x.device))
        number = self._layer + 1000 * self._calls
        self._calls += 1
        draws = _mix(_mix(keys + number)[:, None] ^ place).bitwise_and_(0x7FFFFFFF)  # (samples, each)
        kept = (draws >= int(self.p * 2**31)).to(x.dtype).mul_(1 / (1 - self.p) if self.p < 1 else 0.0)
        return x * kept.view(*shape, *(1 for _ in x.shape[len(shape) :]))


def with_sample_dropout(model: nn.Module) -> nn.Module:
    """The model, in place, with its Dropout layers turned into SampleDropout."""
    for number, layer in enumerate(each for each in model.modules() if type(each) in _KINDS):
        channelwise = type(layer) is not nn.Dropout
        kind = type(layer)
        layer.__class__ = SampleDropout
        assert isinstance(layer, SampleDropout)
        layer._kind = kind
        layer.draw_as(number, channelwise)
    return model


def without_sample_dropout(model: nn.Module) -> nn.Module:
    """The model, in place, with its SampleDropout layers turned back into the layers that they were."""
    for layer in [each for each in model.modules() if isinstance(each, SampleDropout)]:
        layer.__class__ = layer._kind  # type: ignore[assignment]
        for name in ("_kind", "_layer", "_channelwise", "_keys", "_calls"):
            layer.__dict__.pop(name, None)
    return model


def _mix(x: Tensor) -> Tensor:
    """A hash, int32 -> int32, each bit of which depends on all bits of x; x itself is overwritten.

    Source: Wellons, "Prospecting for Hash Functions" (2018), lowbias32, with shifts that keep the sign.
    """
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B - 2**32)):
        x.bitwise_xor_(x >> shift).mul_(factor)
    return x.bitwise_xor_(x >> 16)
