"""How far does the learning rate of a residual network on CIFAR-10 scale with the batch size?

    python -m search_spaces.cifar_resnet                      # quick without a GPU, standard with one
    python -m search_spaces.cifar_resnet --tables             # Li and Sheng's tables and figures at the quick size
    python -m search_spaces.cifar_resnet --tables --budget paper              # Tables I to VII, as they are written

Budgets:
    quick             ResNet-8 with a stem of stride 4, the first 16,000 images without crop and flip, 5 epochs: 6 to 15
                      minutes on 2 cores.
    standard          ResNet-18, 40,000 training images with crop and flip, 30 epochs: needs a GPU.
    paper             ResNet-18, all 50,000 training images, 200 epochs, batch sizes 32 to 4,096, judged on the test set
                      as in the paper.
    paper_rmsprop     the same as paper, with RMSprop, against RMSprop's own baseline, batch sizes 32 to 2,048.
    paper_cifar_stem  the same as paper, with a 3x3 stem of stride 1. The paper does not say which stem its network has.
                      Its 88.3 % on the test set at 98.5 % on the training set suggest torchvision's own 7x7 stem of
                      stride 2, because the 3x3 stem is known to reach 95 %. So the budget paper has the 7x7 stem.

Expect from quick: A0 is near 56.5 % at batch size 16 with a learning rate of 0.05. The edge moves from 0.20 at 16 to
0.34 at 32, 0.64 at 64 and 0.98 at 128. At 1,024 the best accuracy is 9 points short of A0. One run varies by 0.3 of
the tolerance, with which 25 to 30 runs decided all five batch sizes, with each of five first seeds.
The paper's answer: linear scaling with warm-up holds up to batch size 256. With normalisation batches of 32 samples, it
holds up to 1,024 (88.0 % against 88.3 %).

Source: Li and Sheng, "On the large-batch training of CIFAR-10", sections III-B to III-D, Tables I to VII.
"""

from dataclasses import replace

from analysis.landscape import LossLine, LossPlane
from analysis.paper_table import PaperTable, Plot, TableRun, rows
from search_spaces import Study, main
from trainables import Recipe, Task
from trainables.data import CIFAR10
from trainables.decay import CosineDecay, StepDecay
from trainables.models import ResNet8, ResNet18
from trainables.optimizers import SGD, RMSprop
from trainables.scaling import LinearScaling, NoScaling, SquareRootScaling
from trainables.warmup import LinearWarmup, NoWarmup

QUESTION = "how far does the learning rate of a residual network on CIFAR-10 scale?"

QUICK = Recipe(
    base_batch_size=16,
    optimizer=SGD(momentum=0.9, weight_decay=1e-3),
    scaling=LinearScaling(),
    warmup=LinearWarmup(epochs=0.5, start="zero"),
    decay=CosineDecay(),
    norm_batch_size=16,
)

PLAIN = Recipe(
    base_batch_size=32,
    optimizer=SGD(momentum=0.9, weight_decay=5e-4),
    decay=StepDecay(every_epochs=50, factor=0.1),
)
WARMUP = replace(PLAIN, scaling=LinearScaling(), warmup=LinearWarmup(epochs=10))
WARMUP_NORM32 = replace(WARMUP, norm_batch_size=32)

BATCHWISE_RMSPROP = replace(
    PLAIN, base_batch_size=128, optimizer=RMSprop(momentum=0.9, weight_decay=5e-4), norm_batch_size=None
)
"""The paper's RMSprop without scaling and warm-up, in which `decay` of its tables has yet to be set."""
RAMP = LinearWarmup(epochs=10, start="zero")  # a ramp from base_lr would fall at batch sizes below 128


def rmsprop(reading: str, value: float) -> Recipe:
    """RMSprop with a value of the column `decay` in the paper's Tables IV to VII.

    Its text says weight decay. But that column has 0.1 for SGD, whose weight decay is 5e-4, and whose rate is
    multiplied by 0.1 at each step. So it is read as the factor of the steps first ("factor"), and literally as well
    ("weight").
    """
    if reading == "factor":
        return replace(BATCHWISE_RMSPROP, decay=StepDecay(every_epochs=50, factor=value))
    return replace(BATCHWISE_RMSPROP, optimizer=RMSprop(momentum=0.9, weight_decay=value))


