"""Does a language model keep its perplexity at large batches with LEGW?

    python -m search_spaces.ptb_lstm                             # quick without a GPU, standard with one
    python -m search_spaces.ptb_lstm --data my_corpus            # any folder with train.txt, valid.txt and test.txt
    python -m search_spaces.ptb_lstm --tables                    # You et al.'s Figures 2 to 7 at the quick size
    python -m search_spaces.ptb_lstm --tables --budget paper     # the same, as they are written

Budgets:
    quick       one LSTM layer of 64 units, 1,000 words, 60,000 tokens, 12 epochs, on the King James Bible where the
                Penn Treebank cannot be had: about 10 minutes on 2 cores.
    standard    the paper's network, 13 epochs: needs a GPU.
    paper       the same as standard at every batch size from 20 to 640, judged on the validation text.
    paper_adam  the same as paper, with Adam, against Adam's own baseline.

The Penn Treebank is licensed: put your files ptb.train.txt, ptb.valid.txt and ptb.test.txt into the folder ptb of the
data directory. The Bible comes from Debian's packages; on other systems, give a text with --data. The metric is
perplexity: lower is better, and a tolerance of 0.01 is one per cent of it. Runs are judged on the validation text. The
tables show the paper's number beside our perplexity of the test text.

Expect from quick, on the Bible: the perplexity is near 47 at batch size 10 with a learning rate of 0.4, and the edge
there is between 1.7 and 4.6, with LEGW and without. At 40 it is between 3.5 and 5.0 without and between 8 and 12 with
LEGW, whose warm-up lasts longer there. At 160 the best perplexities are 71 and 68. One run varies by 0.3 of the
tolerance, with which 36 runs decided four of six edges; the error of A0 left batch size 10 open.
The paper's answer: the perplexity is 115.91 at batch size 20. LEGW keeps it up to 640, where neither Adam nor any tuned
learning rate from 0.1 to 1.6 keeps it, also after 50 epochs.

Source: You et al. 2019, "Large-Batch Training for LSTM and Beyond", sections 5.1.2, 5.2 and 5.3, Figures 5 to 7.
"""

from dataclasses import replace

from analysis.lipschitz import GradientLipschitz
from analysis.paper_table import PaperTable, Plot, TableRun
from search_spaces import Study, main
from trainables import Recipe, Task
from trainables.data import KingJamesBible, TextCorpus
from trainables.decay import ExponentialDecay
from trainables.measure import Tracked
from trainables.metric import Perplexity
from trainables.models import LSTMLanguageModel
from trainables.optimizers import SGD, Adam
from trainables.scaling import LinearScaling, NoScaling, SquareRootScaling
from trainables.warmup import LEGWarmup

QUESTION = "does LEGW carry a language model to large batches at the same perplexity?"

BASE_EPOCHS = 0.1
"""The epochs of LEGW's warm-up at batch size 20, which the paper does not give. At 640 they are 3.2 of 13 epochs."""
BASE_LR = 0.8
"""The learning rate at batch size 20, which the paper does not give: the table `Baseline` tunes it."""

TUNED_DECAY = Recipe(
    base_batch_size=20,
    optimizer=SGD(momentum=0.9),
    scaling=LinearScaling(),
    decay=ExponentialDecay(constant_epochs=7, factor=0.5),
)
LEGW = replace(TUNED_DECAY, scaling=SquareRootScaling(), warmup=LEGWarmup(base_epochs=BASE_EPOCHS))
TECHNIQUES = {"constant_then_halved": TUNED_DECAY, "legw": LEGW}
ADAM = replace(TUNED_DECAY, optimizer=Adam(), scaling=NoScaling())

SIZES = (20, 40, 80, 160, 320, 640)
TUNED = (0.1, 0.2, 0.4, 0.8, 1.6)
SUMMED = 20
"""The 115.91 is that of TensorFlow's tutorial, whose loss is summed over the 20 steps of a piece of text. Ours is
averaged over them, so that our rates are 20 times the tutorial's. The paper does not say which loss it has."""
RATES = tuple(factor * rate for factor in (1, SUMMED) for rate in TUNED)
"""The paper's tuned rates for 640 in both readings of its loss."""
PERPLEXITY = ("test_perplexity",)
TRACKED = (Tracked(GradientLipschitz(), every=2, until=200),)
"""The curvature along the gradient, over the first steps, in which its peak lies."""


