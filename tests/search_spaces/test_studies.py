"""Every study is imported, every recipe of every budget is built, and one step of each is trained."""

import importlib
from dataclasses import dataclass, replace

import pytest
import torch
from optuna.distributions import FloatDistribution, IntDistribution
from torch import nn

from analysis.paper_table import PaperTable
from search_spaces.study import Study
from trainables import Recipe, Task, UserError
from trainables.data import Data, Digits, Images, Loaded, Split, TextCorpus
from trainables.data.loading.streams import Streams
from trainables.engine.run import Run
from trainables.growth import StepGrowth
from trainables.optimizers import Adam
from trainables.scaling import AdaptiveSquareRootScaling, AdaScale
from trainables.warmup import LinearWarmup

STUDIES = (
    "cifar_adabatch",
    "cifar_cnn",
    "cifar_resnet",
    "cifar_sam",
    "digits_cnn",
    "imagenet_resnet",
    "mnist_lstm",
    "ptb_lstm",
)
FULL_SIZE = (
    "cifar_adabatch-paper_vgg19",
    "cifar_resnet-paper",
    "cifar_resnet-paper_cifar_stem",
    "imagenet_resnet-paper",
    "imagenet_resnet-paper_adabatch",
)
"""Budgets whose networks take tens of seconds for a step of every technique on a CPU."""
BUDGETS = [
    pytest.param(study, id=f"{name}-{budget}")
    for name in STUDIES
    for budget, study in importlib.import_module(f"search_spaces.{name}").BUDGETS.items()
]
STEPS = [
    pytest.param(*each.values, id=each.id, marks=pytest.mark.slow if each.id in FULL_SIZE else ()) for each in BUDGETS
]


def random_data(data: Data, samples: int) -> Loaded:
    """Spread in the shape of a study's data, one batch of it; large images are cut to 32 pixels a side."""
    if isinstance(data, TextCorpus):
        text = torch.randint(0, data.classes, (samples * data.steps + 1,))
        return Streams(text, text, text, data.steps)
    channels, height, width = data.input_shape
    shape = (samples, channels, min(height, 32), min(width, 32))
    split = Split(torch.randint(0, 256, shape, dtype=torch.uint8), torch.arange(samples) % data.classes)
    few = Split(split.images[:10], split.labels[:10])
    return Images(split, few, few, (0.5,) * channels, (0.25,) * channels)


@pytest.mark.parametrize("study", STEPS)
def test_every_technique_trains_a_step(study: Study) -> None:
    """At the batch size of two normalisation batches: what larger ones do is the same, and takes a GPU."""
    study.check(workers=1)
    if study.tables:
        study.check_tables(workers=1)
    for recipe in study.all_techniques.values():
        size = 2 * (recipe.norm_batch_size or 4)
        run = Run(study.task, recipe, random_data(study.task.data, size), size, study.first_learning_rate, seed=0)
        metrics = run.train_epoch()
        assert metrics.steps == 1
        assert metrics.status == "running"


@pytest.mark.parametrize("study", [each for each in BUDGETS if each.values[0].substitute])
def test_a_substitute_fits_the_study(study: Study) -> None:
    assert study.substitute is not None
    replace(study, task=study.substitute).check(workers=1)
    assert study.substitute.epochs == study.task.epochs


@pytest.mark.parametrize("name", STUDIES)
def test_quick_is_small_and_says_what_it_leaves_out(name: str) -> None:
    quick = importlib.import_module(f"search_spaces.{name}").BUDGETS["quick"]
    assert len(quick.techniques) <= 2
    assert len(quick.batch_sizes) <= 5
    assert quick.left_out


@pytest.mark.parametrize("study", BUDGETS)
def test_a_plan_starts_at_the_baselines_batch_size(study: Study) -> None:
    design = study.plan().design
    assert design.baseline.batch_size == (study.baseline_batch_size or min(study.batch_sizes))
    assert all(ratios[design.groups.index(design.baseline)] == 1.0 for ratios in design.rules.values())


