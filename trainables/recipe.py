"""Recipe: how a task is trained, and the formula that combines its slots.

    lr(t) = base_lr * warmup(t, scaling(t)) * decay(t) * growth.rate(t)        batch_size(t) = growth(t)

A run is one combination of task, recipe, batch size, learning rate and seed. The learning rate of a run is its peak
after scaling, the one that the optimizer uses when the warm-up ends. So base_lr = learning_rate / scale.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass, replace

from trainables.decay import Decay, NoDecay
from trainables.errors import require
from trainables.gradient import Gradient, Plain
from trainables.growth import FixedBatch, Growth
from trainables.optimizers import SGD, Optimizer
from trainables.progress import Progress
from trainables.scaling import NoScaling, Scaling
from trainables.warmup import NoWarmup, Warmup

EPOCHS = "task.epochs"
"""The name under which a run stores its number of epochs where that differs from its task's."""
WORKERS = "workers"
"""The name under which a run stores the number of data-parallel workers that trained it."""
PASSES = "task.passes_per_epoch"
"""The name under which a run stores how many passes over the training set make an epoch."""


SLOTS: dict[str, type] = {
    "optimizer": Optimizer,
    "scaling": Scaling,
    "warmup": Warmup,
    "decay": Decay,
    "growth": Growth,
    "gradient": Gradient,
}
"""The base of what fills each slot of a recipe."""


@dataclass(frozen=True)
class Recipe:
    """How a task is trained: several slots, each of which is filled with a small frozen dataclass.

    Example, Goyal et al.'s linear scaling with five epochs of warm-up:
        >>> from trainables.scaling import LinearScaling
        >>> from trainables.warmup import LinearWarmup
        >>> recipe = Recipe(base_batch_size=256, scaling=LinearScaling(), warmup=LinearWarmup(epochs=5))
        >>> recipe.peak_learning_rate(base_lr=0.1, batch_size=8192)
        3.2

    Attributes:
        base_batch_size: B0, the batch size at which the scaling is 1, in samples; no run needs to have it.
        norm_batch_size: number of samples in a normalisation batch, over which BatchNorm computes its statistics; None
            for the whole batch.
        norm_parts: number of equal normalisation batches that every batch is cut into instead, as over so many GPUs;
            they grow as the batch grows. None where norm_batch_size says it.
        max_micro_batch: largest number of samples of a worker's share that are computed at once, a multiple of
            norm_batch_size; None for all of them. It is halved whenever the samples do not fit into memory. Results do
            not depend on it.
        mixed_precision: whether layers that gain from it compute in bfloat16; weights and sums stay in 32 bits.

    Raises:
        UserError: a size or norm_parts is below 1, max_micro_batch is not a multiple of norm_batch_size, or norm_parts
            is given together with one of them.
    """

    base_batch_size: int = 32
    optimizer: Optimizer = SGD(momentum=0.9)
    scaling: Scaling = NoScaling()
    warmup: Warmup = NoWarmup()
    decay: Decay = NoDecay()
    growth: Growth = FixedBatch()
    gradient: Gradient = Plain()
    norm_batch_size: int | None = None
    norm_parts: int | None = None
    max_micro_batch: int | None = None
    mixed_precision: bool = False

    def __post_init__(self) -> None:
        require(self.base_batch_size >= 1, f"Recipe base_batch_size {self.base_batch_size}: must be at least 1")
        for name, base in SLOTS.items():
            value = getattr(self, name)
            require(isinstance(value, base), f"Recipe {name} {value!r}: must be of a subclass of {base.__name__}")
        size, micro = self.norm_batch_size, self.max_micro_batch
        for name, value in (("norm_batch_size", size), ("norm_parts", self.norm_parts), ("max_micro_batch", micro)):
            whole = value is None or (isinstance(value, int) and value >= 1)
            require(whole, f"Recipe {name} {value}: must be a whole number, at least 1, or None")
        require(
            size is None or micro is None or micro % size == 0,
            f"Recipe max_micro_batch {micro}: must be a multiple of norm_batch_size {size}",
        )
        require(
            self.norm_parts is None or (size is None and micro is None),
            f"Recipe norm_parts {self.norm_parts}: takes the place of norm_batch_size {size}, and cannot be used with "
            f"max_micro_batch {micro}; leave both None",
        )

    def start(self, batch_size: int, epochs: float = 1.0, passes_per_epoch: float = 1.0) -> Progress:
        """The Progress of a run at this batch size before its first step."""
        return Progress(
            epoch=0.0,
            epochs=epochs,
            batch_size=batch_size,
            base_batch_size=self.base_batch_size,
            passes_per_epoch=passes_per_epoch,
        )

    def scale(self, batch_size: int) -> float:
        """The largest factor of base_lr in a run that starts at this batch size."""
        return self.scaling.peak(self.start(batch_size))

    def norm_size(self, batch_size: int) -> int | None:
        """The number of samples in a normalisation batch of a batch of this size; None for the whole batch."""
        return self.norm_batch_size if self.norm_parts is None else batch_size // self.norm_parts

    def optimizer_at(self, batch_size: int) -> Optimizer:
        """The optimizer of a run that starts at this batch size, adapted by the scaling."""
        return self.scaling.adapt(self.optimizer, batch_size / self.base_batch_size)

    def noise_parts(self, batch_size: int) -> int:
        """The number of parts of a batch by which gradient noise is measured; 0 where no slot needs the noise."""
        progress = self.start(batch_size)
        return max(self.scaling.noise_parts(progress), self.growth.noise_parts(progress))

    def peak_learning_rate(self, base_lr: float, batch_size: int) -> float:
        """The learning rate that the scaling prescribes at a batch size, given the learning rate at base_batch_size."""
        return base_lr * self.scale(batch_size)

    def learning_rate(self, base_lr: float, progress: Progress) -> float:
        """The learning rate that the optimizer uses now, by the formula at the top of this module."""
        scale = self.scaling(progress)
        return base_lr * self.warmup(progress, scale) * self.decay(progress) * self.growth.rate(progress)


def with_values(recipe: Recipe, values: Mapping[str, float]) -> Recipe:
    """A copy of the recipe with new values in fields of its slots; each name has the form slot.field.

    Example:
        >>> with_values(Recipe(), {"optimizer.momentum": 0.8}).optimizer
        SGD(momentum=0.8, weight_decay=0.0, nesterov=False)

    Raises:
        UserError: a name is not that of a numeric field of a slot, or a slot refuses its value.
    """
    for name, value in values.items():
        value_in(recipe, name)
        slot, field = name.split(".")
        recipe = replace(recipe, **{slot: replace(getattr(recipe, slot), **{field: value})})
    return recipe


def value_in(recipe: Recipe, name: str) -> float:
    """The value of a slot's numeric field, whose name has the form slot.field.

    Raises:
        UserError: the recipe has no numeric field of that name.
    """
    found = {
        f"{slot.name}.{field.name}": getattr(getattr(recipe, slot.name), field.name)
        for slot in fields(recipe)
        if is_dataclass(getattr(recipe, slot.name))
        for field in fields(getattr(recipe, slot.name))
    }
    numbers = {
        key: value for key, value in found.items() if isinstance(value, int | float) and not isinstance(value, bool)
    }
    require(
        name in numbers, f"dimension {name!r}: is not a number in the recipe, which has {', '.join(sorted(numbers))}"
    )
    return numbers[name]
