"""Every study is imported, every recipe of every budget is built, and one step of each is trained."""

import importlib
from dataclasses import dataclass, replace

import pytest
import torch
from optuna.distributions import FloatDistribution, IntDistribution
from torch import nn

from search_spaces.study import Study
from trainables import Recipe, Task, UserError
from trainables.data import Digits
from trainables.data.images import Images, Split
from trainables.growth import StepGrowth
from trainables.scaling import AdaptiveSquareRootScaling, AdaScale
from trainables.training import Run
from trainables.warmup import LinearWarmup

STUDIES = ("cifar_resnet", "digits_cnn")
BUDGETS = [
    pytest.param(study, id=f"{name}-{budget}")
    for name in STUDIES
    for budget, study in importlib.import_module(f"search_spaces.{name}").BUDGETS.items()
]


def random_images(study: Study, samples: int) -> Images:
    """Random pixels in the shape of the study's data: one batch of it."""
    data = study.task.data
    split = Split(
        torch.randint(0, 256, (samples, *data.input_shape), dtype=torch.uint8), torch.arange(samples) % data.classes
    )
    few = Split(split.images[:10], split.labels[:10])
    channels = data.input_shape[0]
    return Images(split, few, few, (0.5,) * channels, (0.25,) * channels)


@pytest.mark.parametrize("study", BUDGETS)
def test_every_technique_trains_a_step(study: Study) -> None:
    study.check(workers=1)
    size = min(study.batch_sizes)
    for recipe in study.techniques.values():
        run = Run(study.task, recipe, random_images(study, size), size, study.first_learning_rate, seed=0)
        metrics = run.train_epoch()
        assert metrics.steps == 1
        assert metrics.status == "running"


@pytest.mark.parametrize("study", BUDGETS)
def test_a_plan_starts_at_the_smallest_batch_size(study: Study) -> None:
    plan = study.plan()
    assert plan.question.baseline.batch_size == min(study.batch_sizes)
    assert all(ratios[0] == 1.0 for ratios in plan.question.rules.values())


def test_the_paper_budget_is_the_papers_setting() -> None:
    paper = importlib.import_module("search_spaces.cifar_resnet").BUDGETS["paper"]
    assert paper.task.epochs == 200
    assert (min(paper.batch_sizes), max(paper.batch_sizes)) == (32, 4096)
    assert paper.task.data.train_samples == 50_000
    assert paper.task.data.judge_on == "test"
    recipe = paper.techniques["warmup_norm32"]
    assert recipe.peak_learning_rate(0.025, 1024) == pytest.approx(0.8)
    assert repr(recipe.optimizer) == "SGD(momentum=0.9, weight_decay=0.0005, nesterov=False)"


def test_a_study_file_says_its_question_command_and_cost() -> None:
    for name in STUDIES:
        doc = importlib.import_module(f"search_spaces.{name}").__doc__
        assert doc.splitlines()[0].endswith("?")
        assert f"python -m search_spaces.{name}" in doc
        assert "minutes" in doc


class OwnForward(nn.BatchNorm2d):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(super().forward(x))


@dataclass(frozen=True)
class Activated:
    def __call__(self) -> nn.Module:
        return nn.Sequential(OwnForward(1), nn.Flatten(), nn.Linear(64, 10))


STRETCHED = Recipe(base_batch_size=8, scaling=AdaScale(stretch_epochs=2), norm_batch_size=8)
ADAPTIVE = Recipe(scaling=AdaptiveSquareRootScaling())


def test_the_grace_period_waits_for_adascales_slower_clock() -> None:
    """At k = 4 a warm-up of two counted epochs can take eight."""
    study = importlib.import_module("search_spaces.digits_cnn").BUDGETS["quick"]
    recipe = Recipe(base_batch_size=16, scaling=AdaScale(), warmup=LinearWarmup(epochs=2), norm_batch_size=8)
    plan = study.with_choices(techniques={"ada": recipe}, batch_sizes=(16, 64, 1024)).check(workers=1).plan()
    assert {group.batch_size: epochs for group, epochs in plan.grace_epochs.items()} == {16: 2, 64: 8, 1024: 10}


@pytest.mark.parametrize(
    ("choices", "words"),
    [
        ({"tolerance": 0.0}, "tolerance 0: must be above 0"),
        ({"resolution": 1.0}, "resolution 1: must be a factor of at least 1.05"),
        ({"resolution": 1.01}, "resolution 1.01: must be a factor of at least 1.05"),
        ({"batch_sizes": (0, 32)}, "batch size 0: must be 1 to 1,024"),
        (
            {"learning_rates": (0.1, 0.12), "batch_sizes": (16, 64)},
            "learning rates 0.1 0.12: exclude every prescription of the rules, which are at least a factor 2 from",
        ),
        (
            {"dimensions": {"optimizer.momentun": FloatDistribution(0.5, 0.95)}},
            "dimension 'optimizer.momentun': is not",
        ),
        ({"dimensions": {"optimizer.momentum": FloatDistribution(0.5, 0.6)}}, "must hold technique warmup's own 0.9"),
        ({"dimensions": {"optimizer.momentum": FloatDistribution(0.5, 1.5)}}, "SGD momentum 1.5: must be at least 0"),
        ({"dimensions": {"optimizer.momentum": FloatDistribution(0.9, 0.9)}}, "0.9 to 0.9: an empty range"),
        (
            {"dimensions": {"warmup.epochs": FloatDistribution(0.5, 11)}},
            "lasts 11 epochs at batch size 16, but",
        ),
        ({"techniques": {"ada": STRETCHED}}, r"scaling AdaScale\(.*\): may last 2 times the epochs, but studies hold"),
        (
            {
                "techniques": {"ada": replace(STRETCHED, scaling=AdaScale())},
                "dimensions": {"scaling.stretch_epochs": FloatDistribution(1, 3)},
            },
            "may last 3 times the epochs",
        ),
        (
            {
                "techniques": {"growing": Recipe(growth=StepGrowth(every_epochs=4, factor=2))},
                "dimensions": {
                    "growth.every_epochs": FloatDistribution(3, 9),
                    "growth.factor": IntDistribution(2, 4),
                },
                "batch_sizes": (16, 64),
            },
            "reaches a batch of 4,096 from 64 in 10 epochs",
        ),
        ({"task": Task(Activated(), Digits(), epochs=5)}, "BatchNorm layer OwnForward: has a forward pass of its own"),
        ({"techniques": {"adam": ADAPTIVE}}, "AdaptiveSquareRootScaling optimizer SGD"),
        ({"seeds": 1}, "seeds 1: must be 2 to 100"),
        ({"learning_rates": (0.5, 0.5)}, "an empty range"),
        ({"batch_sizes": (16, 2048)}, "batch size 2048: must be 1 to 1,024, the training samples"),
    ],
)
def test_choices_that_make_no_study_are_refused(choices: dict[str, object], words: str) -> None:
    study = importlib.import_module("search_spaces.digits_cnn").BUDGETS["quick"]
    with pytest.raises(UserError, match=words):
        study.with_choices(**choices).check(workers=1)