def test_the_paper_budget_is_the_papers_setting() -> None:
    paper = importlib.import_module("search_spaces.cifar_resnet").BUDGETS["paper"]
    assert paper.task.epochs == 200
    assert (min(paper.batch_sizes), max(paper.batch_sizes)) == (32, 4096)
    assert paper.task.data.train_samples == 50_000
    assert paper.task.data.judge_on == "test"
    recipe = paper.techniques["warmup_norm32"]
    assert recipe.peak_learning_rate(0.025, 1024) == pytest.approx(0.8)
    assert repr(recipe.optimizer) == "SGD(momentum=0.9, weight_decay=0.0005, nesterov=False)"


def test_the_papers_tables_have_the_papers_rates() -> None:
    """A table's rates are what its technique's own rule makes of the paper's base rate."""
    resnet = importlib.import_module("search_spaces.cifar_resnet").BUDGETS["paper"]
    tables = {table.name: table for table in resnet.tables}
    assert [run.batch_size for run in tables["Table II and Figure 3"].runs] == [32, 64, 128, 256, 512, 1024, 2048]
    for name, base in (("Table III and Figure 4", 0.025), ("Table VII and Figure 6", 0.001), ("Figure 1", 0.025)):
        for run in tables[name].runs:
            recipe = resnet.all_techniques[run.technique]
            assert run.learning_rate == pytest.approx(recipe.peak_learning_rate(base, run.batch_size))
    cnn = importlib.import_module("search_spaces.cifar_cnn").BUDGETS["paper"]
    for run in cnn.tables[1].runs:
        assert run.learning_rate == pytest.approx(
            cnn.all_techniques[run.technique].peak_learning_rate(0.001, run.batch_size)
        )
    imagenet = importlib.import_module("search_spaces.imagenet_resnet").BUDGETS["paper"]
    recipe = imagenet.techniques["lars_legw_poly"]
    for run in imagenet.tables[0].runs:
        base = 2**2.5 if run.technique == "lars_legw_poly" else 0.1
        assert run.learning_rate == pytest.approx(
            imagenet.all_techniques[run.technique].peak_learning_rate(base, run.batch_size)
        )
    assert recipe.warmup.length(recipe.start(32768)) == 10.0


def test_growth_on_imagenet_reaches_half_a_million() -> None:
    study = importlib.import_module("search_spaces.imagenet_resnet").BUDGETS["paper_adabatch"]
    start = study.techniques["growth_8"].start(8192, study.task.epochs)
    assert study.techniques["growth_8"].growth.largest(start) == 524_288


def test_tables_survive_json() -> None:
    for study in (each.values[0] for each in BUDGETS):
        for table in study.tables:
            assert PaperTable.from_json(table.to_json()) == table
            assert len(table.to_json()) < 5000  # what MLflow takes in a tag


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
        ({"resolution": 1.0}, "resolution 1: must be a factor of at least 1.1"),
        ({"resolution": 1.01}, "resolution 1.01: must be a factor of at least 1.1"),
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
        (
            {"dimensions": {"optimizer.momentum": FloatDistribution(0.5, 1.0, step=0.25)}},
            "from 0.5 in steps of 0.25: must hold technique warmup's own 0.9",
        ),
        ({"dimensions": {"optimizer.momentum": FloatDistribution(0.5, 1.5)}}, "SGD momentum 1.5: must be at least 0"),
        ({"dimensions": {"optimizer.momentum": FloatDistribution(0.9, 0.9)}}, "0.9 to 0.9: an empty range"),
        (
            {"dimensions": {"warmup.epochs": FloatDistribution(0.5, 11)}},
            "lasts 11 epochs at batch size 16, but",
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
        (
            {"techniques": {"adam": Recipe(optimizer=Adam())}, "rules": (AdaptiveSquareRootScaling(),)},
            r"rule AdaptiveSquareRootScaling\(\): moves the optimizer too",
        ),
        ({"seeds": 1}, "seeds 1: must be 2 to 100"),
        ({"learning_rates": (0.5, 0.5)}, "an empty range"),
        ({"batch_sizes": (16, 2048)}, "batch size 2048: must be 1 to 1,024, the training samples"),
    ],
)
def test_choices_that_make_no_study_are_refused(choices: dict[str, object], words: str) -> None:
    study = importlib.import_module("search_spaces.digits_cnn").BUDGETS["quick"]
    with pytest.raises(UserError, match=words):
        study.with_choices(**choices).check(workers=1)
