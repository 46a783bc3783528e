"""How much time do small normalisation batches, SAM and gradient accumulation cost?

    python -m benchmarks.technique_cost            # about four minutes on 2 cores

Two variants of a recipe (arms) at a time train a residual network on random images, alternately for one epoch each. A
ratio is the median over the pairs. On a CPU, one thread trains ResNet-8 with batches of 128, as a worker of a study
does, and the CPU time of the process is measured, because other programs disturb it less. On a GPU, ResNet-18 is
trained with batches of 4,096, and wall time is measured.

    norm_batch_cost         BatchNorm over 32 samples at a time, against BatchNorm over the whole batch
    norm_batch_vs_loop      a loop over micro-batches of 32, against BatchNorm over 32 samples at a time
    sam_cost                SAM, against the plain gradient
    sam_every_10_cost       SAM in every tenth step, against the plain gradient
    accumulation_cost       batches that are split into micro-batches, against batches of the micro-batches' size
    noise_cost              measuring the gradient noise scale (AdaScale), against not measuring it
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import torch

from benchmarks.result import benchmark_parser, show
from trainables import Recipe, Task
from trainables.data.loading.images import Images, Split
from trainables.data.loading.source import Data
from trainables.engine.run import Run
from trainables.gradient import SAM
from trainables.models import ResNet8, ResNet18
from trainables.optimizers import SGD
from trainables.scaling import AdaScale

BATCHES = 10
"""Number of steps in an epoch at the full batch size."""


@dataclass(frozen=True)
class RandomImages(Data):
    """Images of CIFAR's shape with random pixels and random labels."""

    train_samples: int
    validation_samples: int = 10
    input_shape: tuple[int, int, int] = (3, 32, 32)
    classes: int = 10

    def load(self, data_dir: Path) -> Images:
        generator = torch.Generator().manual_seed(0)

        def split(samples: int) -> Split:
            pixels = torch.randint(0, 256, (samples, *self.input_shape), dtype=torch.uint8, generator=generator)
            return Split(pixels, torch.randint(0, self.classes, (samples,), generator=generator))

        return Images(split(self.train_samples), split(10), split(10), mean=(0.5,) * 3, std=(0.29,) * 3)


@dataclass(frozen=True)
class Arm:
    recipe: Recipe
    batch_size: int


def arms(batch_size: int, norm: int) -> dict[str, Arm]:
    """The recipes and batch sizes that are compared, by name."""
    plain = Recipe(base_batch_size=norm, optimizer=SGD(momentum=0.9))
    ghost = replace(plain, norm_batch_size=norm)
    quarter = batch_size // 4
    return {
        "plain": Arm(plain, batch_size),
        "norm batch": Arm(ghost, batch_size),
        "micro-batch loop": Arm(replace(ghost, max_micro_batch=norm), batch_size),
        "SAM": Arm(replace(plain, gradient=SAM()), batch_size),
        "SAM every 10": Arm(replace(plain, gradient=SAM(every=10)), batch_size),
        "accumulated": Arm(replace(ghost, max_micro_batch=quarter), batch_size),
        "small batches": Arm(ghost, quarter),
        "noise measured": Arm(replace(ghost, scaling=AdaScale()), batch_size),
    }


PAIRS = {
    "norm_batch_cost": ("norm batch", "plain"),
    "norm_batch_vs_loop": ("micro-batch loop", "norm batch"),
    "sam_cost": ("SAM", "plain"),
    "sam_every_10_cost": ("SAM every 10", "plain"),
    "accumulation_cost": ("accumulated", "small batches"),
    "noise_cost": ("noise measured", "norm batch"),
}


def compare(above: Run, below: Run, pairs: int, clock: Callable[[], float]) -> tuple[list[float], list[float]]:
    """The seconds per epoch of two runs that train alternately.

    The order within a pair alternates too. The first pair is a warm-up and is not counted.
    """
    seconds: tuple[list[float], list[float]] = ([], [])
    for pair in range(pairs + 1):
        for which in (0, 1) if pair % 2 else (1, 0):
            start = clock()
            (above, below)[which].train_epoch()
            if pair:
                seconds[which].append(clock() - start)
    return seconds


def main() -> None:
    parser = benchmark_parser(__doc__, "two rounds of a smaller network")
    options = parser.parse_args()
    gpu = torch.cuda.is_available()
    device = torch.device("cuda" if gpu else "cpu")
    batch_size, norm = (4096, 32) if gpu else (32, 4) if options.quick else (128, 32)
    torch.set_num_threads(1)
    model = ResNet18() if gpu else ResNet8(width=2 if options.quick else 16)
    task = Task(model, RandomImages(train_samples=BATCHES * batch_size), epochs=1000)
    images = task.data.load(Path()).to(device)
    runs = {
        name: Run(task, arm.recipe, images, arm.batch_size, learning_rate=0.001, seed=0)
        for name, arm in arms(batch_size, norm).items()
    }
    clock = time.perf_counter if gpu else time.process_time
    ratios, raw = {}, {}
    for name, (above, below) in PAIRS.items():
        both = compare(runs[above], runs[below], pairs=3 if options.quick else 15, clock=clock)
        ratios[name] = median(a / b for a, b in zip(*both, strict=True))
        raw |= {f"{name}: {arm}": seconds for arm, seconds in zip((above, below), both, strict=True)}
    show(ratios, raw, options.json)


if __name__ == "__main__":
    main()
