"""How far does the learning rate scale when the batch doubles during training, compared with a fixed batch?

    python -m search_spaces.cifar_adabatch                       # quick without a GPU, standard with one
    python -m search_spaces.cifar_adabatch --tables              # Devarakonda et al.'s Figure 1 at the quick size
    python -m search_spaces.cifar_adabatch --tables --budget paper              # Figure 1b: ResNet-20, 5 seeds
    python -m search_spaces.cifar_adabatch --tables --budget paper_vgg19        # Figure 1a: VGG19 with BatchNorm

Budgets:
    quick        ResNet-8 with a stem of stride 4, 15,000 images, 6 epochs, on CIFAR-10 where CIFAR-100 cannot be had:
                 about 10 minutes on 2 cores.
    standard     ResNet-20 on CIFAR-100, 40,000 training images, 30 epochs: needs a GPU.
    paper        ResNet-20 on CIFAR-100, all 50,000 training images, 100 epochs, judged on the test set.
    paper_vgg19  the same as paper, with VGG19-BN.

Expect from quick, on CIFAR-10: A0 is near 55 % at batch size 32 with a learning rate of 0.1. The edge moves from
between 0.33 and 0.61 at 32 to between 0.8 and 2.4 at 128, with doubling and without. At 1,024 both fall 9 to 11
points short of A0; at 512, which is left out, both end within a point of the bar. One run varies by 0.4 of the
tolerance, with which 36 runs decided five of six edges.
The paper's answer: a batch that grows from 1,024 to 16,384 in 100 epochs has less than 2 % more test error than a fixed
batch of 128, and trains 3.54 (VGG19) and 6.25 (ResNet-20) times as fast on four P100s.

Source: Devarakonda, Naumov and Garland 2017, "AdaBatch: Adaptive Batch Sizes for Training Deep Neural Networks",
section 3, Figure 1.
"""

from dataclasses import replace

from analysis.paper_table import PaperTable, Plot, TableRun
from search_spaces import Study, main
from trainables import Recipe, Task
from trainables.data import CIFAR10, CIFAR100
from trainables.decay import NoDecay, StepDecay
from trainables.growth import StepGrowth
from trainables.models import VGG19BN, ResNet8, ResNet20
from trainables.optimizers import SGD
from trainables.scaling import LinearScaling
from trainables.warmup import LinearWarmup, NoWarmup

QUESTION = "how far does a batch that doubles as training goes on carry the learning rate, against one that stays?"

FIXED = Recipe(
    base_batch_size=128,
    optimizer=SGD(momentum=0.9, weight_decay=5e-4),
    scaling=LinearScaling(),
    warmup=LinearWarmup(epochs=5),
    decay=StepDecay(every_epochs=20, factor=0.25),
)
GROWTH = StepGrowth(every_epochs=20, factor=2, learning_rate_factor=0.5)
"""Every 20 epochs the learning rate per sample is multiplied by 0.25, as by the decay of FIXED."""
ADAPTIVE = replace(FIXED, decay=NoDecay(), growth=GROWTH)
BASELINE = replace(FIXED, warmup=NoWarmup())
GPUS = 4
"""The paper's GPUs. Each normalises its own share of a batch, a quarter of it, which grows with the batch."""


def on_gpus(techniques: dict[str, Recipe]) -> dict[str, Recipe]:
    """The techniques with the paper's normalisation batches, which are a GPU's share of a batch."""
    return {
        f"{name}_shares": replace(recipe, norm_batch_size=None, norm_parts=GPUS) for name, recipe in techniques.items()
    }


SIZES = (128, 256, 512, 1024)


def shortened(epochs: int) -> dict[str, Recipe]:
    """Both techniques, with the paper's 100 epochs shortened to `epochs`. A shorter run has only the first of these."""
    every, warmup = epochs / 5, LinearWarmup(epochs=epochs / 20)
    return {
        "fixed": replace(FIXED, warmup=warmup, decay=StepDecay(every_epochs=every, factor=0.25)),
        "adaptive": replace(ADAPTIVE, warmup=warmup, growth=replace(GROWTH, every_epochs=every)),
    }


PLOTS = (
    Plot("speed_up", "batch_size"),
    Plot("test_accuracy", "batch_size"),
    Plot("validation_accuracy", panels="technique"),
)


