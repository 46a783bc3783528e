"""The data-parallel workers of a run, and their exchanges."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
import torch.distributed
from torch import Tensor


@dataclass(frozen=True)
class Workers:
    """The rank of this process and the number of data-parallel workers; above 1, torch.distributed is set up."""

    rank: int = 0
    count: int = 1

    def share(self, samples: Tensor) -> Tensor:
        """This worker's share of a batch, a contiguous part of it; the shares of all workers are equally large."""
        size = len(samples) // self.count
        return samples[self.rank * size : (self.rank + 1) * size]

    def agree(self, values: Iterable[Tensor]) -> None:
        """Replace values by those of the first worker, so that all workers start with the same ones."""
        if self.count > 1:
            for value in values:
                first = value.detach().contiguous()
                torch.distributed.broadcast(first, src=0)
                value.detach().copy_(first)

    def total(self, values: Tensor) -> list[float]:
        """The values summed over the workers. The call waits for the device."""
        if self.count > 1:
            values = values.clone()
            torch.distributed.all_reduce(values)
        return values.tolist()
