"""A study as the search sees it, and the choices that make another of it."""

from dataclasses import replace
from pathlib import Path

import pytest
from optuna.distributions import FloatDistribution, IntDistribution
from PIL import Image

from analysis.outcomes import Group
from analysis.study_design import StudyDesign
from search_spaces.digits_cnn import BUDGETS
from search_spaces.imagenet_resnet import BUDGETS as IMAGENET
from search_spaces.ptb_lstm import BUDGETS as PTB
from search_spaces.study import Study
from trainables import Recipe, Task, UserError, train
from trainables.data import Digits
from trainables.growth import StepGrowth
from trainables.metric import Accuracy
from trainables.models import SmallCNN
from trainables.optimizers import SGD
from trainables.scaling import AdaScale, LinearScaling, NoScaling, PowerScaling, Scaling, SquareRootScaling
from trainables.warmup import LEGWarmup, LinearWarmup

RECIPE = Recipe(base_batch_size=16, norm_batch_size=8)
STUDY = Study(
    name="small",
    question="how far?",
    task=Task(SmallCNN(width=2), Digits(train_samples=1000, validation_samples=500), epochs=10),
    techniques={"plain": RECIPE, "warm": replace(RECIPE, warmup=LinearWarmup(epochs=2.5))},
    batch_sizes=(256, 32, 64, 64),
    learning_rates=(0.01, 1.0),
    first_learning_rate=0.1,
    tolerance=0.02,
    resolution=1.5,
    max_runs=40,
)
MOMENTUM = {"optimizer.momentum": FloatDistribution(0.0, 0.95)}


def test_every_technique_has_a_group_at_every_batch_size_the_smallest_first() -> None:
    plan = STUDY.plan()
    sizes = (32, 64, 256)
    assert plan.design.groups == tuple(Group(name, size) for size in sizes for name in ("plain", "warm"))
    assert plan.design.baseline == Group("plain", 32)
    assert plan.grace_epochs.keys() == set(plan.design.groups)
    assert (plan.design.validation_samples, plan.design.train_samples, plan.design.chance) == (500, 1000, 0.1)


def test_a_larger_baseline_scales_down_as_well_as_up() -> None:
    study = STUDY.with_choices(batch_sizes=(32, 64, 256), baseline_batch_size=64, learning_rates=(0.01, 10.0))
    design = study.check(workers=1).plan().design
    assert design.baseline == Group("plain", 64)
    of_plain = [at for at, group in enumerate(design.groups) if group.technique == "plain"]
    assert [design.rules["linear"][at] for at in of_plain] == [0.5, 1.0, 4.0]
    with pytest.raises(UserError, match="baseline batch size 128: must be one of 32,64,256"):
        study.with_choices(baseline_batch_size=128).check(workers=1)


def test_equal_steps_are_as_many_passes_as_give_a_larger_batch_as_many_steps() -> None:
    study = STUDY.with_choices(batch_sizes=(32, 64, 256), held_equal="steps")
    assert [study.task_at(size).passes_per_epoch for size in (32, 64, 256)] == [1.0, 31 / 15, 31 / 3]
    ends = [
        train(replace(study.task_at(size), epochs=2), RECIPE, size, learning_rate=0.1)["steps"][-1]
        for size in (32, 64, 256)
    ]
    assert ends == [62, 62, 62]
    down = study.with_choices(baseline_batch_size=256)
    assert down.task_at(32).passes_per_epoch == 3 / 31
    assert STUDY.task_at(256).passes_per_epoch == 1.0
    with pytest.raises(UserError, match="held equal 'samples': must be one of epochs, steps, seconds"):
        study.with_choices(held_equal="samples").check(workers=1)
    with pytest.raises(UserError, match="batch size 4096: must be 1 to 1,000"):
        study.with_choices(batch_sizes=(32, 4096), learning_rates=(0.01, 100.0)).check(workers=1)


def test_a_warm_up_of_legw_that_equal_epochs_have_no_room_for_fits_into_equal_steps() -> None:
    long = replace(RECIPE, base_batch_size=32, warmup=LEGWarmup(base_epochs=2))
    study = STUDY.with_choices(batch_sizes=(32, 256), techniques={"legw": long})
    with pytest.raises(UserError, match="lasts 16 epochs at batch size 256, but the run has 10"):
        study.check(workers=1)
    assert study.with_choices(held_equal="steps").check(workers=1).plan().grace_epochs[Group("legw", 256)] == 2
    down = STUDY.with_choices(batch_sizes=(32, 256), baseline_batch_size=256, held_equal="seconds")
    warm = down.with_choices(techniques={"legw": replace(long, base_batch_size=256, warmup=LEGWarmup(base_epochs=4))})
    assert warm.plan().grace_epochs[Group("legw", 32)] == 6, "its warm-up is longest with the fewest passes"


