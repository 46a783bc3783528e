"""What every piece of every slot must satisfy; new pieces are found by themselves."""

import dataclasses
import importlib
import inspect
import itertools
import math
import pickle
from collections.abc import Iterator

import pytest
import torch

from trainables import Progress, Recipe, Task, UserError, train
from trainables.data import CIFAR10, Digits
from trainables.decay import StepDecay
from trainables.models import ResNet8, ResNet18, SmallCNN
from trainables.optimizers import Adam, AdaptiveOptimizer
from trainables.scaling import AdaptiveSquareRootScaling
from trainables.warmup import TimedWarmup

SLOTS = ("scaling", "warmup", "decay", "growth", "gradient", "optimizers")
REQUIRED = {
    "alpha": 0.75,
    "every_epochs": 1.0,
    "at_epochs": (5.0, 9.0),
    "base_epochs": 0.05,
    "decay": StepDecay(1.0, factor=0.5),
    "max_batch_size": 64,
}
"""Values for the fields that have no default."""


def pieces(slot: str) -> Iterator[object]:
    module = importlib.import_module(f"trainables.{slot}")
    for _, cls in inspect.getmembers(module, inspect.isclass):
        if cls.__module__ == module.__name__ and dataclasses.is_dataclass(cls) and not inspect.isabstract(cls):
            missing = [f.name for f in dataclasses.fields(cls) if f.default is dataclasses.MISSING]
            lengths = ({"epochs": 1.0}, {"fraction": 0.25}) if issubclass(cls, TimedWarmup) else ({},)
            yield from (cls(**{name: REQUIRED[name] for name in missing}, **length) for length in lengths)


ALL = [pytest.param(slot, piece, id=repr(piece)) for slot in SLOTS for piece in pieces(slot)]
MODELS = [SmallCNN(), ResNet8(width=8), ResNet18(stem="imagenet")]
DATA = [Digits(), CIFAR10(train_samples=5000, augment=False)]


def names() -> dict[str, object]:
    everything: dict[str, object] = {}
    for module in (*SLOTS, "recipe", "task", "metric", "loss", "models", "data"):
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
    if slot == "growth":
        assert piece.rate(progress) <= 1 + 1e-9
        assert value % batch_size == 0
        assert fraction == 1.0 or value <= piece.largest(progress)
    if slot == "scaling":
        assert 0 < value <= piece.peak(progress)
    if slot == "decay":
        assert value <= 1
    if slot == "warmup" and piece.over(progress):
        assert value == 7.0


