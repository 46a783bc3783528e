"""The mailbox of a worker group, for numbered orders and their results."""

import asyncio
from typing import Any

from ray.actor import ActorHandle

from trainables.on_ray.orders import Failure, Order


class Mailbox:
    """The actor between a group's owner, who posts numbered orders, and its workers, who deliver their results.

    An order stays until every worker has taken it. When the first worker has delivered its result, the owner may post
    the next order while another worker has not yet asked for this one.
    """

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._orders: dict[int, Order] = {}
        self._taken: dict[int, int] = {}
        self._results: dict[int, Any] = {}
        self._enlisted: list[ActorHandle] = []
        self._changed = asyncio.Condition()

    async def enlist(self, worker: ActorHandle) -> None:
        """Note a worker's actor, so that the owner can end it."""
        self._enlisted.append(worker)

    async def enlisted(self) -> list[ActorHandle]:
        return self._enlisted

    async def post(self, number: int, order: Order) -> None:
        async with self._changed:
            self._orders[number] = order
            self._results.clear()
            self._changed.notify_all()

    async def order(self, number: int) -> Order:
        """The order with this number; the call waits until the order is there."""
        async with self._changed:
            await self._changed.wait_for(lambda: number in self._orders)
            self._taken[number] = self._taken.get(number, 0) + 1
            if self._taken[number] < self._workers:
                return self._orders[number]
            del self._taken[number]
            return self._orders.pop(number)

    async def deliver(self, number: int, result: Any) -> None:
        """Keep a result; a failure that is already there is not overwritten."""
        async with self._changed:
            if not isinstance(self._results.get(number), Failure):
                self._results[number] = result
            self._changed.notify_all()

    async def result(self, number: int) -> Any:
        """The result of the order with this number; the call waits until the result is there."""
        async with self._changed:
            await self._changed.wait_for(lambda: number in self._results)
            return self._results[number]
