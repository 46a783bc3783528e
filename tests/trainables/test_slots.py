"""What every piece of every slot must satisfy; new pieces are found by themselves."""

import dataclasses
import importlib
import inspect
import math
import pickle
from collections.abc import Iterator

import pytest
import torch

from trainables import Progress, Recipe, Task, UserError
from trainables.data import CIFAR10, Digits
from trainables.models import ResNet8, ResNet18, SmallCNN

SLOTS = ("scaling", "warmup", "decay", "growth", "gradient", "optimizers")
REQUIRED = {"epochs": 2.0, "every_epochs": 3.0}
"""Values for the fields that have no default."""


def pieces(slot: str) -> Iterator[object]:
    module = importlib.import_module(f"trainables.{slot}")
    for _, cls in inspect.getmembers(module, inspect.isclass):
        if cls.__module__ == module.__name__ and dataclasses.is_dataclass(cls):
            missing = [f.name for f in dataclasses.fields(cls) if f.default is dataclasses.MISSING]
            yield cls(**{name: REQUIRED[name] for name in missing})


ALL = [pytest.param(slot, piece, id=repr(piece)) for slot in SLOTS for piece in pieces(slot)]
MODELS = [SmallCNN(), ResNet8(width=8), ResNet18(stem="imagenet")]
DATA = [Digits(), CIFAR10(train_samples=5000, augment=False)]


def names() -> dict[str, object]:
    everything: dict[str, object] = {}
    for module in (*SLOTS, "recipe", "models", "data"):
        everything |= vars(importlib.import_module(f"trainables.{module}"))
    return everything


@pytest.mark.parametrize(("slot", "piece"), ALL)
def test_a_piece_is_frozen_compares_pickles_and_prints_as_it_is_written(slot: str, piece: object) -> None:
    assert eval(repr(piece), names()) == piece
    assert pickle.loads(pickle.dumps(piece)) == piece
    assert len({piece, pickle.loads(pickle.dumps(piece))}) == 1
    field = next(iter(dataclasses.fields(piece)), None)
    if field:
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(piece, field.name, 1)


@pytest.mark.parametrize(("slot", "piece"), ALL)
def test_a_piece_says_what_it_is(slot: str, piece: object) -> None:
    doc = inspect.getdoc(type(piece))
    assert doc, "needs a docstring"
    assert "=" in doc, "needs its formula"
    assert slot in ("growth", "gradient") or "Source:" in doc or type(piece).__name__.startswith("No")


@pytest.mark.parametrize("batch_size", [4, 32, 4096])
@pytest.mark.parametrize("fraction", [0.0, 0.013, 0.5, 1.0])
@pytest.mark.parametrize(("slot", "piece"), [p for p in ALL if p.values[0] in ("scaling", "warmup", "decay", "growth")])
def test_a_schedule_is_finite_everywhere(slot: str, piece: object, fraction: float, batch_size: int) -> None:
    progress = Progress(epoch=20 * fraction, epochs=20, batch_size=batch_size, base_batch_size=32)
    arguments = (progress, 7.0) if slot == "warmup" else (progress,)
    value = piece(*arguments)
    assert math.isfinite(value)
    assert value >= 0
    if slot == "decay":
        assert value <= 1
    if slot == "warmup" and piece.over(progress):
        assert value == 7.0


@pytest.mark.parametrize("thing", [*MODELS, *DATA, Recipe(), Task(SmallCNN(), Digits(), epochs=3)], ids=repr)
def test_nouns_print_as_they_are_written(thing: object) -> None:
    assert eval(repr(thing), names()) == thing


@pytest.mark.parametrize(
    ("model", "shape", "parameters"),
    [
        (SmallCNN(), (1, 8, 8), 5_178),
        (ResNet8(), (3, 32, 32), 78_042),
        (ResNet18(), (3, 32, 32), 11_173_962),
        (ResNet18(stem="imagenet"), (3, 32, 32), 11_181_642),
    ],
    ids=repr,
)
def test_models_have_the_parameters_they_state(model: object, shape: tuple[int, ...], parameters: int) -> None:
    built = model()
    assert sum(p.numel() for p in built.parameters()) == parameters
    assert built(torch.zeros(2, *shape)).shape == (2, 10)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: eval("LinearWarmup(epochs=-1)", names()), "LinearWarmup epochs -1: must be at least 0"),
        (lambda: eval("LinearWarmup(epochs=1, start='half')", names()), "start 'half'"),
        (lambda: eval("StepDecay(every_epochs=0)", names()), "StepDecay every_epochs 0"),
        (lambda: eval("StepDecay(every_epochs=1, factor=2)", names()), "StepDecay factor 2"),
        (lambda: eval("SGD(momentum=1.0)", names()), "SGD momentum 1.0"),
        (lambda: eval("SGD(nesterov=True)", names()), "needs momentum above 0"),
        (lambda: Recipe(norm_batch_size=0), "norm_batch_size 0"),
        (lambda: Recipe(base_batch_size=0), "base_batch_size 0"),
        (lambda: Task(SmallCNN(), Digits(), epochs=0), "Task epochs 0"),
        (lambda: CIFAR10(train_samples=45_000), "must be 1 to 40,000"),
        (lambda: Digits(train_samples=1700), "together below 1797"),
        (lambda: ResNet18(stem="vgg"), "ResNet18 stem 'vgg'"),
    ],
)
def test_bad_values_are_refused_when_the_piece_is_made(make: object, words: str) -> None:
    with pytest.raises(UserError, match=words) as caught:
        make()
    assert "\n" not in str(caught.value)