@pytest.mark.parametrize(("first", "second"), list(itertools.combinations(SLOTS, 2)))
def test_every_piece_combines_with_every_other(first: str, second: str) -> None:
    """Two epochs of two small batches with every pair of two slots' pieces; only Adam's rule needs its kind."""
    task = Task(SmallCNN(width=2), Digits(train_samples=64, validation_samples=32), epochs=2)
    for one, other in itertools.product(pieces(first), pieces(second)):
        slots = {"optimizers": Adam(), first: one, second: other}
        slots["optimizer"] = slots.pop("optimizers")
        recipe = Recipe(base_batch_size=8, norm_batch_size=8, **slots)
        if isinstance(recipe.scaling, AdaptiveSquareRootScaling) and not isinstance(
            recipe.optimizer, AdaptiveOptimizer
        ):
            with pytest.raises(UserError, match="AdaptiveSquareRootScaling optimizer"):
                recipe.optimizer_at(32)
            continue
        history = train(task, recipe, batch_size=32, learning_rate=0.01)
        assert history.status == "done", recipe
        assert history["samples"][-1] > 0


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
        (lambda: eval("LinearWarmup()", names()), "LinearWarmup epochs None, fraction None: exactly one of the two"),
        (lambda: eval("LinearWarmup(epochs=1, fraction=0.1)", names()), "exactly one of the two"),
        (lambda: eval("ConstantWarmup(fraction=1.5)", names()), "ConstantWarmup fraction 1.5: must be 0 to 1"),
        (lambda: eval("LEGWarmup(base_epochs=-1)", names()), "LEGWarmup base_epochs -1"),
        (lambda: eval("PowerScaling(alpha=-1)", names()), "PowerScaling alpha -1: must be 0 to 2"),
        (lambda: eval("AdaScale(parts=1)", names()), "AdaScale parts 1: must be at least 2"),
        (lambda: eval("MultiStepDecay(at_epochs=(60, 30))", names()), r"MultiStepDecay at_epochs \(60, 30\)"),
        (lambda: eval("MultiStepDecay(at_epochs=())", names()), r"MultiStepDecay at_epochs \(\)"),
        (lambda: eval("ExponentialDecay(constant_epochs=0)", names()), "ExponentialDecay constant_epochs 0"),
        (lambda: eval("PolynomialDecay(power=0)", names()), "PolynomialDecay power 0: must be above 0"),
        (lambda: eval("StepGrowth(every_epochs=0)", names()), "StepGrowth every_epochs 0: must be above 0"),
        (lambda: eval("StepGrowth(every_epochs=1, factor=1.5)", names()), "StepGrowth factor 1.5: must be a whole"),
        (lambda: eval("StepGrowth(every_epochs=1, learning_rate_factor=2)", names()), "learning_rate_factor 2"),
        (lambda: eval("StepGrowth(every_epochs=1, max_batch_size=0)", names()), "StepGrowth max_batch_size 0"),
        (lambda: eval("GrowthInPlaceOfDecay(StepDecay(1), max_batch_size=0)", names()), "max_batch_size 0"),
        (lambda: eval("AdaptiveGrowth(max_batch_size=64, parts=1)", names()), "AdaptiveGrowth parts 1"),
        (lambda: eval("AdaptiveGrowth(max_batch_size=64, every_epochs=0)", names()), "AdaptiveGrowth every_epochs 0"),
        (lambda: eval("SAM(rho=-0.1)", names()), "SAM rho -0.1: must be at least 0"),
        (lambda: eval("SAM(perturbation='local')", names()), "SAM perturbation 'local': must be 'global' or"),
        (lambda: eval("SAM(every=0)", names()), "SAM every 0: must be a whole number, at least 1"),
        (lambda: eval("ASAM(eta=-1)", names()), "ASAM eta -1: must be at least 0"),
        (lambda: eval("Adam(beta1=1.0)", names()), "Adam beta1 1.0: must be at least 0 and below 1"),
        (lambda: eval("AdamW(beta2=-0.1)", names()), "AdamW beta2 -0.1: must be at least 0 and below 1"),
        (lambda: eval("RMSprop(alpha=1.5)", names()), "RMSprop alpha 1.5"),
        (lambda: eval("Adagrad(epsilon=-1)", names()), "Adagrad epsilon -1: must be at least 0"),
        (lambda: eval("Adadelta(epsilon=0)", names()), "Adadelta epsilon 0: must be above 0"),
        (lambda: eval("LARS(trust=0)", names()), "LARS trust 0: must be above 0"),
        (lambda: eval("LAMB(epsilon=0)", names()), "LAMB epsilon 0: must be above 0"),
        (lambda: eval("SAM(rho=float('inf'))", names()), "SAM rho inf: must be at least 0 and finite"),
        (lambda: eval("SAM(every=1.5)", names()), "SAM every 1.5: must be a whole number"),
        (lambda: Recipe(norm_batch_size=10.0), "Recipe norm_batch_size 10.0: must be a whole number"),
        (lambda: Recipe(max_micro_batch=0), "Recipe max_micro_batch 0: must be a whole"),
        (
            lambda: Recipe(max_micro_batch=48, norm_batch_size=32),
            "max_micro_batch 48: must be a multiple of norm_batch",
        ),
        (lambda: eval("StableDecay(decay_fraction=0)", names()), "StableDecay decay_fraction 0: must be above 0"),
        (
            lambda: eval("StableDecay(shape='cosine')", names()),
            "StableDecay shape 'cosine': must be 'linear' or 'root'",
        ),
        (lambda: eval("Muon(adamw_ratio=0)", names()), "Muon adamw_ratio 0: must be above 0"),
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
