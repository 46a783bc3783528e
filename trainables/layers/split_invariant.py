"""The protocol between BatchGradient and layers whose results must not depend on how a batch is split.

A batch is computed in passes: one for each micro-batch, and as many again for the second gradient of SAM. Each worker
makes the passes over its own share. Before a pass begins, such a layer is told what the pass consists of. During the
passes it notes what it sees, and it updates its state once, when the batch's step is settled.
"""

from typing import NamedTuple

from torch import Tensor, nn


class Pass(NamedTuple):
    """What one pass consists of.

    Attributes:
        first: the index of its first sample in this worker's share of the batch.
        keys: (samples,) int32, the keys of its samples, which dropout draws from.
        groups: the number of normalisation batches that its samples form.
        noted: whether the pass counts for running statistics and for states that layers carry.
    """

    first: int
    keys: Tensor
    groups: int
    noted: bool


class SplitInvariant:
    """A layer whose results do not depend on how a batch is split. By default each of its methods does nothing."""

    def begin_pass(self, part: Pass) -> None:
        """A training pass begins."""

    def end_pass(self) -> None:
        """The forward half of the pass is over."""

    def forget(self) -> None:
        """Drop what was noted since the last step was settled, because the batch's passes start again."""

    def settle(self, groups: int) -> None:
        """End the step: update the layer's state from what was noted.

        Args:
            groups: number of normalisation batches in the whole batch, over all workers.
        """

    def restart(self) -> None:
        """Start the data from the beginning: reset every state that is carried from batch to batch."""


def split_invariant(model: nn.Module) -> list[SplitInvariant]:
    """The model's SplitInvariant layers."""
    return [module for module in model.modules() if isinstance(module, SplitInvariant)]