def figures(
    legw: Recipe,
    sizes: tuple[int, ...],
    base_lr: float,
    tuned: tuple[float, ...],
    epochs: int,
    longer: int,
    baseline: dict[str, float],
) -> tuple[PaperTable, ...]:
    """Figures 2, 3, 5, 6.2 and 7.2, and the tuning of the baseline.

    Args:
        legw: LEGW, which says how rates scale.
        sizes: the batch sizes, the baseline's first.
        base_lr: the learning rate at the first.
        tuned: the rates that are tried at the first and at the last.
        epochs, longer: the number of epochs, and that of Figure 7.
        baseline: the paper's results of the baseline.
    """  # fmt: skip
    scaled = [TableRun("legw", size, legw.peak_learning_rate(base_lr, size), epochs) for size in sizes]
    scaled[0] = scaled[0]._replace(paper=baseline)
    first, last = sizes[0], sizes[-1]
    against_rate = (Plot("test_perplexity", "learning_rate"), Plot("validation_perplexity"))
    return (
        PaperTable(
            "Baseline",
            f"tuning batch size {first}",
            tuple(TableRun("constant_then_halved", first, rate, epochs, baseline) for rate in tuned),
            PERPLEXITY,
            plots=against_rate,
        ),
        PaperTable(
            "Figures 2, 3 and 5",
            "LEGW and Adam; learning rates over the run, and the curvature along the gradient over the first steps",
            (*scaled, *(TableRun("adam", size, 0.001, epochs) for size in sizes)),
            PERPLEXITY,
            plots=(
                Plot("test_perplexity", "batch_size"),
                Plot("last_learning_rate", panels="technique"),
                Plot("gradient_lipschitz", "samples", panels="technique"),
            ),
        ),
        *(
            PaperTable(
                name,
                f"LEGW against tuned rates at {last:,}, {number} epochs",
                (
                    scaled[-1]._replace(epochs=number),
                    *(TableRun("constant_then_halved", last, rate, number) for rate in tuned),
                ),
                PERPLEXITY,
                plots=against_rate,
            )
            for name, number in (("Figure 6.2", epochs), ("Figure 7.2", longer))
        ),
    )


PAPER = Study(
    name="ptb_lstm",
    question=QUESTION,
    task=Task(model=LSTMLanguageModel(), data=TextCorpus(), epochs=13, metric=Perplexity()),
    techniques=TECHNIQUES,
    batch_sizes=SIZES,
    learning_rates=(0.025, 51.2),
    first_learning_rate=BASE_LR,
    max_runs=200,
    tables=figures(LEGW, SIZES, BASE_LR, RATES, 13, 50, {"test_perplexity": 115.91}),
    table_techniques={"adam": ADAM},
    table_tracked=TRACKED,
)
QUICK = {
    name: replace(recipe, base_batch_size=10, decay=ExponentialDecay(constant_epochs=6, factor=0.5))
    for name, recipe in {**TECHNIQUES, "adam": ADAM}.items()
}
SMALL = LSTMLanguageModel(vocabulary=1_000, width=64, layers=1)
BUDGETS = {
    "quick": replace(
        PAPER,
        task=Task(model=SMALL, data=TextCorpus("ptb", 1_000, 20, 60_000, 20_000), epochs=12, metric=Perplexity()),
        substitute=Task(
            model=SMALL, data=KingJamesBible("bible", 1_000, 20, 60_000, 20_000), epochs=12, metric=Perplexity()
        ),
        techniques={name: QUICK[name] for name in TECHNIQUES},
        batch_sizes=(10, 40, 160),
        learning_rates=(0.025, 25.6),
        first_learning_rate=0.4,
        seeds_near_margin=2,
        tolerance=0.08,
        resolution=2.0,
        max_runs=36,
        tables=figures(QUICK["legw"], (10, 40, 160), 0.4, (0.1, 0.4, 1.6, 6.4), 12, 20, {}),
        table_techniques={"adam": QUICK["adam"]},
        left_out="a layer, 2/3 of the units, 9,000 words, 870,000 tokens, 1 epoch, batches but 40 and 160, Adam",
    ),
    "standard": replace(
        PAPER,
        batch_sizes=(20, 80, 320, 640),
        resolution=1.5,
        max_runs=40,
        tables=(),
        table_techniques={},
        left_out="batch sizes 40 and 160, Adam",
    ),
    "paper": PAPER,
    "paper_adam": replace(
        PAPER,
        techniques={"adam": ADAM},
        learning_rates=(0.000125, 0.064),
        first_learning_rate=0.001,
        rules=(NoScaling(), LinearScaling(), SquareRootScaling()),
        max_runs=100,
        tables=(),
        table_techniques={},
    ),
}

if __name__ == "__main__":
    main(BUDGETS)
