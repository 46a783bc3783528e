"""How far does the learning rate of a small CNN on scikit-learn's digits scale with the batch size?

    python -m search_spaces.digits_cnn

Nothing to download. Cost of the quick budget: about two minutes on 2 cores, half of it starting the worker groups.
Expect the edge to grow with the batch size and the largest batch sizes to run out of steps.
"""

from search_spaces.command_line import main
from search_spaces.study import Study
from trainables import Recipe, Task
from trainables.data import Digits
from trainables.decay import CosineDecay
from trainables.models import SmallCNN
from trainables.optimizers import SGD
from trainables.scaling import LinearScaling
from trainables.warmup import LinearWarmup

BUDGETS = {
    "quick": Study(
        name="digits_cnn",
        question="how far does the learning rate of a small CNN on digits scale?",
        task=Task(model=SmallCNN(width=8), data=Digits(), epochs=10),
        techniques={
            "warmup": Recipe(
                base_batch_size=16,
                optimizer=SGD(momentum=0.9),
                scaling=LinearScaling(),
                warmup=LinearWarmup(epochs=1, start="zero"),
                decay=CosineDecay(),
                norm_batch_size=8,
            )
        },
        batch_sizes=(16, 32, 64, 128, 256),
        learning_rates=(0.003, 12.8),
        first_learning_rate=0.1,
        seeds=3,
        seeds_near_margin=3,
        tolerance=0.02,
        resolution=1.5,
        max_runs=60,
    )
}

if __name__ == "__main__":
    main(BUDGETS)
