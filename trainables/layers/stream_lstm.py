"""A recurrent layer that carries its state from one batch of a stream to the next.

Training cuts a long text into pieces. The layer starts each piece in the state that it had at the end of the piece
before, so it can use more of the past than gradients reach (truncated backpropagation through time). All micro-batches
and both passes of SAM start from the state before the batch, so neither changes the result.
"""

import torch
from torch import Tensor, nn

from trainables.layers.split_invariant import Pass, SplitInvariant

State = tuple[Tensor, Tensor]
"""Hidden and cell state, (layers, samples, width) each."""


class StreamLSTM(SplitInvariant, nn.LSTM):
    """nn.LSTM over (samples, steps, width) that carries its state along streams.

    Each sample of a batch is the next piece of its own stream. In training, the state advances when the batch is
    settled; in evaluation, it advances with every call. `restart` starts all streams from the beginning.
    """

    def __init__(self, width_in: int, width: int, layers: int = 1) -> None:
        super().__init__(width_in, width, num_layers=layers, batch_first=True)
        self.restart()

    def restart(self) -> None:
        """Start the streams from the beginning: the state is zero again."""
        self._state: State | None = None
        self._first, self._note = 0, True
        self.forget()

    def begin_pass(self, part: Pass) -> None:
        self._first, self._note = part.first, part.noted

    def forget(self) -> None:
        self._noted: dict[int, State] = {}

    def settle(self, groups: int) -> None:
        """Keep the states that were noted; the next batch starts from them."""
        parts = [self._noted[first] for first in sorted(self._noted)]
        if parts:
            hidden, cell = (torch.cat(states, dim=1) for states in zip(*parts, strict=True))
            self._state = (hidden, cell)
        self.forget()

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]  # (samples, steps, width_in) -> (..., width)
        begin = None
        if self._state is not None:
            here = slice(self._first, self._first + len(x)) if self.training else slice(None)
            begin = (self._state[0][:, here].contiguous(), self._state[1][:, here].contiguous())
        output, (hidden, cell) = super().forward(x, begin)
        end = (hidden.detach(), cell.detach())
        if not self.training:
            self._state = end
        elif self._note:
            self._noted[self._first] = end
        return output
