"""The protocol between a batch's gradient and the layers that a batch's split must not change.

A batch is computed in passes: one for each micro-batch, and as many again for the second gradient of SAM. Each worker
makes the passes over its own share. A layer of this kind is told what a pass consists of before the pass begins, notes
what it saw, and brings what it noted into its state once, when the batch's step is settled.
"""

from typing import NamedTuple

from torch import Tensor, nn


class Pass(NamedTuple):
    """What one pass consists of.

    Attributes:
        first: the place of its first sample in this worker's share of the batch.
        keys: (samples,) int32, what dropout draws from; one for each sample of the pass.
        groups: how many normalisation batches its samples make.
        noted: whether running statistics and carried states take note of it.
    """

    first: int
    keys: Tensor
    groups: int
    noted: bool


class SplitInvariant:
    """A layer whose results do not depend on how a batch is split. Each of these calls does nothing by default."""

    def begin_pass(self, part: Pass) -> None:
        """A training pass begins."""

    def end_pass(self) -> None:
        """The forward half of the pass is over."""

    def forget(self) -> None:
        """Drop what was noted since the last step was settled, because the batch's passes start again."""

    def settle(self, groups: int) -> None:
        """End the step: bring what was noted into the layer's state.

        Args:
            groups: normalisation batches of the whole batch, over all workers.
        """

    def restart(self) -> None:
        """Begin the data anew: forget every state carried from earlier batches."""


def split_invariant(model: nn.Module) -> list[SplitInvariant]:
    """The model's layers of this kind."""
    return [module for module in model.modules() if isinstance(module, SplitInvariant)]
