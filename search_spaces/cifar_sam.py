"""Does sharpness-aware minimisation let a small network on CIFAR-10 use larger batches, and are its minima flatter?

    python -m search_spaces.cifar_sam                            # quick without a GPU, standard with one
    python -m search_spaces.cifar_sam --tables                   # Surlemont et al.'s Figures 1 to 4 at the quick size

Budgets:
    quick       half of the filters, 4,000 images, 10 epochs, cosine decay: 8 to 16 minutes on 2 cores; so do its
                tables.
    standard    the paper's network, 40,000 training images, 30 epochs: needs a GPU.
    paper       the paper's network, all 50,000 training images, 100 epochs, batch sizes 32 to 4,096, judged on the test
                set.
    paper_adam  the same as paper, with Adam, against Adam's own baseline.

Every run of the tables that reaches its end measures the sharpness of its minimum: Keskar et al.'s, that which SAM
perturbs weights to feel, and the top eigenvalue of the Hessian. The paper does not give its data set, rho, batch
sizes, learning rates or epochs. CIFAR-10, a rho of 0.05 (Foret et al.'s) and the rest are our choice.

Expect from quick: A0 is near 54 % at batch size 32 with a learning rate of 0.01. The edge at 32 is near 0.05 without
SAM and near 0.04 with it, at 128 near 0.09 and 0.08. SAM's best accuracies are 2 to 3 points lower. At 2,048 the best
is 31 % without SAM and 27 % with it. One run varies by 2.3 points, which is why the tolerance is 8; 34 runs decided
all six edges. At 512, which is left out, SGD's best is 49 %.
The paper's answer: the test accuracy with SAM is lower than without, SAM's minima at large batches are sharper, and a
step with SAM takes twice as long.

Source: Surlemont, Farahzadi and Staehle, "Large batch sizes for Deep Learning", section IV, Figures 1 to 4.
"""

from dataclasses import replace

from analysis.hessian import TopEigenvalue
from analysis.paper_table import PaperTable, Plot, TableRun
from analysis.sharpness import AscentSharpness, Sharpness
from search_spaces import Study, main
from trainables import Recipe, Task
from trainables.data import CIFAR10
from trainables.decay import CosineDecay
from trainables.gradient import SAM
from trainables.models import TwoConvCNN
from trainables.optimizers import SGD, Adam
from trainables.scaling import LinearScaling, SquareRootScaling

QUESTION = "does SAM carry a small network on CIFAR-10 to larger batches, and are its minima flatter?"

PLAIN = Recipe(base_batch_size=32, optimizer=SGD(momentum=0.9), scaling=LinearScaling())
ADAM = Recipe(base_batch_size=32, optimizer=Adam(), scaling=SquareRootScaling())
SGD_TECHNIQUES = {"sgd": PLAIN, "sgd_sam": replace(PLAIN, gradient=SAM(rho=0.05))}
PLAIN_TECHNIQUES = {
    "plain_sgd": replace(PLAIN, optimizer=SGD()),
    "plain_sgd_sam": replace(PLAIN, optimizer=SGD(), gradient=SAM(rho=0.05)),
}
"""SGD without momentum, which is the paper's equation 2; momentum is our choice."""
ADAM_TECHNIQUES = {"adam": ADAM, "adam_sam": replace(ADAM, gradient=SAM(rho=0.05))}
MEASURES = (Sharpness(), AscentSharpness(), TopEigenvalue())


def with_cosine(techniques: dict[str, Recipe]) -> dict[str, Recipe]:
    """The techniques with a cosine in place of a constant learning rate, under the same names."""
    return {name: replace(recipe, decay=CosineDecay()) for name, recipe in techniques.items()}


def figures(sizes: tuple[int, ...], epochs: int) -> tuple[PaperTable, ...]:
    """Runs by the square-root rule at every batch size, with and without SAM.

    By the linear rule, SGD would be no better than a guess from batch size 512 on.
    """
    return tuple(
        PaperTable(
            f"Figures {numbers}",
            f"{name} at {base:g} x the root of batch size / 32, with and without SAM: loss and sharpness",
            tuple(
                TableRun(technique, size, base * (size / 32) ** 0.5, epochs)
                for technique in techniques
                for size in sizes
            ),
            columns=(
                "test_accuracy",
                "train_accuracy",
                "sharpness",
                "ascent_sharpness",
                "top_eigenvalue",
                "train_seconds",
            ),
            plots=(
                Plot("train_loss", panels="technique"),
                Plot("validation_loss", panels="technique"),
                *(Plot(measure.name, "batch_size") for measure in MEASURES),
            ),
        )
        for numbers, name, techniques, base in (
            ("1 and 2", "SGD", PLAIN_TECHNIQUES, 0.1),
            ("1 and 2 with momentum", "SGD with momentum", SGD_TECHNIQUES, 0.01),
            ("3 and 4", "Adam", ADAM_TECHNIQUES, 0.001),
        )
    )


PAPER = Study(
    name="cifar_sam",
    question=QUESTION,
    task=Task(
        model=TwoConvCNN(),
        data=CIFAR10(train_samples=50_000, judge_on="test", augment=False),
        epochs=100,
    ),
    techniques=SGD_TECHNIQUES,
    batch_sizes=(32, 64, 128, 256, 512, 1024, 2048, 4096),
    learning_rates=(0.00125, 2.56),
    first_learning_rate=0.01,
    max_runs=200,
    tables=figures((32, 64, 128, 256, 512, 1024, 2048, 4096), 100),
    table_techniques=PLAIN_TECHNIQUES | ADAM_TECHNIQUES,
    table_measures=MEASURES,
)
BUDGETS = {
    "quick": replace(
        PAPER,
        task=Task(
            model=TwoConvCNN(width=16),
            data=CIFAR10(train_samples=4_000, validation_samples=4_000, augment=False),
            epochs=10,
        ),
        techniques=with_cosine(SGD_TECHNIQUES),
        table_techniques=with_cosine(PLAIN_TECHNIQUES | ADAM_TECHNIQUES),
        batch_sizes=(32, 128, 2048),
        learning_rates=(0.0025, 1.28),
        first_learning_rate=0.02,
        seeds_near_margin=2,
        tolerance=0.08,
        resolution=2.0,
        max_runs=42,
        tables=figures((32, 128, 512), 10),
        left_out="half of the filters, 46,000 images, 90 epochs, other batch sizes; Adam is in tables",
    ),
    "standard": replace(
        PAPER,
        task=Task(model=TwoConvCNN(), data=CIFAR10(augment=False), epochs=30),
        batch_sizes=(32, 128, 512, 2048),
        resolution=1.5,
        max_runs=60,
        tables=figures((32, 128, 512, 2048), 30),
        left_out="70 epochs, 10,000 images, batch sizes 64, 256, 1,024 and 4,096, Adam",
    ),
    "paper": PAPER,
    "paper_adam": replace(
        PAPER,
        techniques=ADAM_TECHNIQUES,
        learning_rates=(0.000125, 0.064),
        first_learning_rate=0.001,
        tables=(),
        table_techniques={},
    ),
}

if __name__ == "__main__":
    main(BUDGETS)
