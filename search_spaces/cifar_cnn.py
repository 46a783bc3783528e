"""Does a plain network on CIFAR-10 stay as good at large batches under the linear rule, with or without a warm-up?

    python -m search_spaces.cifar_cnn                            # quick without a GPU, standard with one
    python -m search_spaces.cifar_cnn --tables                   # Kaabachi, Ødum and Knöpfel's figures, quick
    python -m search_spaces.cifar_cnn --tables --budget paper    # Table I and all figures, as they are written

Budgets:
    quick     a quarter of the channels, a stem of stride 2, the first 12,000 training images, 5 epochs, cosine decay:
              about 8 minutes on 2 cores.
    standard  the paper's network, 40,000 training images, 30 epochs: needs a GPU.
    paper     the paper's network, all 50,000 training images, 100 epochs, batch sizes 4 to 2,048, judged on the test
              set as in the paper.

Expect from quick: A0 is near 54 % at batch size 32 with a learning rate of 0.2. The edge at 32 is between 0.5 and 0.74,
and between 0.43 and 0.67 with a warm-up. At 64 runs end up to 2 points above the bar; the edge is near 0.6 and may
stay undecided. At 512 the best accuracy is 34 %, 20 points short of A0. One run varies by 0.37 of the tolerance, with
which 30 runs decided five of six edges.
The paper's answer: at 128 to 512, scaled learning rates are far better than a fixed rate. From 512 on, training with
scaled rates jumps up and down, and a warm-up steadies it.

Source: Kaabachi, Ødum and Knöpfel, "Effects of batch size scaled learning rates and gradual warm up for training deep
nets using large mini-batches".
"""

from dataclasses import replace

from analysis.paper_table import PaperTable, Plot, TableRun, rows
from search_spaces import Study, main
from trainables import Recipe, Task
from trainables.data import CIFAR10
from trainables.decay import CosineDecay
from trainables.models import SixLayerCNN
from trainables.optimizers import SGD
from trainables.scaling import LinearScaling, NoScaling, SquareRootScaling
from trainables.warmup import ConstantWarmup, ExponentialWarmup, LinearWarmup

QUESTION = "does the linear rule, with or without a warm-up, keep a plain network on CIFAR-10 as good at large batches?"

# The linear rule gives a learning rate of 0.001 x batch size.
PLAIN = Recipe(base_batch_size=1, optimizer=SGD(), scaling=LinearScaling())
WARMUP_FRACTION = 0.05
EXPONENTIAL = replace(PLAIN, warmup=ExponentialWarmup(fraction=WARMUP_FRACTION))
WARMUPS = {
    "exponential_warmup": EXPONENTIAL,
    "linear_warmup": replace(PLAIN, warmup=LinearWarmup(fraction=WARMUP_FRACTION)),
    "constant_warmup": replace(PLAIN, warmup=ConstantWarmup(fraction=WARMUP_FRACTION)),
}

FIXED = replace(PLAIN, scaling=NoScaling())
"""The same learning rate at every batch size."""
TABLE_TECHNIQUES = {
    "fixed": FIXED,
    "scaled": PLAIN,
    "scaled_exponential": EXPONENTIAL,
    "scaled_linear": WARMUPS["linear_warmup"],
    "scaled_constant": WARMUPS["constant_warmup"],
}
"""The techniques of the paper's figures: a fixed rate, the linear rule, and that with each warm-up."""

LARGE = (128, 256, 512, 1024, 2048)
ETA = 0.001
TIMES = ("plateau_epoch", "epoch_seconds", "plateau_seconds")
ACCURACY, LOSS = "validation_accuracy", "train_loss"


def figures(
    fixed: tuple[TableRun, ...], per_sample: float, sizes: tuple[int, ...], scaled: int, warm: int
) -> PaperTable:
    """Figures 2 to 7: at each batch size a fixed rate, the linear rule, and that with each of three warm-ups.

    Args:
        fixed: the rows with a fixed learning rate.
        per_sample: the linear rule's learning rate, for each sample of a batch.
        sizes: the batch sizes.
        scaled, warm: the number of epochs without and with a warm-up.
    """
    _fixed, _scaled, *warmups = TABLE_TECHNIQUES
    return PaperTable(
        "Figures 2 to 7",
        "a fixed rate, the linear rule, and three warm-ups over 5 % of the run: accuracy, and jumps of the loss",
        (
            *fixed,
            *(TableRun("scaled", size, per_sample * size, scaled) for size in sizes),
            *(TableRun(name, size, per_sample * size, warm) for name in warmups for size in sizes),
        ),
        columns=("test_accuracy", "train_accuracy", "loss_jumps"),
        plots=(Plot(ACCURACY, panels="batch_size"), Plot(LOSS, panels="technique")),
    )


