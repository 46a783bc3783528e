"""Loading on threads, one batch ahead."""

import os
from collections.abc import Callable, Hashable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Item = TypeVar("Item")


class LookAhead(Generic[Key, Item]):
    """Loads a batch's items, and in the background those of the batch that is expected next.

    An expectation that does not come true costs its work and nothing else: items are found again by their keys.

    Args:
        load: makes one item; called on several threads at once.
    """

    def __init__(self, load: Callable[[Key], Item]) -> None:
        self._load = load
        self._pool = ThreadPoolExecutor(os.cpu_count())
        self._coming: dict[Key, Future[Item]] = {}

    def take(self, wanted: Iterable[Key], expected: Iterable[Key]) -> list[Item]:
        """The wanted items; begins to load the expected ones."""
        ready = [self._coming.pop(key) if key in self._coming else self._submit(key) for key in wanted]
        for stale in self._coming.values():
            stale.cancel()
        self._coming = {key: self._submit(key) for key in expected}
        return [each.result() for each in ready]

    def _submit(self, key: Key) -> Future[Item]:
        return self._pool.submit(self._load, key)
