"""A thread that reads texts for the event loop: what came together is read in one go."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

TOGETHER = 1 << 13
"""Tokens, estimated, that are read in one go; the results of all of them come back at once."""

_T = TypeVar("_T")


@dataclass(frozen=True, eq=False, slots=True)
class _Work:
    tokens: int
    read: Callable[[], Any]
    done: "asyncio.Future[Any]"


class Reader:
    """Reads on one thread.

    To hand work to a thread and its result back costs as much as to read a short text: requests that came while the
    thread was busy, or in the same turn of the loop, go over together.

    Args:
        name: of the thread.

    Attributes:
        tokens: estimated, of what is not read yet.
    """

    def __init__(self, name: str) -> None:
        self.tokens = 0
        self._waiting: deque[_Work] = deque()
        self._running = False
        self._thread = ThreadPoolExecutor(1, name)

    async def read(self, tokens: int, read: Callable[[], _T]) -> _T:
        """What `read` gives on the thread, or raises there.

        Args:
            tokens: about how many it reads.
            read: the work.
        """
        loop = asyncio.get_running_loop()
        done: asyncio.Future[_T] = loop.create_future()
        self._waiting.append(_Work(tokens, read, done))
        self.tokens += tokens
        if not self._running:
            self._running = True
            loop.call_soon(self._go)
        try:
            return await done
        finally:
            self.tokens -= tokens

    def close(self) -> None:
        """Take nothing more."""
        self._thread.shutdown(wait=False)

    def _go(self) -> None:
        taken: list[_Work] = []
        tokens = 0
        while self._waiting and tokens < TOGETHER:
            work = self._waiting.popleft()
            if not work.done.done():  # else nobody waits for it any more
                taken.append(work)
                tokens += work.tokens
        self._running = bool(taken)
        if taken:
            landing = asyncio.get_running_loop().run_in_executor(self._thread, _all, [work.read for work in taken])
            landing.add_done_callback(partial(self._land, taken))

    def _land(self, taken: Sequence[_Work], landing: "asyncio.Future[list[tuple[Any, BaseException | None]]]") -> None:
        for work, (result, error) in zip(taken, landing.result(), strict=True):
            if work.done.done():
                continue
            if error is None:
                work.done.set_result(result)
            else:
                work.done.set_exception(error)
        self._go()


def _all(reads: Sequence[Callable[[], Any]]) -> list[tuple[Any, BaseException | None]]:
    """Each one's result, or what it raised."""
    return [_one(read) for read in reads]


def _one(read: Callable[[], Any]) -> tuple[Any, BaseException | None]:
    try:
        return read(), None
    except Exception as error:
        return None, error