FIXED_LARGE = tuple(
    TableRun("fixed", size, ETA, epochs) for size, epochs in zip(LARGE, (100, 150, 200, 300, 400), strict=True)
)
TABLES = (
    PaperTable(
        "Table I and Figure 1",
        "learning rate 0.001 at every batch size: epochs and seconds to each one's own plateau",
        (
            *rows("fixed", 50, (*TIMES, "test_accuracy"), (4, ETA, 35, 79.49, 2782.15, 0.82)),
            *rows(
                "fixed",
                50,
                TIMES,
                (8, ETA, 35, 46.41, 1624.35),
                (16, ETA, 35, 27.17, 950.95),
                (32, ETA, 35, 18.02, 630.7),
            ),
            *rows("fixed", 100, TIMES, (128, ETA, 80, 16.96, 1356.8)),
            *rows("fixed", 150, TIMES, (256, ETA, 130, 16.23, 2109.9)),
            *rows("fixed", 200, TIMES, (512, ETA, 200, 15.88, 3176)),
            *rows("fixed", 300, TIMES, (1024, ETA)),
            *rows("fixed", 400, TIMES, (2048, ETA)),
        ),
        columns=(*TIMES, "test_accuracy"),
        plots=(Plot(ACCURACY), Plot("plateau_seconds", "batch_size")),
    ),
    figures(FIXED_LARGE, ETA, LARGE, 100, 70),
)
QUICK_ETA = 0.05
"""The fixed rate of the quick tables, which is the linear rule's at batch size 16; 0.001 would need more epochs."""
QUICK_FIXED = tuple(TableRun("fixed", size, QUICK_ETA, epochs) for size, epochs in ((128, 10), (512, 12)))
QUICK_TABLES = (
    PaperTable(
        "Table I and Figure 1",
        f"learning rate {QUICK_ETA} at every batch size: epochs and seconds to each one's own plateau",
        (*(TableRun("fixed", size, QUICK_ETA, 6) for size in (16, 32)), *QUICK_FIXED),
        columns=(*TIMES, "test_accuracy"),
        plots=TABLES[0].plots,
    ),
    figures(QUICK_FIXED, QUICK_ETA / 16, (128, 512), 6, 6),
)

BUDGETS = {
    "quick": Study(
        name="cifar_cnn",
        question=QUESTION,
        task=Task(
            model=SixLayerCNN(width=8, widths=(64, 32), stem_stride=2),
            data=CIFAR10(train_samples=12_000, validation_samples=4_000, augment=False),
            epochs=5,
        ),
        techniques={
            "plain": replace(PLAIN, decay=CosineDecay()),
            "exponential_warmup": replace(EXPONENTIAL, decay=CosineDecay()),
        },
        batch_sizes=(32, 64, 512),
        learning_rates=(0.0125, 3.2),
        first_learning_rate=0.2,
        seeds_near_margin=2,
        tolerance=0.05,
        resolution=2.0,
        max_runs=30,
        tables=QUICK_TABLES,
        table_techniques=TABLE_TECHNIQUES,
        left_out=(
            "3/4 of the channels, a stem of stride 1, 38,000 images, 95 epochs, the constant rate (a cosine instead), "
            "batch sizes 4 to 16, 128, 256 and above 512, linear and constant warm-up"
        ),
    ),
    "standard": Study(
        name="cifar_cnn",
        question=QUESTION,
        task=Task(model=SixLayerCNN(), data=CIFAR10(augment=False), epochs=30),
        techniques={"plain": PLAIN, "exponential_warmup": EXPONENTIAL},
        batch_sizes=(32, 128, 512, 2048),
        learning_rates=(0.001, 4.0),
        first_learning_rate=0.032,
        resolution=1.5,
        max_runs=60,
        left_out="70 epochs, 10,000 images, batch sizes 4, 8, 16, 256 and 1,024, linear and constant warm-up",
    ),
    "paper": Study(
        name="cifar_cnn",
        question=QUESTION,
        task=Task(model=SixLayerCNN(), data=CIFAR10(train_samples=50_000, judge_on="test", augment=False), epochs=100),
        techniques={"plain": PLAIN, **WARMUPS},
        batch_sizes=(4, 8, 16, 32, *LARGE),
        learning_rates=(0.00025, 8.0),
        first_learning_rate=0.004,
        rules=(NoScaling(), LinearScaling(), SquareRootScaling()),
        max_runs=300,
        tables=TABLES,
        table_techniques=TABLE_TECHNIQUES,
    ),
}

if __name__ == "__main__":
    main(BUDGETS)