@pytest.mark.parametrize("equal", ["steps", "seconds"])
@pytest.mark.parametrize(
    ("recipe", "said"),
    [
        (replace(RECIPE, growth=StepGrowth(every_epochs=5)), "technique odd has StepGrowth.*it needs FixedBatch"),
        (replace(RECIPE, scaling=AdaScale(parts=2)), "technique odd has AdaScale.*counts steps of the reference batch"),
    ],
)
def test_steps_that_depend_on_more_than_the_batch_size_are_not_held_equal(
    equal: str, recipe: Recipe, said: str
) -> None:
    study = STUDY.with_choices(batch_sizes=(32, 64), techniques={"plain": RECIPE, "odd": recipe})
    study.check(workers=1)
    with pytest.raises(UserError, match=said):
        study.with_choices(held_equal=equal).check(workers=1)


def test_texts_are_read_in_whole_passes() -> None:
    study = PTB["quick"].with_choices(held_equal="steps")
    smallest, *_, largest = sorted(study.batch_sizes)
    passes = study.task_at(largest).passes_per_epoch
    assert passes == round(passes) == pytest.approx(largest / smallest, rel=0.1)
    with pytest.raises(UserError, match=r"must be a whole number with .*, because layers carry a state"):
        study.with_choices(baseline_batch_size=largest).check(workers=1)


def test_a_plan_asks_what_the_study_asks() -> None:
    plan = STUDY.plan()
    assert (plan.design.learning_rates, plan.design.tolerance, plan.design.resolution) == ((0.01, 1.0), 0.02, 1.5)
    assert (plan.seeds, plan.seeds_near_margin, plan.max_runs, plan.epochs) == (3, 3, 40, 10)
    assert StudyDesign.from_json(plan.design.to_json()) == plan.design


@pytest.mark.parametrize(("first", "inside"), [(0.1, 0.1), (0.001, 0.01), (7.0, 1.0)])
def test_tuning_starts_inside_the_range(first: float, inside: float) -> None:
    assert STUDY.with_choices(first_learning_rate=first).plan().first == inside


@pytest.mark.parametrize(
    ("rule", "name"),
    [
        (LinearScaling(), "linear"),
        (SquareRootScaling(), "square_root"),
        (NoScaling(), "unscaled"),
        (PowerScaling(0.75), "PowerScaling(alpha=0.75)"),
    ],
)
def test_rules_have_the_names_that_tables_show(rule: Scaling, name: str) -> None:
    assert rule.name == name
    assert list(STUDY.with_choices(rules=(rule,)).plan().design.rules) == [name]


def test_rules_prescribe_multiples_of_the_smallest_batch_sizes_rate() -> None:
    """Whatever the techniques' own rule and reference batch size are."""
    techniques = {"plain": RECIPE, "warm": replace(RECIPE, base_batch_size=128, scaling=NoScaling())}
    rules = (LinearScaling(), SquareRootScaling(), NoScaling(), PowerScaling(0.75))
    design = STUDY.with_choices(rules=rules, techniques=techniques).plan().design
    for at, (_, size) in enumerate(design.groups):
        ratios = [design.rules[rule.name][at] for rule in rules]
        assert ratios == pytest.approx([size / 32, (size / 32) ** 0.5, 1.0, (size / 32) ** 0.75])


def test_the_grace_period_is_the_warm_up_and_at_least_an_epoch() -> None:
    def grace(recipe: Recipe, **choices: object) -> set[int]:
        return set(STUDY.with_choices(techniques={"t": recipe}, **choices).plan().grace_epochs.values())

    assert grace(RECIPE) == {1}
    assert grace(replace(RECIPE, warmup=LinearWarmup(epochs=2))) == {2}
    warm = replace(RECIPE, warmup=LinearWarmup(epochs=2.5))
    assert grace(warm) == {3}
    assert grace(warm, dimensions={"warmup.epochs": FloatDistribution(0.5, 5.5)}) == {6}, "the longest that is searched"
    assert grace(replace(RECIPE, warmup=LinearWarmup(epochs=20))) == {10}, "never longer than the run"


def test_without_dimensions_there_are_no_settings() -> None:
    plan = STUDY.plan()
    assert (plan.design.dimensions, plan.dimensions, plan.own, plan.sampled_settings) == ((), {}, {}, 0)


def test_with_dimensions_every_technique_has_its_own_setting_and_as_many_more() -> None:
    slow, fast = (
        replace(RECIPE, optimizer=SGD(momentum=momentum), warmup=LinearWarmup(epochs=1)) for momentum in (0.0, 0.9)
    )
    techniques, dimensions = {"slow": slow, "fast": fast}, {"warmup.epochs": FloatDistribution(0.0, 3.0), **MOMENTUM}
    plan = STUDY.with_choices(techniques=techniques, dimensions=dimensions, sampled_settings=4).plan()
    assert plan.design.dimensions == ("optimizer.momentum", "warmup.epochs")
    assert plan.own == {
        "slow": (("optimizer.momentum", 0.0), ("warmup.epochs", 1.0)),
        "fast": (("optimizer.momentum", 0.9), ("warmup.epochs", 1.0)),
    }
    assert plan.sampled_settings == 4


