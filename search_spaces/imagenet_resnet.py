"""How far does ResNet-50 on ImageNet scale with LARS and LEGW, and with batches that grow?

    python -m search_spaces.imagenet_resnet                      # quick without a GPU, standard with one
    python -m search_spaces.imagenet_resnet --data my_images     # any folder with train/CLASS/*.jpg and val/CLASS/*.jpg
    python -m search_spaces.imagenet_resnet --tables             # both papers' figures at the quick size
    python -m search_spaces.imagenet_resnet --tables --budget paper             # You et al.'s Table 1, Figures 1 and 2
    python -m search_spaces.imagenet_resnet --tables --budget paper_adabatch    # Devarakonda et al.'s Figures 2 and 3

Budgets:
    quick           ResNet-8 with a stem of stride 4 at 32 x 32 pixels, 8,000 JPEG files, 5 epochs, on CIFAR-10 written
                    as JPEG files where ImageNet cannot be had: about 10 minutes on 2 cores.
    standard        ResNet-18 at 64 x 64 pixels, 100,000 images, 10 epochs: needs a GPU.
    paper           ResNet-50, 90 epochs, batch sizes 1,024 to 32,768, LARS and LEGW (You et al.).
    paper_adabatch  ResNet-50, 90 epochs, batches that grow by a factor of 2, 4 or 8 every 30 epochs (Devarakonda et
                    al.).

Put ImageNet into the folder imagenet of the data directory. Runs are judged on its validation images, by top-5 accuracy
as in You et al.; in paper_adabatch, and on CIFAR-10, they are judged by accuracy.

Expect from quick, on CIFAR-10: A0 is near 43 % at batch size 32 with a learning rate of 4. With poly decay the edge
moves from between 7 and 14 at 32 to between 14 and 24 at 128, with steps from between 4 and 10 to between 8 and 17. At
2,048 the best accuracies are 29 and 25 %. One run varies by 0.38 of the tolerance, with which 32 runs decided five of
six edges.
The papers' answers: from 1,024 to 32,768 the top-5 accuracy stays between 93.2 and 93.6 %. Batches that start at 256 to
16,384 and grow by 2 keep the error of small batches. Growth by 8 from 16,384 converges poorly, as is to be expected.

Source: You et al. 2019, "Large-Batch Training for LSTM and Beyond", section 6, Table 1, Figure 2; Devarakonda, Naumov
and Garland 2017, "AdaBatch", section 3, Figures 2 and 3.
"""

from dataclasses import replace

from analysis.paper_table import PaperTable, Plot, TableRun, rows
from search_spaces import Study, main
from trainables import Recipe, Task
from trainables.data import CIFAR10JPEG, ImageFolder
from trainables.decay import MultiStepDecay, NoDecay, PolynomialDecay, StepDecay
from trainables.growth import StepGrowth
from trainables.metric import Accuracy
from trainables.models import ResNet8, ResNet18, ResNet50
from trainables.optimizers import LARS, SGD
from trainables.scaling import LinearScaling, SquareRootScaling
from trainables.warmup import LEGWarmup, LinearWarmup

QUESTION = "how far do LARS with LEGW, and batches that grow, carry ResNet-50 on ImageNet?"

LEGW_POLY = Recipe(
    base_batch_size=1024,
    optimizer=LARS(momentum=0.9, weight_decay=1e-4),
    scaling=SquareRootScaling(),
    warmup=LEGWarmup(base_epochs=0.3125),
    decay=PolynomialDecay(power=2),
    norm_batch_size=128,
    max_micro_batch=512,
)
LEGW_STEPS = replace(LEGW_POLY, decay=MultiStepDecay(at_epochs=(30, 60, 80), factor=0.1))

