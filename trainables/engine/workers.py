"""The data-parallel workers of a run, and what they exchange."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
import torch.distributed
from torch import Tensor


@dataclass(frozen=True)
class Workers:
    """Which of how many data-parallel workers this process is; torch.distributed is set up where count > 1."""

    rank: int = 0
    count: int = 1

    def share(self, samples: Tensor) -> Tensor:
        """This worker's contiguous part of a batch; the workers divide it evenly."""
        size = len(samples) // self.count
        return samples[self.rank * size : (self.rank + 1) * size]

    def agree(self, values: Iterable[Tensor]) -> None:
        """Replace values by the first worker's, so that all start alike whatever drew them."""
        if self.count > 1:
            for value in values:
                first = value.detach().contiguous()
                torch.distributed.broadcast(first, src=0)
                value.detach().copy_(first)

    def total(self, values: Tensor) -> list[float]:
        """Values summed over the workers; waits for the device."""
        if self.count > 1:
            values = values.clone()
            torch.distributed.all_reduce(values)
        return values.tolist()
