"""A loaded text: token numbers on the training device, read as streams that continue from batch to batch."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from trainables.data.loading.source import SampleDraws, SplitName, drawn_keys

EVALUATION_STREAMS = 10


@dataclass(frozen=True)
class Streams:
    """A loaded text. A sample is a piece of `steps` tokens; the label of a token is the token after it.

    Attributes:
        train, validation, test: (tokens,) int64, each longer than `steps`.
        steps: number of tokens in a piece.
    """

    train: Tensor
    validation: Tensor
    test: Tensor
    steps: int

    @property
    def device(self) -> torch.device:
        return self.train.device

    @property
    def train_samples(self) -> int:
        return pieces(len(self.train), self.steps)

    def to(self, device: torch.device) -> "Streams":
        """The same text on another device."""
        train, validation, test = (each.to(device) for each in (self.train, self.validation, self.test))
        return replace(self, train=train, validation=validation, test=test)

    def draws(self, generator: torch.Generator, batch_size: int) -> SampleDraws:
        """The order and the keys of one epoch: of batch_size contiguous streams, batch t holds piece t of each.

        Fewer than batch_size pieces at the end of the text are left out. Only the keys are random.
        """
        length = self.train_samples // batch_size
        order = torch.arange(batch_size * length).view(batch_size, length).T.flatten()
        keys = drawn_keys(self.train_samples, generator)
        return SampleDraws(order.to(self.device), keys.to(self.device))

    def batch(self, samples: Tensor, draws: SampleDraws, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Inputs and labels, (batch, steps) int64 each; dtype is not used, because tokens are whole numbers."""
        places = samples[:, None] * self.steps + torch.arange(self.steps + 1, device=self.device)
        tokens = self.train[places]
        return tokens[:, :-1], tokens[:, 1:]

    def evaluation(
        self, split: SplitName, dtype: torch.dtype, rank: int, workers: int
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """This worker's streams of a split, every `workers`-th of 10 from number `rank` on; a batch is a piece of each.

        The split is cut into contiguous streams in the same way for any number of workers. A text of fewer than 10
        pieces gives fewer streams, and a worker without a stream gets no batches. Fewer than 10 pieces at the end of
        the text are left out.
        """
        tokens = {"train": self.train, "validation": self.validation, "test": self.test}[split]
        count = min(EVALUATION_STREAMS, pieces(len(tokens), self.steps))
        length = pieces(len(tokens), self.steps) // count * self.steps
        inputs, labels = (tokens[first : first + count * length].view(count, length)[rank::workers] for first in (0, 1))
        if len(inputs):
            yield from zip(inputs.split(self.steps, dim=1), labels.split(self.steps, dim=1), strict=True)


def pieces(tokens: int, steps: int) -> int:
    """The number of pieces in a text; its last token is only a label."""
    return (tokens - 1) // steps