def scaled_rmsprop(reading: str, norm_batch_size: int | None) -> Recipe:
    """RMSprop's baseline with linear scaling and warm-up."""
    return replace(rmsprop(reading, 0.05), scaling=LinearScaling(), warmup=RAMP, norm_batch_size=norm_batch_size)


READINGS = ("factor", "weight")
RMSPROP = scaled_rmsprop("factor", 32)


def both(value: float, columns: tuple[str, ...], *lines: tuple[float, ...]) -> tuple[TableRun, ...]:
    """Rows of RMSprop with a value of `decay`, in both readings."""
    return tuple(run for reading in READINGS for run in rows(f"rmsprop_{reading}{value:g}", 200, columns, *lines))


ACCURACIES = ("test_accuracy", "train_accuracy")
COLUMNS = (*ACCURACIES, "fluctuation_scale")
CURVES = (Plot("train_accuracy"), Plot("validation_accuracy"))
SIZES = (32, 64, 128, 256, 512, 1024, 2048)
MEASURES = (LossLine(answers=500), LossPlane(points=9, answers=250))


def figures(
    techniques: tuple[str, str, str],
    base: float,
    smallest: int,
    sizes: tuple[int, ...],
    compared: tuple[int, ...],
    epochs: int,
) -> tuple[PaperTable, ...]:
    """Figures 1 and 5 of the paper.

    Args:
        techniques: with a fixed rate, with the linear rule, and with that and small normalisation batches.
        base: the learning rate at the smallest batch size.
        smallest: the smallest batch size.
        sizes: the batch sizes of Figure 1.
        compared: the batch sizes at which Figure 5 compares the techniques.
        epochs: the number of epochs.
    """
    fixed, scaled, best = techniques
    return (
        PaperTable(
            "Figure 1",
            "the linear rule with normalisation batches of the baseline's size: accuracy, and the loss around minima",
            tuple(TableRun(best, size, base * size / smallest, epochs) for size in sizes),
            ("test_accuracy",),
            plots=(Plot("validation_accuracy"), Plot("loss_line", "line"), Plot("loss_plane", "plane")),
        ),
        PaperTable(
            "Figure 5",
            "a fixed rate, the linear rule, and that with normalisation batches of the baseline's size",
            tuple(
                TableRun(name, size, base if name == fixed else base * size / smallest, epochs)
                for size in compared
                for name in (fixed, scaled, best)
            ),
            ACCURACIES,
            plots=tuple(Plot(plot.y, panels="batch_size") for plot in CURVES),
        ),
    )


