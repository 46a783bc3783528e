"""How long does an order take to reach every worker of a group, by how many there are?

    python -m benchmarks.mailbox                 # up to 1,000 workers, simulated; 2 minutes

Clients in a few processes ask a real mailbox for orders as workers do, each many at a time, and the first one delivers
an answer. Nothing is trained: what is timed is what an epoch costs besides.
"""

import asyncio
import time
from statistics import median

import ray
from ray.actor import ActorHandle

from benchmarks.result import benchmark_parser, show
from trainables.on_ray.mailbox import Mailbox
from trainables.on_ray.orders import TrainEpoch

PROCESSES = 4
ORDERS = 20


@ray.remote(num_cpus=0)
class Clients:
    """So many workers, as far as a mailbox can tell."""

    async def work(self, mailbox: ActorHandle, ranks: list[int]) -> None:
        await asyncio.gather(*(self._work(mailbox, rank) for rank in ranks))

    async def _work(self, mailbox: ActorHandle, rank: int) -> None:
        for number in range(1, 1 + ORDERS):
            await mailbox.order.remote(number)
            if rank == 0:
                await mailbox.deliver.remote(number, number)


def seconds_per_order(workers: int) -> list[float]:
    """The seconds from posting an order to its answer, in a group of so many workers."""
    mailbox = ray.remote(num_cpus=0, max_concurrency=2 * workers + 2)(Mailbox).remote(workers)
    clients = [Clients.options(max_concurrency=2).remote() for _ in range(PROCESSES)]
    working = [each.work.remote(mailbox, list(range(first, workers, PROCESSES))) for first, each in enumerate(clients)]
    seconds = []
    for number in range(1, 1 + ORDERS):
        begun = time.perf_counter()
        ray.get(mailbox.post.remote(number, TrainEpoch()))
        ray.get(mailbox.result.remote(number))
        seconds.append(time.perf_counter() - begun)
    begun = time.perf_counter()
    ray.get(working)
    seconds.append(time.perf_counter() - begun)  # the last order, until it has reached all
    for each in (mailbox, *clients):
        ray.kill(each)
    return seconds[1:]


def main() -> None:
    parser = benchmark_parser(__doc__, "up to 16 workers")
    options = parser.parse_args()
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    sizes = (1, 16) if options.quick else (1, 10, 100, 1000)
    raw = {f"{size} workers": seconds_per_order(size) for size in sizes}
    ray.shutdown()
    first, last = (raw[f"{size} workers"] for size in (sizes[0], sizes[-1]))
    show({"most_vs_one": median(last) / median(first)}, raw, options.json)


if __name__ == "__main__":
    main()
