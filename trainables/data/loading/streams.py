"""A loaded text: token numbers on the training device, read as streams that go on from one batch to the next."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from trainables.data.loading.source import SampleDraws, SplitName, drawn_keys

EVALUATION_STREAMS = 10


@dataclass(frozen=True)
class Streams:
    """A loaded text; a sample is a piece of `steps` tokens, labelled with the tokens that follow each.

    Attributes:
        train, validation, test: (tokens,) int64, each more than `steps` long.
        steps: tokens to a piece.
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
        """One epoch's order: batch_size contiguous streams, of which batch t holds piece t of each.

        The text's last pieces, fewer than batch_size, are left out. Only the keys are random.
        """
        length = self.train_samples // batch_size
        order = torch.arange(batch_size * length).view(batch_size, length).T.flatten()
        keys = drawn_keys(self.train_samples, generator)
        return SampleDraws(order.to(self.device), keys.to(self.device))

    def batch(self, samples: Tensor, draws: SampleDraws, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Inputs and labels, (batch, steps) int64 each; dtype is that of weights and not used."""
        places = samples[:, None] * self.steps + torch.arange(self.steps + 1, device=self.device)
        tokens = self.train[places]
        return tokens[:, :-1], tokens[:, 1:]

    def evaluation(
        self, split: SplitName, dtype: torch.dtype, rank: int, workers: int
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """A split as 10 contiguous streams dealt to the workers, piece by piece from their beginnings.

        How a split is cut does not depend on the workers. A text of fewer than 10 pieces makes fewer streams, a worker
        without one gets nothing; the last pieces, fewer than 10, are left out.
        """
        tokens = {"train": self.train, "validation": self.validation, "test": self.test}[split]
        count = min(EVALUATION_STREAMS, pieces(len(tokens), self.steps))
        length = pieces(len(tokens), self.steps) // count * self.steps
        inputs, labels = (tokens[first : first + count * length].view(count, length)[rank::workers] for first in (0, 1))
        if len(inputs):
            yield from zip(inputs.split(self.steps, dim=1), labels.split(self.steps, dim=1), strict=True)


def pieces(tokens: int, steps: int) -> int:
    """How many pieces a text makes; the last token is only a label."""
    return (tokens - 1) // steps
