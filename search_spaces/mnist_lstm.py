"""Does an LSTM that reads MNIST row by row scale to larger batches with LEGW than with the usual recipes and Adam?

    python -m search_spaces.mnist_lstm                           # quick without a GPU, standard with one
    python -m search_spaces.mnist_lstm --tables                  # You et al.'s Figures 2 to 7 at the quick size
    python -m search_spaces.mnist_lstm --tables --budget paper   # the same, as they are written

Budgets:
    quick       an LSTM of 64 units, 12,000 images, 5 epochs, on Fashion-MNIST where MNIST cannot be had: about 5
                to 9 minutes on 2 cores.
    standard    the paper's network, 50,000 training images, 10 epochs: needs a GPU.
    paper       the paper's network, all 60,000 training images, 25 epochs, batch sizes 128 to 8,192, judged on the test
                set.
    paper_adam  the same as paper, with Adam, against Adam's own baseline.

Expect from quick, on Fashion-MNIST: A0 is near 82.5 % at batch size 32 with a learning rate of 0.02 to 0.04. The edge
moves from near 0.08 at 32 to near 0.3 at 128, with LEGW and without. At 1,024 the best accuracies are 72 % and, with
LEGW, 65 to 70 %. One run varies by 1.8 points, which is why the tolerance is 5; 34 runs decided all six edges.
The paper's answer: LEGW keeps 98.8 % from 128 to 8,192. Fixed and linearly scaled learning rates do not keep it, with
or without decay and warm-up. The best rate tuned at 8,192 (0.01 to 0.16) is worse than LEGW, also after 100 epochs.

Source: You et al. 2019, "Large-Batch Training for LSTM and Beyond", sections 5.1.1, 5.2 and 5.3, Figures 4 to 7.
"""

from dataclasses import replace

from analysis.lipschitz import GradientLipschitz
from analysis.paper_table import PaperTable, Plot, TableRun
from search_spaces import Study, main
from trainables import Recipe, Task
from trainables.data import MNIST, FashionMNIST
from trainables.decay import PolynomialDecay
from trainables.measure import Tracked
from trainables.models import LSTMClassifier
from trainables.optimizers import SGD, Adadelta, Adagrad, Adam, RMSprop
from trainables.scaling import LinearScaling, NoScaling, SquareRootScaling
from trainables.warmup import LEGWarmup, LinearWarmup

QUESTION = "does LEGW carry an LSTM that reads MNIST row by row to large batches better than the usual recipes?"

BASE_EPOCHS = 0.1
"""The epochs of LEGW's warm-up at batch size 128, which the paper does not give. At 8,192 they are 6.4 of 25 epochs."""
BASE_LR = 0.1
"""The learning rate at batch size 128. The paper tuned it but does not give it. This one is near the middle of the
range that was effective in the paper at 8,192, which is 0.01 to 0.16."""

CONSTANT = Recipe(base_batch_size=128, optimizer=SGD(momentum=0.9), scaling=LinearScaling())
TECHNIQUES = {
    "constant": CONSTANT,
    "poly": replace(CONSTANT, decay=PolynomialDecay(power=2)),
    "poly_warmup": replace(CONSTANT, decay=PolynomialDecay(power=2), warmup=LinearWarmup(epochs=5)),
    "legw": replace(CONSTANT, scaling=SquareRootScaling(), warmup=LEGWarmup(base_epochs=BASE_EPOCHS)),
}
ADAM = replace(CONSTANT, optimizer=Adam(), scaling=NoScaling())
SOLVERS = {
    "sgd": (SGD(), 0.5),
    "momentum": (SGD(momentum=0.9), 0.05),
    "nesterov": (SGD(momentum=0.9, nesterov=True), 0.05),
    "adagrad": (Adagrad(), 0.02),
    "rmsprop": (RMSprop(), 0.001),
    "adam": (Adam(), 0.002),
    "adadelta": (Adadelta(), 1.0),
}
"""The seven solvers of section 5.2, each with the learning rate that is tried at its own baseline, and at a quarter and
four times as much. The rates are ours."""
TABLE_TECHNIQUES = {
    "fixed": replace(CONSTANT, scaling=NoScaling()),
    **{name: replace(CONSTANT, optimizer=optimizer, scaling=NoScaling()) for name, (optimizer, _) in SOLVERS.items()},
}

SIZES = (128, 256, 512, 1024, 2048, 4096, 8192)
TUNED = (0.01, 0.02, 0.04, 0.08, 0.16)
AGAINST_SIZE = (Plot("test_accuracy", "batch_size"),)
TRACKED = (Tracked(GradientLipschitz(), every=2, until=200),)
"""The curvature along the gradient, over the first steps, in which its peak lies."""


