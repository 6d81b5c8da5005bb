"""Keeping the caches up to date: in a thread of its own, while others search and write.

A cache is written from a transaction that reads, which sees the index as it was when it began; what is committed
meanwhile is the tail of the new cache. So writing goes on, and waits only where the tail would grow beyond bounds.
"""

import atexit
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

from beige.errors import StoreError
from beige.index.database import Change, Reading
from beige.index.leg_cache import LegCache

_BOUND = 8
"""Times the rows at which a merge is due, past which writers wait for it: searches read the tail from memory."""

_SHARE = 4
"""Times as long as a merge took until the next one, unless the tail is half way to its bound."""


class Compaction:
    """The caches of an index that is written to; used by several threads.

    Args:
        legs: by name.
        reading: begins a transaction that reads.
        forget: drops the history before a change, which all caches hold now.
        tail_rows: changed rows past which the caches are merged, or a sixteenth of the index where that is more, up
            to five times this: the work of merging stays a small part of indexing, and so does reading the tail.
        notice: told, in a sentence, when the caches cannot be written.
    """

    def __init__(
        self,
        legs: Mapping[str, LegCache[Any, Any]],
        reading: Callable[[], AbstractContextManager[Reading]],
        forget: Callable[[Change], None],
        *,
        tail_rows: int,
        notice: Callable[[str], None],
    ) -> None:
        self._legs = legs
        self._reading = reading
        self._forget = forget
        self._tail_rows = tail_rows
        self._notice = notice
        self._working = threading.Lock()
        self._state = threading.Condition()  # guards what follows
        self._thread: threading.Thread | None = None
        self._stopping = False
        self._error: BaseException | None = None
        self._merged = self._head = Change()
        self._patience = tail_rows
        self._grown = 0  # the last chunk that every leg has prepared for
        self._next = 0.0  # when a merge is due again, on the monotonic clock

    def begin(self, merged: Change) -> None:
        """Take up from the last change that all caches hold."""
        with self._reading() as reading:
            self._settle(merged, reading)

    def note(self, head: Change) -> None:
        """Hear of a change that was committed."""
        with self._state:
            self._head = head
            if self._thread is None and not self._stopping:
                self._thread = threading.Thread(target=self._run, name="beige-merge", daemon=True)
                self._thread.start()
                atexit.register(self.stop)  # a thread that is at work while the process ends can crash it
            self._state.notify_all()

    def make_room(self) -> None:
        """Wait until the tail is within bounds.

        Raises:
            BaseException: what the thread failed with.
        """
        with self._state:
            self._state.wait_for(lambda: self._error or self._stopping or self._pending() <= _BOUND * self._patience)
            if self._error:
                raise self._error

    def merge(self) -> None:
        """Write all caches anew, now, and forget the history that they make needless.

        Raises:
            StoreError: the disk is full.
        """
        with self._working:
            started = time.monotonic()
            self._grow_to(self._head)  # outside of the transaction that follows, which keeps the database's log growing
            with self._reading() as reading:
                head = reading.head()
                for cache in self._legs.values():
                    cache.merge(reading)
                self._settle(head, reading)
            self._forget(head)
            self._grown = 0  # a leg may have begun something
            self._next = time.monotonic() + _SHARE * (time.monotonic() - started)

    def try_merge(self) -> None:
        """Merge where anything changed; where that cannot be done, say so and go on."""
        if not self._pending():
            return
        try:
            self.merge()
        except StoreError as error:
            # What was stored is safe: only the caches are older than they could be. The next try is a tail away.
            with self._state:
                self._patience = self._pending() + self._tail_rows
                self._state.notify_all()
            self._notice(f"the caches could not be brought up to date, searches read the database instead: {error}")

    def stop(self) -> None:
        """End the thread, once it is done with what it is at."""
        with self._state:
            self._stopping = True
            self._state.notify_all()
            thread = self._thread
        if thread is not None:
            thread.join()
            atexit.unregister(self.stop)

    def _run(self) -> None:
        try:
            while self._awaited():
                if self._due():
                    self.try_merge()
                else:
                    with self._working:
                        self._grow()
        except BaseException as error:
            with self._state:
                self._error = error
                self._state.notify_all()

    def _awaited(self) -> bool:
        """Wait for something to do; whether there is."""
        with self._state:
            while not self._stopping and self._grown >= self._head.added and not self._due():
                overdue = self._pending() > self._patience
                self._state.wait(max(0.0, self._next - time.monotonic()) if overdue else None)
            return not self._stopping

    def _due(self) -> bool:
        pending = self._pending()
        soon = time.monotonic() >= self._next or 2 * pending > _BOUND * self._patience
        return pending > self._patience and soon

    def _grow(self) -> None:
        """Have the legs prepare for some of what is new."""
        # Most of it out of the transaction: the database's log cannot begin anew while one reads.
        with self._reading() as reading:
            steps = [cache.kind.grow(reading) for cache in self._legs.values()]
        self._grown = min(step() for step in steps)

    def _grow_to(self, head: Change) -> None:
        while self._grown < head.added:
            self._grow()

    def _settle(self, merged: Change, reading: Reading) -> None:
        head, chunks = reading.head(), reading.count()[1]
        with self._state:
            self._merged, self._head = merged, max(head, self._head, key=lambda change: change.number)
            self._patience = min(max(self._tail_rows, chunks // 16), 5 * self._tail_rows)
            self._state.notify_all()

    def _pending(self) -> int:
        """Rows that changed since the caches were written."""
        return (self._head.added - self._merged.added) + (self._head.removed - self._merged.removed)
