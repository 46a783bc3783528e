"""How fast is one exchange of all gradients, compared with the overlapping buckets of DistributedDataParallel?

    python -m benchmarks.exchange            # about a minute on 2 cores

Two gloo workers on the CPU compute gradients of batches of random images, alternately in this project's way and in
PyTorch's. The ratio is the median over the pairs.

    exchange_vs_ddp         seconds of a gradient with one exchange, divided by those with DistributedDataParallel
"""

import os
import tempfile
import time
from pathlib import Path
from statistics import median

import torch
import torch.distributed
import torch.multiprocessing
import torch.nn.functional as F
from torch.nn.parallel import DistributedDataParallel

from benchmarks.result import benchmark_parser, show
from trainables import Recipe, Task
from trainables.data import CIFAR10
from trainables.engine.batch_gradient import Batch, BatchGradient
from trainables.engine.run import prepared
from trainables.engine.workers import Workers
from trainables.layers.ghost_batch_norm import ghosts
from trainables.models import ResNet8

WORKERS = 2
SHARE = 64
"""Number of samples in a worker's share of a batch."""


def work(rank: int, folder: str, pairs: int, width: int) -> None:
    """Time both ways on one of the workers; the first worker saves its times to a file."""
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=WORKERS)
    torch.manual_seed(rank)
    inputs = torch.randn(SHARE, 3, 32, 32).contiguous(memory_format=torch.channels_last)
    labels = torch.randint(0, 10, (SHARE,))
    models = [prepared(ResNet8(width=width)(), torch.device("cpu"), torch.float32) for _ in range(2)]
    task = Task(ResNet8(width=width), CIFAR10(), epochs=1)
    gradient = BatchGradient(models[0], task, Recipe(norm_batch_size=SHARE), Workers(rank, WORKERS), parts=0)
    parallel = DistributedDataParallel(models[1], forward_sync_buffers=False)

    def ours() -> None:
        gradient.load(Batch(labels, labels.int(), lambda _: (inputs, labels)))
        gradient()
        gradient.settle()

    def theirs() -> None:
        parallel.zero_grad(set_to_none=True)
        F.cross_entropy(parallel(inputs), labels).backward()
        for layer in ghosts(models[1]):
            layer.settle(WORKERS)

    seconds: dict[str, list[float]] = {"one exchange": [], "DistributedDataParallel": []}
    for pair in range(pairs + 1):
        for name, step in zip(seconds, (ours, theirs), strict=True):
            torch.distributed.barrier()
            start = time.perf_counter()
            for _ in range(5):
                step()
            if pair:
                seconds[name].append(time.perf_counter() - start)
    if rank == 0:
        torch.save(seconds, f"{folder}/seconds.pt")
    torch.distributed.barrier()
    os._exit(0)  # the interpreter's normal exit is sometimes aborted by gloo's threads


def main() -> None:
    parser = benchmark_parser(__doc__, "three pairs of a smaller network")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        arguments = (folder, *((3, 2) if options.quick else (30, 16)))
        torch.multiprocessing.spawn(work, arguments, nprocs=WORKERS)
        seconds = torch.load(Path(folder) / "seconds.pt")
    ratio = median(a / b for a, b in zip(*seconds.values(), strict=True))
    show({"exchange_vs_ddp": ratio}, seconds, options.json)


if __name__ == "__main__":
    main()
