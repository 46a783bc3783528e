"""Does a language model keep its perplexity at large batches with LEGW?

    python -m search_spaces.ptb_lstm                             # quick without a GPU, standard with one
    python -m search_spaces.ptb_lstm --data my_corpus            # any folder with train.txt, valid.txt and test.txt
    python -m search_spaces.ptb_lstm --tables                    # You et al.'s Figures 5 to 7

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

from analysis.paper_table import PaperTable, TableRun
from search_spaces import Study, main
from trainables import Recipe, Task
from trainables.data import KingJamesBible, TextCorpus
from trainables.decay import ExponentialDecay
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


def _tuned(name: str, epochs: int) -> PaperTable:
    best = TableRun("legw", 640, LEGW.peak_learning_rate(BASE_LR, 640), epochs)
    runs = (best, *(TableRun("constant_then_halved", 640, rate, epochs) for rate in RATES))
    return PaperTable(
        name,
        f"LEGW against tuned rates at 640, as written and times {SUMMED}, {epochs} epochs, halved from the 8th on",
        runs,
        PERPLEXITY,
    )


TABLES = (
    PaperTable(
        "Baseline",
        "tuning batch size 20, for which the paper reports 115.91",
        tuple(TableRun("constant_then_halved", 20, rate, 13, {"test_perplexity": 115.91}) for rate in RATES),
        PERPLEXITY,
    ),
    PaperTable(
        "Figure 5",
        "LEGW and Adam; the paper reports 115.91 for the baseline, batch size 20",
        (
            TableRun("legw", 20, BASE_LR, 13, {"test_perplexity": 115.91}),
            *(TableRun("legw", size, LEGW.peak_learning_rate(BASE_LR, size), 13) for size in SIZES[1:]),
            *(TableRun("adam", size, 0.001, 13) for size in SIZES),
        ),
        PERPLEXITY,
    ),
    _tuned("Figure 6.2", 13),
    _tuned("Figure 7.2", 50),
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
    tables=TABLES,
    table_techniques={"adam": ADAM},
)
SMALL = LSTMLanguageModel(vocabulary=1_000, width=64, layers=1)
BUDGETS = {
    "quick": replace(
        PAPER,
        task=Task(model=SMALL, data=TextCorpus("ptb", 1_000, 20, 60_000, 20_000), epochs=12, metric=Perplexity()),
        substitute=Task(
            model=SMALL, data=KingJamesBible("bible", 1_000, 20, 60_000, 20_000), epochs=12, metric=Perplexity()
        ),
        techniques={
            name: replace(recipe, base_batch_size=10, decay=ExponentialDecay(constant_epochs=6, factor=0.5))
            for name, recipe in TECHNIQUES.items()
        },
        batch_sizes=(10, 40, 160),
        learning_rates=(0.025, 25.6),
        first_learning_rate=0.4,
        seeds_near_margin=2,
        tolerance=0.08,
        resolution=2.0,
        max_runs=36,
        tables=(),
        table_techniques={},
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