FIXED = Recipe(
    base_batch_size=256,
    optimizer=SGD(momentum=0.9, weight_decay=1e-4),
    scaling=LinearScaling(),
    warmup=LinearWarmup(epochs=5),
    decay=StepDecay(every_epochs=30, factor=0.1),
    norm_batch_size=128,  # each of the paper's four GPUs holds 128 of a micro-batch of 512
    max_micro_batch=512,
)
GROWTHS = {
    f"growth_{factor}": replace(
        FIXED,
        decay=NoDecay(),
        growth=StepGrowth(every_epochs=30, factor=factor, learning_rate_factor=factor / 10),
    )
    for factor in (2, 4, 8)
}

TOP5 = ("test_accuracy",)
AGAINST_SIZE = Plot("test_accuracy", "batch_size")
CURVES = Plot("validation_accuracy", panels="technique")
RATES = Plot("last_learning_rate", panels="technique")
TABLES = (
    PaperTable(
        "Figure 1",
        "LARS with LEGW, against linear scaling of SGD with 5 epochs of warm-up: top-5 accuracy",
        (
            *(TableRun("lars_legw_poly", 1024 * 2**k, 2 ** (2.5 + k / 2), 90) for k in range(6)),
            *(TableRun("linear_warmup", 1024 * 2**k, 0.1 * 4 * 2**k, 90) for k in range(6)),
        ),
        TOP5,
        plots=(AGAINST_SIZE, CURVES),
    ),
    PaperTable(
        "Table 1",
        "LARS with LEGW, poly decay: top-5 accuracy",
        rows(
            "lars_legw_poly", 90, TOP5,
            (32768, 2**5.0, 0.9318), (16384, 2**4.5, 0.9343), (8192, 2**4.0, 0.9355),
            (4096, 2**3.5, 0.9334), (2048, 2**3.0, 0.9325), (1024, 2**2.5, 0.9336),
        ),
        TOP5,
        plots=(AGAINST_SIZE, RATES),
    ),
    PaperTable(
        "Figure 2",
        "LARS with LEGW, steps at 30, 60 and 80 epochs: top-5 accuracy",
        tuple(TableRun("lars_legw_steps", 1024 * 2**k, 2 ** (2.5 + k / 2), 90) for k in range(6)),
        TOP5,
        plots=(AGAINST_SIZE, RATES),
    ),
)  # fmt: skip
ADABATCH_SIZES = (256, 4096, 8192, 16384)
ADABATCH_TABLES = (
    PaperTable(
        "Figure 2",
        "fixed batches and such that double every 30 epochs",
        tuple(
            TableRun(name, size, 0.1 * size / 256, 90) for name in ("fixed", "growth_2") for size in (256, 4096, 16384)
        ),
        ("test_accuracy",),
        plots=(CURVES,),
    ),
    PaperTable(
        "Figure 3",
        "growth by 2, 4 and 8 from 8,192 and 16,384",
        tuple(TableRun(name, size, 0.1 * size / 256, 90) for size in (8192, 16384) for name in GROWTHS),
        ("test_accuracy",),
        plots=(Plot("validation_accuracy", panels="batch_size"),),
    ),
)
PAPER = Study(
    name="imagenet_resnet",
    question=QUESTION,
    task=Task(model=ResNet50(), data=ImageFolder(), epochs=90, metric=Accuracy(top=5)),
    techniques={"lars_legw_poly": LEGW_POLY, "lars_legw_steps": LEGW_STEPS},
    batch_sizes=(1024, 2048, 4096, 8192, 16384, 32768),
    learning_rates=(0.5, 128.0),
    first_learning_rate=2**2.5,
    tables=TABLES,
    table_techniques={"linear_warmup": FIXED},
)


def shortened(epochs: int, base_batch_size: int, norm_batch_size: int) -> dict[str, Recipe]:
    """Both techniques, with the paper's 90 epochs shortened to `epochs`."""
    steps = MultiStepDecay(at_epochs=tuple(epochs * at / 90 for at in (30, 60, 80)), factor=0.1)
    poly = replace(
        LEGW_POLY,
        base_batch_size=base_batch_size,
        norm_batch_size=norm_batch_size,
        max_micro_batch=None,
        warmup=LEGWarmup(base_epochs=0.3125 * epochs / 90),
    )
    return {"lars_legw_poly": poly, "lars_legw_steps": replace(poly, decay=steps)}


