"""Numbered orders in, results by number out."""

import asyncio
from typing import Any

from trainables.on_ray.orders import Failure, Order


class Mailbox:
    """The actor between a group's owner and its workers: numbered orders in, results by number out.

    An order stays until every worker has taken it: the first worker's result lets the owner post the next one while
    another worker may not have asked for this one yet.
    """

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._orders: dict[int, Order] = {}
        self._taken: dict[int, int] = {}
        self._results: dict[int, Any] = {}
        self._changed = asyncio.Condition()

    async def post(self, number: int, order: Order) -> None:
        async with self._changed:
            self._orders[number] = order
            self._results.clear()
            self._changed.notify_all()

    async def order(self, number: int) -> Order:
        """The order of that number, as soon as it is there."""
        async with self._changed:
            await self._changed.wait_for(lambda: number in self._orders)
            self._taken[number] = self._taken.get(number, 0) + 1
            if self._taken[number] < self._workers:
                return self._orders[number]
            del self._taken[number]
            return self._orders.pop(number)

    async def deliver(self, number: int, result: Any) -> None:
        """Keep a result; a failure is not overwritten."""
        async with self._changed:
            if not isinstance(self._results.get(number), Failure):
                self._results[number] = result
            self._changed.notify_all()

    async def result(self, number: int) -> Any:
        """The result of that number, as soon as it is there."""
        async with self._changed:
            await self._changed.wait_for(lambda: number in self._results)
            return self._results[number]