TABLES = (
    *figures(("plain", "warmup", "warmup_norm32"), 0.025, 32, SIZES, (1024, 2048), 200),
    PaperTable(
        "Table I and Figure 2",
        "SGD, batch size increased, nothing else",
        rows(
            "plain", 200, ACCURACIES,
            (32, 0.025, 0.8833, 0.9845), (64, 0.025, 0.8821, 0.9878), (128, 0.025, 0.8734, 0.9909),
            (256, 0.025, 0.8571, 0.9900), (512, 0.025, 0.8370, 0.9895), (1024, 0.025, 0.8110, 0.9817),
            (2048, 0.025, 0.7883, 0.9511),
        ),
        COLUMNS,
        plots=CURVES,
    ),
    PaperTable(
        "Table II and Figure 3",
        "SGD, linear scaling with 10 epochs of warm-up",
        rows(
            "warmup", 200, ACCURACIES,
            (32, 0.025, 0.8833, 0.9845), (64, 0.05, 0.8810, 0.9892), (128, 0.1, 0.8824, 0.9917),
            (256, 0.2, 0.8814, 0.9919), (512, 0.4, 0.8753, 0.9927), (1024, 0.8, 0.8738, 0.9921),
            (2048, 1.6, 0.8666, 0.9865),
        ),
        COLUMNS,
        plots=CURVES,
    ),
    PaperTable(
        "Table III and Figure 4",
        "SGD, the same with normalisation batches of 32; 4,096 is said to diverge",
        rows(
            "warmup_norm32", 200, ACCURACIES,
            (32, 0.025, 0.8831, 0.9857), (64, 0.05, 0.8818, 0.9835), (128, 0.1, 0.8832, 0.9858),
            (256, 0.2, 0.8807, 0.9849), (512, 0.4, 0.8817, 0.9839), (1024, 0.8, 0.8804, 0.9807),
            (2048, 1.6, 0.8759, 0.9736), (4096, 3.2),
        ),
        COLUMNS,
        plots=CURVES,
    ),
    PaperTable(
        "Table IV",
        "RMSprop, tuning the learning rate",
        both(
            0.1, ACCURACIES,
            (128, 0.1, 0.1000, 0.0943), (128, 0.01, 0.7572, 0.7577), (128, 0.001, 0.8709, 0.9606),
            (128, 0.0001, 0.8202, 0.9720),
        ),
    ),
    PaperTable(
        "Table V",
        "RMSprop, tuning `decay`",
        tuple(
            run
            for value, accuracy in ((0.1, 0.8709), (0.5, 0.8653), (0.05, 0.8710), (0.01, 0.8202))
            for run in both(value, ("test_accuracy",), (128, 0.001, accuracy))
        ),
        ("test_accuracy",),
    ),
    PaperTable(
        "Table VI",
        "RMSprop, tuning the batch size",
        both(
            0.05, ("test_accuracy",),
            (32, 0.001, 0.8622), (64, 0.001, 0.8602), (128, 0.001, 0.8710), (256, 0.001, 0.8684), (512, 0.001, 0.8567),
        ),
        ("test_accuracy",),
    ),
    PaperTable(
        "Table VII and Figure 6",
        "RMSprop, linear scaling with 10 epochs of warm-up, normalisation batches of at most 128, the baseline's",
        tuple(
            run
            for reading in READINGS
            for run in (
                *rows(
                    f"rmsprop_{reading}_whole", 200, ACCURACIES,
                    (32, 0.00025, 0.8720, 0.9561), (64, 0.0005, 0.8739, 0.9572),
                ),
                *rows(
                    f"rmsprop_{reading}_norm128", 200, ACCURACIES,
                    (128, 0.001, 0.8710, 0.9606), (256, 0.002, 0.8704, 0.9338), (512, 0.004, 0.8575, 0.9159),
                    (1024, 0.008, 0.8368, 0.8686), (2048, 0.016, 0.7833, 0.7926),
                ),
            )
        ),
        plots=CURVES,
    ),
)  # fmt: skip
TABLE_TECHNIQUES = {
    f"rmsprop_{reading}{value:g}": rmsprop(reading, value) for reading in READINGS for value in (0.1, 0.5, 0.05, 0.01)
} | {
    f"rmsprop_{reading}_{name}": scaled_rmsprop(reading, size)
    for reading in READINGS
    for name, size in (("whole", None), ("norm128", 128))
}

QUICK_TECHNIQUES = {
    "plain": replace(QUICK, scaling=NoScaling(), warmup=NoWarmup(), norm_batch_size=None),
    "warmup": replace(QUICK, norm_batch_size=None),
    **{
        f"rmsprop_{reading}": replace(
            QUICK,
            optimizer=RMSprop(momentum=0.9, weight_decay=0.05 if reading == "weight" else 5e-4),
            decay=CosineDecay() if reading == "weight" else StepDecay(every_epochs=1.5, factor=0.05),
        )
        for reading in READINGS
    },
}
QUICK_SIZES = (16, 128, 1024)
QUICK_TABLES = (
    *figures(("plain", "warmup", "warmup_norm16"), 0.05, 16, QUICK_SIZES, (128, 1024), 5),
    PaperTable(
        "Table I and Figure 2",
        "SGD, batch size increased, nothing else",
        tuple(TableRun("plain", size, 0.05, 5) for size in QUICK_SIZES),
        COLUMNS,
        plots=CURVES,
    ),
    PaperTable(
        "Tables II and III, Figures 3 and 4",
        "SGD, linear scaling with warm-up, without and with normalisation batches of 16",
        tuple(
            TableRun(name, size, 0.05 * size / 16, 5) for name in ("warmup", "warmup_norm16") for size in QUICK_SIZES
        ),
        COLUMNS,
        plots=tuple(Plot(plot.y, panels="technique") for plot in CURVES),
    ),
    PaperTable(
        "Table VII and Figure 6",
        "RMSprop, linear scaling with warm-up, normalisation batches of 16, in both readings of `decay`",
        tuple(
            TableRun(f"rmsprop_{reading}", size, 0.001 * size / 128, 5) for reading in READINGS for size in QUICK_SIZES
        ),
        ACCURACIES,
        plots=tuple(Plot(plot.y, panels="technique") for plot in CURVES),
    ),
)