def test_no_more_settings_are_sampled_than_there_are() -> None:
    growing = {"t": replace(RECIPE, growth=StepGrowth(every_epochs=5, factor=2))}
    whole = {"growth.factor": IntDistribution(2, 4)}
    study = STUDY.with_choices(techniques=growing, dimensions=whole, sampled_settings=6)
    assert study.plan().sampled_settings == 2, "three factors, one of which is its own"
    assert study.with_choices(dimensions={**whole, **MOMENTUM}).plan().sampled_settings == 6


def test_choices_that_were_not_made_leave_the_study_as_it_is() -> None:
    assert STUDY.with_choices(seeds=None, max_runs=None) == STUDY
    chosen = STUDY.with_choices(seeds=7, max_runs=None, batch_sizes=(16,))
    assert (chosen.seeds, chosen.max_runs, chosen.batch_sizes) == (7, 40, (16,))
    assert STUDY.seeds == 3
    with pytest.raises(TypeError, match="tolerence"):
        STUDY.with_choices(tolerence=0.1)


def test_tables_may_use_techniques_that_are_not_searched() -> None:
    study = STUDY.with_choices(table_techniques={"bare": Recipe()})
    assert list(study.all_techniques) == ["plain", "warm", "bare"]
    assert {group.technique for group in study.plan().design.groups} == {"plain", "warm"}


def test_a_study_that_makes_its_own_data_takes_none(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="small trains on Digits; only texts and folders of images can be replaced"):
        STUDY.on(tmp_path)


def test_a_text_of_ones_own_takes_the_place_of_the_studys_and_of_its_substitute(tmp_path: Path) -> None:
    for part in ("train", "valid", "test"):
        (tmp_path / f"{part}.txt").write_text("the cat sat on the mat\n" * 200)
    quick = PTB["quick"]
    assert quick.substitute is not None
    study = quick.on(tmp_path)
    assert study.substitute is None
    assert study.task.data.load(Path("/nowhere")).train_samples == study.task.data.train_samples
    assert study.task == replace(quick.task, data=study.task.data)
    assert study.plan().design.train_samples == study.task.data.train_samples < quick.task.data.train_samples


def test_top_5_accuracy_stays_where_it_says_something(tmp_path: Path) -> None:
    for part in ("train", "val"):
        for name in range(6):
            (tmp_path / part / str(name)).mkdir(parents=True)
            Image.new("RGB", (40, 36)).save(tmp_path / part / str(name) / "1.jpg")
    quick = IMAGENET["quick"]
    study = quick.on(tmp_path)
    assert study.task.metric == quick.task.metric != Accuracy()
    assert study.task.data.classes == study.task.model.classes == 6


def test_images_of_ones_own_get_a_model_of_as_many_classes(tmp_path: Path) -> None:
    for part in ("train", "val"):
        for name in ("cat", "dog"):
            (tmp_path / part / name).mkdir(parents=True)
            for number in range(40):
                image = Image.new("RGB", (40, 36), (number * 5, 100, 255 * (name == "cat")))
                image.save(tmp_path / part / name / f"{number}.jpg")
    study = IMAGENET["quick"].on(tmp_path).with_choices(batch_sizes=(32, 64)).check(workers=1)
    assert study.task.data.classes == study.task.model.classes == 2
    assert study.task.metric == Accuracy()
    recipe = study.techniques["lars_legw_poly"]
    assert train(replace(study.task, epochs=1), recipe, 32, 2.0, data_dir=tmp_path).status == "done"


def test_images_of_one_class_are_refused(tmp_path: Path) -> None:
    for part in ("train", "val"):
        (tmp_path / part / "cat").mkdir(parents=True)
        Image.new("RGB", (40, 36)).save(tmp_path / part / "cat" / "1.jpg")
    with pytest.raises(UserError, match="has images of one class, 'cat'"):
        IMAGENET["quick"].on(tmp_path)


@pytest.mark.parametrize(
    ("task", "words"),
    [
        (Task(SmallCNN(), Digits(), 5, Accuracy(top=10)), "any answer is right where there are 10 classes"),
        (Task(SmallCNN(classes=12), Digits(), 5), "has 12 classes, but the data has 10"),
    ],
)
def test_tasks_that_say_nothing_are_refused(task: Task, words: str) -> None:
    with pytest.raises(UserError, match=words):
        BUDGETS["quick"].with_choices(task=task).check(workers=1)
