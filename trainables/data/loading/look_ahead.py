"""Loading of items on threads, one batch before they are used."""

import os
from collections.abc import Callable, Hashable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Item = TypeVar("Item")


class LookAhead(Generic[Key, Item]):
    """Loads a batch's items and, in the background, those of the batch that is expected next.

    A wrong expectation only wastes the work of loading, because items are looked up by their keys.

    Args:
        load: a function that loads one item; it is called on several threads at once.
    """

    def __init__(self, load: Callable[[Key], Item]) -> None:
        self._load = load
        self._pool = ThreadPoolExecutor(os.cpu_count())
        self._coming: dict[Key, Future[Item]] = {}

    def take(self, wanted: Iterable[Key], expected: Iterable[Key]) -> list[Item]:
        """Return the wanted items, and start to load the expected ones."""
        ready = [self._coming.pop(key) if key in self._coming else self._submit(key) for key in wanted]
        for stale in self._coming.values():
            stale.cancel()
        self._coming = {key: self._submit(key) for key in expected}
        return [each.result() for each in ready]

    def _submit(self, key: Key) -> Future[Item]:
        return self._pool.submit(self._load, key)
