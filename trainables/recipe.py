"""Recipe: how a task is trained, and the formula that joins its slots.

    lr(t) = base_lr * warmup(t, scaling(t)) * decay(t) * growth.rate(t)        batch_size(t) = growth(t)

A run is task x recipe x batch size x learning rate x seed. The learning rate of a run is its peak, after scaling:
what the optimizer sees once warm-up ends. So base_lr = learning_rate / scale.
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
"""The name under which a run carries how long it is, where that is not as long as its task says."""


@dataclass(frozen=True)
class Recipe:
    """How it is trained: a handful of slots, each filled with a small frozen dataclass.

    Example, Goyal et al.'s linear scaling with five epochs of warm-up:
        >>> from trainables.scaling import LinearScaling
        >>> from trainables.warmup import LinearWarmup
        >>> recipe = Recipe(base_batch_size=256, scaling=LinearScaling(), warmup=LinearWarmup(epochs=5))
        >>> recipe.peak_learning_rate(base_lr=0.1, batch_size=8192)
        3.2

    Attributes:
        base_batch_size: the batch size at which scaling is 1, B0; it need not be one that is run.
        norm_batch_size: samples that share BatchNorm statistics; None for the whole batch.
        max_micro_batch: the most samples of a worker's share to hold in memory at once; None for all, and half as many
            whenever they do not fit. No result depends on it. A multiple of norm_batch_size.
        mixed_precision: whether layers that gain from it compute in bfloat16, weights and sums staying in 32 bits.

    Raises:
        UserError: a size below 1, or sizes that do not divide.
    """

    base_batch_size: int = 32
    optimizer: Optimizer = SGD(momentum=0.9)
    scaling: Scaling = NoScaling()
    warmup: Warmup = NoWarmup()
    decay: Decay = NoDecay()
    growth: Growth = FixedBatch()
    gradient: Gradient = Plain()
    norm_batch_size: int | None = None
    max_micro_batch: int | None = None
    mixed_precision: bool = False

    def __post_init__(self) -> None:
        require(self.base_batch_size >= 1, f"Recipe base_batch_size {self.base_batch_size}: must be at least 1")
        size, micro = self.norm_batch_size, self.max_micro_batch
        for name, value in (("norm_batch_size", size), ("max_micro_batch", micro)):
            whole = value is None or (isinstance(value, int) and value >= 1)
            require(whole, f"Recipe {name} {value}: must be a whole number, at least 1, or None")
        require(
            size is None or micro is None or micro % size == 0,
            f"Recipe max_micro_batch {micro}: must be a multiple of norm_batch_size {size}",
        )

    def start(self, batch_size: int, epochs: float = 1.0) -> Progress:
        """Where a run at this batch size starts."""
        return Progress(epoch=0.0, epochs=epochs, batch_size=batch_size, base_batch_size=self.base_batch_size)

    def scale(self, batch_size: int) -> float:
        """How many times base_lr a run that starts at this batch size earns at most."""
        return self.scaling.peak(self.start(batch_size))

    def optimizer_at(self, batch_size: int) -> Optimizer:
        """The optimizer of a run that starts at this batch size, as the scaling has it."""
        return self.scaling.adapt(self.optimizer, batch_size / self.base_batch_size)

    def noise_parts(self, batch_size: int) -> int:
        """In how many parts of the batch a run measures its gradient noise; 0 where no slot asks for it."""
        progress = self.start(batch_size)
        return max(self.scaling.noise_parts(progress), self.growth.noise_parts(progress))

    def peak_learning_rate(self, base_lr: float, batch_size: int) -> float:
        """What the recipe's scaling prescribes at a batch size, given the learning rate at base_batch_size."""
        return base_lr * self.scale(batch_size)

    def learning_rate(self, base_lr: float, progress: Progress) -> float:
        """The formula: what the optimizer uses now."""
        scale = self.scaling(progress)
        return base_lr * self.warmup(progress, scale) * self.decay(progress) * self.growth.rate(progress)


def with_values(recipe: Recipe, values: Mapping[str, float]) -> Recipe:
    """The recipe with fields of its slots replaced, each named as slot.field.

    Example:
        >>> with_values(Recipe(), {"optimizer.momentum": 0.8}).optimizer
        SGD(momentum=0.8, weight_decay=0.0, nesterov=False)

    Raises:
        UserError: a name that is no numeric field of a slot, or a value that the slot refuses.
    """
    for name, value in values.items():
        value_in(recipe, name)
        slot, field = name.split(".")
        recipe = replace(recipe, **{slot: replace(getattr(recipe, slot), **{field: value})})
    return recipe


def value_in(recipe: Recipe, name: str) -> float:
    """The value of a slot's numeric field, named as slot.field.

    Raises:
        UserError: the recipe has none of that name.
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