def figure(name: str, model: str, speed_up: float) -> PaperTable:
    """The runs of one figure of the paper.

    They have a fixed batch of 128, larger fixed batches with warm-up, and batches that start at each of SIZES and
    double four times. Normalisation batches are the shares of the paper's GPUs; where the batch grows, also fixed ones
    of 128 samples.
    """
    adaptive = [
        TableRun(technique, size, 0.1 * size / 128, 100, {"speed_up": speed_up} if size == 1024 else {})
        for technique in ("adaptive_shares", "adaptive_norm128")
        for size in SIZES
    ]
    fixed = [TableRun("fixed_shares", size, 0.1 * size / 128, 100) for size in (*SIZES[1:], 2048, 4096, 8192, 16384)]
    return PaperTable(
        name,
        f"{model}: speed-up against a fixed 128, and accuracy; adaptive from the batch size given to 16 times as much",
        (TableRun("baseline_shares", 128, 0.1, 100), *fixed, *adaptive),
        columns=("test_accuracy", "train_seconds", "speed_up"),
        seeds=5,
        plots=PLOTS,
    )


PAPER = Study(
    name="cifar_adabatch",
    question=QUESTION,
    task=Task(model=ResNet20(classes=100), data=CIFAR100(train_samples=50_000, judge_on="test"), epochs=100),
    techniques={"fixed": FIXED, "adaptive": ADAPTIVE},
    batch_sizes=SIZES,
    learning_rates=(0.0125, 12.8),
    first_learning_rate=0.1,
    max_runs=200,
    tables=(figure("Figure 1b", "ResNet-20", 6.25),),
    table_techniques={
        **on_gpus({"baseline": BASELINE, "fixed": FIXED, "adaptive": ADAPTIVE}),
        "adaptive_norm128": replace(ADAPTIVE, norm_batch_size=128),
    },
)
QUICK = {name: replace(recipe, base_batch_size=32, norm_batch_size=32) for name, recipe in shortened(10).items()}
QUICK_SIZES = (128, 512)
QUICK_TABLES = (
    PaperTable(
        "Figure 1",
        "speed-up against a fixed 32, and accuracy; adaptive from the batch size given to 4 times as much",
        (
            TableRun("fixed_shares", 32, 0.1, 6),
            *(
                TableRun(technique, size, 0.1 * size / 32, 6)
                for technique in ("fixed_shares", "adaptive_shares", "adaptive")
                for size in QUICK_SIZES
            ),
        ),
        columns=("test_accuracy", "train_seconds", "speed_up"),
        plots=PLOTS,
    ),
)
BUDGETS = {
    "quick": Study(
        name="cifar_adabatch",
        question=QUESTION,
        task=Task(
            model=ResNet8(classes=100, stem_stride=4),
            data=CIFAR100(train_samples=15_000, validation_samples=4_000, augment=False),
            epochs=6,
        ),
        substitute=Task(
            model=ResNet8(stem_stride=4),
            data=CIFAR10(train_samples=15_000, validation_samples=4_000, augment=False),
            epochs=6,
        ),
        techniques=QUICK,
        tables=QUICK_TABLES,
        table_techniques=on_gpus(QUICK),
        batch_sizes=(32, 128, 1024),
        learning_rates=(0.0125, 12.8),
        first_learning_rate=0.1,
        seeds_near_margin=2,
        tolerance=0.04,
        resolution=2.0,
        max_runs=36,
        left_out=(
            "VGG19-BN and ResNet-20, a stem of stride 1, 35,000 images, 94 epochs, 2 of 4 doublings, batches that "
            "start at 256, 512 or above 1,024"
        ),
    ),
    "standard": Study(
        name="cifar_adabatch",
        question=QUESTION,
        task=Task(model=ResNet20(classes=100), data=CIFAR100(), epochs=30),
        techniques=shortened(30),
        batch_sizes=SIZES,
        learning_rates=(0.0125, 12.8),
        first_learning_rate=0.1,
        resolution=1.5,
        max_runs=80,
        left_out="VGG19-BN, 70 epochs, 10,000 images",
    ),
    "paper": PAPER,
    "paper_vgg19": replace(
        PAPER,
        task=replace(PAPER.task, model=VGG19BN(classes=100)),
        tables=(figure("Figure 1a", "VGG19-BN", 3.54),),
    ),
}

if __name__ == "__main__":
    main(BUDGETS)