def figures(
    techniques: dict[str, Recipe],
    sizes: tuple[int, ...],
    base_lr: float,
    tuned: tuple[float, ...],
    epochs: int,
    longer: int,
    baseline: dict[str, float],
) -> tuple[PaperTable, ...]:
    """Figures 2 to 7, and the seven solvers.

    Args:
        techniques: the recipes by name, which say how rates scale.
        sizes: the batch sizes, the baseline's first.
        base_lr: the learning rate at the first.
        tuned: the rates that are tried at the last, against LEGW.
        epochs, longer: the number of epochs, and that of Figure 7.
        baseline: the paper's results of the baseline.
    """  # fmt: skip

    def scaled(name: str, number: int = epochs, at: tuple[int, ...] = sizes) -> list[TableRun]:
        return [TableRun(name, size, techniques[name].peak_learning_rate(base_lr, size), number) for size in at]

    adam = [TableRun("adam", size, 0.001, epochs) for size in sizes]
    legw = scaled("legw")
    legw[0] = legw[0]._replace(paper=baseline)
    last = sizes[-1]
    return (
        PaperTable(
            "Figures 2, 3 and 5",
            "LEGW and Adam; learning rates over the run, and the curvature along the gradient over the first steps",
            (*legw, *adam),
            plots=(
                *AGAINST_SIZE,
                Plot("last_learning_rate", panels="technique"),
                Plot("gradient_lipschitz", "samples", panels="technique"),
            ),
        ),
        PaperTable(
            "Figure 4",
            "one rate, the linear rule, that with poly decay, that with 5 epochs of warm-up too, and Adam",
            (*(run for name in ("fixed", "constant", "poly", "poly_warmup") for run in scaled(name)), *adam),
            plots=AGAINST_SIZE,
        ),
        *(
            PaperTable(
                name,
                f"LEGW against tuned rates at {last:,}, {number} epochs",
                (*scaled("legw", number, (last,)), *(TableRun("constant", last, rate, number) for rate in tuned)),
                plots=(Plot("test_accuracy", "learning_rate"), Plot("validation_accuracy")),
            )
            for name, number in (("Figure 6.1", epochs), ("Figure 7.1", longer))
        ),
        PaperTable(
            "Solvers",
            f"the seven solvers of section 5.2 at batch size {sizes[0]}, three rates each",
            tuple(
                TableRun(name, sizes[0], rate * factor, epochs)
                for name, (_, rate) in SOLVERS.items()
                for factor in (0.25, 1.0, 4.0)
            ),
            plots=(Plot("test_accuracy", "learning_rate"),),
        ),
    )


PAPER = Study(
    name="mnist_lstm",
    question=QUESTION,
    task=Task(model=LSTMClassifier(), data=MNIST(train_samples=60_000, judge_on="test"), epochs=25),
    techniques=TECHNIQUES,
    batch_sizes=SIZES,
    learning_rates=(0.0025, 10.24),
    first_learning_rate=0.04,
    rules=(NoScaling(), LinearScaling(), SquareRootScaling()),
    max_runs=300,
    tables=figures(TABLE_TECHNIQUES | TECHNIQUES, SIZES, BASE_LR, TUNED, 25, 100, {"test_accuracy": 0.988}),
    table_techniques=TABLE_TECHNIQUES,
    table_tracked=TRACKED,
)
QUICK = {name: replace(recipe, base_batch_size=32) for name, recipe in TECHNIQUES.items()}
QUICK["poly_warmup"] = replace(QUICK["poly_warmup"], warmup=LinearWarmup(epochs=1))
QUICK_SEARCH = {name: QUICK[name] for name in ("constant", "legw")}
QUICK_TABLE = {
    name: replace(recipe, base_batch_size=32)
    for name, recipe in (TABLE_TECHNIQUES | QUICK).items()
    if name not in QUICK_SEARCH
}
BUDGETS = {
    "quick": replace(
        PAPER,
        task=Task(model=LSTMClassifier(width=64), data=MNIST(train_samples=12_000, validation_samples=5_000), epochs=5),
        substitute=Task(
            model=LSTMClassifier(width=64), data=FashionMNIST(train_samples=12_000, validation_samples=5_000), epochs=5
        ),
        techniques=QUICK_SEARCH,
        batch_sizes=(32, 128, 1024),
        learning_rates=(0.0025, 2.56),
        first_learning_rate=0.02,
        rules=(LinearScaling(), SquareRootScaling()),
        seeds_near_margin=2,
        tolerance=0.05,
        resolution=2.0,
        max_runs=40,
        tables=figures(QUICK_TABLE | QUICK_SEARCH, (32, 128, 1024), 0.04, (0.04, 0.08, 0.16, 0.32, 0.64), 5, 10, {}),
        table_techniques=QUICK_TABLE,
        left_out="half of the units, 48,000 images, 20 epochs, batch sizes 256, 512 and above 1,024, poly decay, Adam",
    ),
    "standard": replace(
        PAPER,
        task=Task(model=LSTMClassifier(), data=MNIST(), epochs=10),
        techniques={name: TECHNIQUES[name] for name in ("constant", "legw")},
        batch_sizes=(128, 512, 2048, 8192),
        resolution=1.5,
        max_runs=60,
        tables=(),
        table_techniques={},
        left_out="15 epochs, 10,000 images, batch sizes 256, 1,024 and 4,096, poly decay, Adam",
    ),
    "paper": PAPER,
    "paper_adam": replace(
        PAPER,
        techniques={"adam": ADAM},
        learning_rates=(0.0000625, 0.128),
        first_learning_rate=0.001,
        max_runs=100,
        tables=(),
        table_techniques={},
    ),
}

if __name__ == "__main__":
    main(BUDGETS)
