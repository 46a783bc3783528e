"""Functions for batches that are tensors, or tuples, lists and mappings of tensors, nested to any depth."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

MOST_DESCRIBED = 4
"""The most entries of a tuple that a message describes."""

Nested = Any
"""A tensor, or a tuple, list or mapping of nested tensors. The first dimension of every tensor counts samples."""


def map_tensors(change: Callable[[Tensor], Tensor], batch: Nested) -> Nested:
    """The batch with `change` applied to every tensor; everything that is not a tensor stays as it is."""
    if isinstance(batch, Tensor):
        return change(batch)
    if isinstance(batch, Mapping):
        return {name: map_tensors(change, value) for name, value in batch.items()}
    if isinstance(batch, tuple | list):
        changed = [map_tensors(change, value) for value in batch]
        return changed if isinstance(batch, list) else tuple(changed)
    return batch


def tensors_of(batch: Nested) -> list[Tensor]:
    """Every tensor of the batch, in order."""
    found: list[Tensor] = []

    def note(tensor: Tensor) -> Tensor:
        found.append(tensor)
        return tensor

    map_tensors(note, batch)
    return found


def only_tensors(batch: Nested) -> bool:
    """Whether the batch holds tensors and nothing else."""
    if isinstance(batch, Mapping):
        return all(map(only_tensors, batch.values()))
    if isinstance(batch, tuple | list):
        return all(map(only_tensors, batch))
    return isinstance(batch, Tensor)


def on(device: torch.device, dtype: torch.dtype, batch: Nested) -> Nested:
    """The batch on a device, with its floating-point tensors converted to this precision."""
    return map_tensors(lambda each: each.to(device, dtype if each.is_floating_point() else None), batch)


def answers_in(targets: Nested) -> int:
    """The number of answers in a batch of targets: the values of a single tensor, or the samples of several tensors."""
    if isinstance(targets, Tensor):
        return targets.numel()
    return len(tensors_of(targets)[0])


def call(model: nn.Module, inputs: Nested) -> Any:
    """The model's outputs; a tuple or list of inputs is passed as arguments, a mapping as arguments by name."""
    if isinstance(inputs, Mapping):
        return model(**inputs)
    if isinstance(inputs, tuple | list):
        return model(*inputs)
    return model(inputs)


def described(batch: Nested) -> str:
    """The types and shapes of a batch's tensors, as text for an error message."""
    if isinstance(batch, Tensor):
        return f"{str(batch.dtype).removeprefix('torch.')} {tuple(batch.shape)}"
    if isinstance(batch, Mapping):
        return "{" + ", ".join(f"{name}: {described(value)}" for name, value in batch.items()) + "}"
    if isinstance(batch, tuple | list):
        shown = ", ".join(map(described, batch[:MOST_DESCRIBED]))
        more = f" and {len(batch) - MOST_DESCRIBED} more" if len(batch) > MOST_DESCRIBED else ""
        return f"({shown}{more})"
    return type(batch).__name__
