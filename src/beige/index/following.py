"""Keeping an index up to date with paths as they change."""

import threading
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from beige.documents.watching import Round, rounds
from beige.errors import InputError, LockedError
from beige.index.report import Change, Report

if TYPE_CHECKING:
    from beige.index.index import Index

IDLE = 20.0
"""Seconds without a change after which the caches are brought up to date: until then searches read what is new from the
database."""


class Following:
    """Follows paths for an index.

    Args:
        index: open.
        ttl: how long the documents are found, as for `Index.add`; each change of a file renews it.
        tell: called with each change once it is durable.
        done: called with what each round did.
        say: called with sentences on what it waits for.
    """

    def __init__(
        self,
        index: "Index",
        ttl: str | float | timedelta | None,
        tell: Callable[[Change], None],
        done: Callable[[Report], None],
        say: Callable[[str], None],
    ) -> None:
        self._index = index
        self._ttl = ttl
        self._tell = tell
        self._done = done
        self._say = say
        self._pending: set[Path] = set()
        self._merge_at: float | None = None  # while the caches are behind
        self._waiting = ""

    def run(self, paths: Sequence[str | Path], skip: Path | None, stop: threading.Event | None) -> None:
        """Follow the paths until `stop` is set; see `Index.watch`."""
        for told in rounds(paths, skip, stop):
            for path in sorted(told.missing):
                self._say(f"{path} is gone: its documents are kept, and followed again when it is back")
            # What lies beneath a path that is gone is not known to be gone itself.
            self._pending |= told.changed
            self._pending = {path for path in self._pending if not {path, *path.parents}.isdisjoint(told.paths)}
            try:
                self._round(told)
                self._waiting = ""
            except LockedError as error:
                if not self._waiting:
                    self._waiting = f"waiting: {error}"
                    self._say(self._waiting)

    def _round(self, told: Round) -> None:
        if self._pending:
            try:
                report = self._index.update(told.paths, self._pending, ttl=self._ttl, tell=self._tell)
            except InputError:
                return  # one of the paths has just gone: the next round knows
            self._pending.clear()
            self._merge_at = time.monotonic() + IDLE
            self._done(report)
        elif self._index.store.overdue() or (self._merge_at is not None and time.monotonic() > self._merge_at):
            self._index.merge()
            self._merge_at = None
