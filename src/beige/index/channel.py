"""A bounded queue between two threads, whose load is measured in characters and which either side can break off."""

import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

Item = TypeVar("Item")

SLICE = 0.5
"""Seconds after which whoever waits looks whether it was interrupted."""


class Channel(Generic[Item]):
    """Items with a weight each, taken in the order in which they were given.

    Args:
        limit: the most weight that waits; a heavier item passes alone.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._items: deque[tuple[Item, int]] = deque()
        self._load = 0
        self._closed = False
        self._error: BaseException | None = None
        self._changed = threading.Condition()

    def give(self, item: Item, weight: int) -> None:
        """Wait until there is room, then add an item.

        Raises:
            BaseException: what the channel was broken off with.
        """
        with self._changed:
            self._wait(lambda: bool(self._error) or not self._items or self._load + weight <= self._limit)
            self._check()
            self._items.append((item, weight))
            self._load += weight
            self._changed.notify_all()

    def take(self, weight: int = 0, patience: float = 0) -> list[Item]:
        """Wait for an item, then take it and those that follow it, together no heavier than this weight.

        Args:
            weight: what to take at most; the first item is taken in any case.
            patience: seconds to wait for the whole weight once there is an item.

        Returns:
            The items; none when the channel is closed and empty.

        Raises:
            BaseException: what the channel was broken off with.
        """
        with self._changed:
            self._wait(lambda: bool(self._error or self._items) or self._closed)
            self._changed.wait_for(lambda: self._error or self._closed or self._load >= weight, timeout=patience)
            self._check()
            taken: list[Item] = []
            while self._items and (not taken or self._items[0][1] <= weight):
                item, size = self._items.popleft()
                taken.append(item)
                weight -= size
                self._load -= size
            self._changed.notify_all()
            return taken

    def close(self) -> None:
        """Say that no more items come."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def fail(self, error: BaseException) -> None:
        """Break off: both sides get the first error that was given here, and what waits is dropped."""
        with self._changed:
            self._error = self._error or error
            self._items.clear()
            self._load = 0
            self._changed.notify_all()

    def __iter__(self) -> Iterator[Item]:
        while taken := self.take():
            yield from taken

    def _wait(self, holds: Callable[[], bool]) -> None:
        """Wait in slices: a signal that comes just before the main thread sleeps, or to another, does not wake it."""
        while not self._changed.wait_for(holds, timeout=SLICE):
            pass

    def _check(self) -> None:
        if self._error:
            raise self._error
