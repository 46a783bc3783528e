"""How far does the learning rate of a residual network on CIFAR-10 scale with the batch size?

    python -m search_spaces.cifar_resnet                      # quick without a GPU, standard with one
    python -m search_spaces.cifar_resnet --budget paper       # the setting of Li and Sheng

Budgets:
    quick     ResNet-8 of width 8, the first 5,000 training images as they are, 6 epochs: 6 minutes on 2 cores.
    standard  ResNet-18, 40,000 training images with crop and flip, 30 epochs: needs a GPU.
    paper     ResNet-18, all 50,000, 200 epochs, 32 to 4,096, judged on the test set as the paper does.

Expect from quick: A0 near 50 % at batch size 16 with a learning rate of 0.05, an edge between 0.1 and 0.4 there, and
best accuracies that fall from 46 % at batch size 64 to 38 % at 256. Its 24 runs leave most edges above 16 undecided.
The paper's answer: linear scaling with warm-up holds to 256, with normalisation batches of 32 to 1,024 (88.0 % against
88.3 %).

Source: Li and Sheng, "On the large-batch training of CIFAR-10", sections III-B and III-C, Tables I to III.
"""

from dataclasses import replace

from search_spaces.command_line import main
from search_spaces.study import Study
from trainables import Recipe, Task
from trainables.data import CIFAR10
from trainables.decay import CosineDecay, StepDecay
from trainables.models import ResNet8, ResNet18
from trainables.optimizers import SGD
from trainables.scaling import LinearScaling, NoScaling, SquareRootScaling
from trainables.warmup import LinearWarmup

QUESTION = "how far does the learning rate of a residual network on CIFAR-10 scale?"

QUICK = Recipe(
    base_batch_size=16,
    optimizer=SGD(momentum=0.9),
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

STANDARD = {
    name: replace(recipe, decay=CosineDecay(), warmup=LinearWarmup(epochs=1.5))
    for name, recipe in {"warmup": WARMUP, "warmup_norm32": WARMUP_NORM32}.items()
}

BUDGETS = {
    "quick": Study(
        name="cifar_resnet",
        question=QUESTION,
        task=Task(model=ResNet8(width=8), data=CIFAR10(train_samples=5_000, augment=False), epochs=6),
        techniques={"warmup_norm16": QUICK},
        batch_sizes=(16, 32, 64, 128, 256),
        learning_rates=(0.00625, 6.4),
        first_learning_rate=0.1,
        seeds=3,
        seeds_near_margin=2,
        tolerance=0.03,
        resolution=2.0,
        max_runs=24,
    ),
    "standard": Study(
        name="cifar_resnet",
        question=QUESTION,
        task=Task(model=ResNet18(), data=CIFAR10(), epochs=30),
        techniques=STANDARD,
        batch_sizes=(32, 128, 512, 1024, 2048, 4096),
        learning_rates=(0.00625, 12.8),
        first_learning_rate=0.05,
        rules=(LinearScaling(), SquareRootScaling()),
        resolution=1.5,
        max_runs=120,
    ),
    "paper": Study(
        name="cifar_resnet",
        question=QUESTION,
        task=Task(model=ResNet18(), data=CIFAR10(train_samples=50_000, judge_on="test"), epochs=200),
        techniques={"plain": PLAIN, "warmup": WARMUP, "warmup_norm32": WARMUP_NORM32},
        batch_sizes=(32, 64, 128, 256, 512, 1024, 2048, 4096),
        learning_rates=(0.00625, 12.8),
        first_learning_rate=0.025,
        rules=(NoScaling(), LinearScaling(), SquareRootScaling()),
        max_runs=300,
    ),
}

if __name__ == "__main__":
    main(BUDGETS)
