"""Recurrent layers whose state goes on from one batch of a stream to the next.

Training cuts a long text into pieces; where the layer starts a piece in the state it had at the end of the one before,
it can use more of the past than gradients reach (truncated backpropagation through time). Micro-batches and the two
passes of SAM start from the same state, so neither changes the result.
"""

import torch
from torch import Tensor, nn

State = tuple[Tensor, Tensor]
"""Hidden and cell state, (layers, samples, width) each."""


class StreamLSTM(nn.LSTM):
    """nn.LSTM over (samples, steps, width) that carries its state along streams.

    Each sample of a batch is the next piece of its own stream. In training the state moves on when the batch is
    settled, in evaluation with every call; `restart` begins all streams anew.
    """

    def __init__(self, width_in: int, width: int, layers: int = 1) -> None:
        super().__init__(width_in, width, num_layers=layers, batch_first=True)
        self.restart()

    def restart(self) -> None:
        """Begin the streams: the state is zero."""
        self._state: State | None = None
        self._first, self._note = 0, True
        self.forget()

    def forget(self) -> None:
        """Drop what passes noted since the batch before was settled."""
        self._noted: dict[int, State] = {}

    def pass_over(self, first: int, note: bool) -> None:
        """Say which of the batch's samples the next pass begins with, and whether the state it ends in counts."""
        self._first, self._note = first, note

    def settle(self) -> None:
        """End the batch: the next one goes on from the states that were noted."""
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


def streams(model: nn.Module) -> list[StreamLSTM]:
    """The model's layers that carry a state."""
    return [module for module in model.modules() if isinstance(module, StreamLSTM)]