QUICK_SGD = replace(
    FIXED,
    base_batch_size=32,
    norm_batch_size=32,
    max_micro_batch=None,
    warmup=LinearWarmup(epochs=5 * 5 / 90),
    decay=StepDecay(every_epochs=5 / 3, factor=0.1),
)
QUICK_GROWTHS = {
    f"growth_{factor}": replace(
        QUICK_SGD,
        decay=NoDecay(),
        growth=StepGrowth(every_epochs=5 / 3, factor=factor, learning_rate_factor=factor / 10),
    )
    for factor in (2, 4, 8)
}
QUICK_SIZES = (32, 128, 512)
QUICK_TABLES = (
    PaperTable(
        "Table 1, Figures 1 and 2 (You et al.)",
        "LARS with LEGW, poly decay and steps, against linear scaling of SGD with a warm-up",
        (
            *(
                TableRun(name, size, 4 * (size / 32) ** 0.5, 5)
                for name in ("lars_legw_poly", "lars_legw_steps")
                for size in QUICK_SIZES
            ),
            *(TableRun("linear_warmup", size, 0.1 * size / 32, 5) for size in QUICK_SIZES),
        ),
        TOP5,
        plots=(AGAINST_SIZE, RATES, CURVES),
    ),
    PaperTable(
        "Figures 2 and 3 (Devarakonda et al.)",
        "fixed batches, and such that grow by 2, 4 and 8 at a third and at two thirds of the run",
        tuple(
            TableRun(name, size, 0.1 * size / 32, 5) for size in (32, 64) for name in ("linear_warmup", *QUICK_GROWTHS)
        ),
        TOP5,
        plots=(Plot("validation_accuracy", panels="batch_size"),),
    ),
)

BUDGETS = {
    "quick": replace(
        PAPER,
        task=Task(
            model=ResNet8(classes=1000, stem_stride=4),
            data=ImageFolder(size=32, train_samples=8_000, validation_samples=3_000),
            epochs=5,
            metric=Accuracy(top=5),
        ),
        substitute=Task(model=ResNet8(stem_stride=4), data=CIFAR10JPEG(8_000, 3_000), epochs=5),
        techniques=shortened(5, base_batch_size=32, norm_batch_size=32),
        batch_sizes=(32, 128, 2048),
        learning_rates=(0.25, 128.0),
        first_learning_rate=4.0,
        seeds_near_margin=2,
        tolerance=0.05,
        resolution=2.0,
        max_runs=32,
        tables=QUICK_TABLES,
        table_techniques={"linear_warmup": QUICK_SGD, **QUICK_GROWTHS},
        left_out="ResNet-50, 224 x 224 pixels, 1.27 million images, 85 epochs, other batch sizes, growing batches",
    ),
    "standard": replace(
        PAPER,
        task=Task(
            model=ResNet18(stem="imagenet", classes=1000),
            data=ImageFolder(size=64, train_samples=100_000, validation_samples=10_000),
            epochs=10,
            metric=Accuracy(top=5),
        ),
        techniques=shortened(10, base_batch_size=256, norm_batch_size=128),
        batch_sizes=(256, 1024, 4096),
        resolution=1.5,
        max_runs=30,
        tables=(),
        table_techniques={},
        left_out="ResNet-50, 224 x 224 pixels, 1.18 million images, 80 epochs, larger batches, growing batches",
    ),
    "paper": PAPER,
    "paper_adabatch": replace(
        PAPER,
        task=replace(PAPER.task, metric=Accuracy()),
        techniques={"fixed": FIXED, **GROWTHS},
        batch_sizes=ADABATCH_SIZES,
        learning_rates=(0.0125, 25.6),
        first_learning_rate=0.1,
        tables=ADABATCH_TABLES,
        table_techniques={},
    ),
}

if __name__ == "__main__":
    main(BUDGETS)