STANDARD = {
    name: replace(recipe, decay=CosineDecay(), warmup=LinearWarmup(epochs=1.5))
    for name, recipe in {"warmup": WARMUP, "warmup_norm32": WARMUP_NORM32}.items()
}

BUDGETS = {
    "quick": Study(
        name="cifar_resnet",
        question=QUESTION,
        task=Task(
            model=ResNet8(stem_stride=4),
            data=CIFAR10(train_samples=16_000, augment=False),
            epochs=5,
        ),
        techniques={"warmup_norm16": QUICK},
        batch_sizes=(16, 32, 64, 128, 1024),
        learning_rates=(0.0125, 6.4),
        first_learning_rate=0.1,
        seeds_near_margin=2,
        tolerance=0.03,
        resolution=2.0,
        max_runs=34,
        tables=QUICK_TABLES,
        table_techniques=QUICK_TECHNIQUES,
        table_measures=MEASURES,
        left_out=(
            "ResNet-18, a stem of stride 1, 34,000 images, crop and flip, 195 epochs, a weight decay of 0.0005 (0.001 "
            "instead), steps of the rate (a cosine instead), batch sizes 256, 512 and above 1,024, the techniques "
            "of one worker, RMSprop"
        ),
    ),
    "standard": Study(
        name="cifar_resnet",
        question=QUESTION,
        task=Task(model=ResNet18(), data=CIFAR10(), epochs=30),
        techniques=STANDARD,
        batch_sizes=(32, 128, 512, 1024, 2048, 4096),
        learning_rates=(0.00625, 12.8),
        first_learning_rate=0.05,
        resolution=1.5,
        max_runs=120,
        left_out=(
            "torchvision's stem, 170 epochs, 10,000 images, steps of the rate (a cosine instead), "
            "batch sizes 64 and 256, the fixed learning rate, RMSprop"
        ),
    ),
}
PAPER = Study(
    name="cifar_resnet",
    question=QUESTION,
    task=Task(model=ResNet18(stem="imagenet"), data=CIFAR10(train_samples=50_000, judge_on="test"), epochs=200),
    techniques={"plain": PLAIN, "warmup": WARMUP, "warmup_norm32": WARMUP_NORM32},
    batch_sizes=(32, 64, 128, 256, 512, 1024, 2048, 4096),
    learning_rates=(0.00625, 12.8),
    first_learning_rate=0.025,
    rules=(NoScaling(), LinearScaling(), SquareRootScaling()),
    max_runs=300,
    tables=TABLES,
    table_techniques=TABLE_TECHNIQUES,
    table_measures=MEASURES,
)
BUDGETS |= {
    "paper": PAPER,
    "paper_rmsprop": replace(
        PAPER,
        techniques={"rmsprop": RMSPROP},
        batch_sizes=(32, 64, 128, 256, 512, 1024, 2048),
        learning_rates=(0.00003, 0.128),
        first_learning_rate=0.001,
        baseline_batch_size=128,
        max_runs=100,
        tables=(),
        table_techniques={},
    ),
    "paper_cifar_stem": replace(PAPER, task=replace(PAPER.task, model=ResNet18(stem="cifar"))),
}

if __name__ == "__main__":
    main(BUDGETS)
