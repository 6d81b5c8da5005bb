"""The one writer of an embedded index: transactions, and when caches are merged."""

import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from beige.errors import StoreError
from beige.index.cache_file import DamagedCacheError, unfinished
from beige.index.connection import Pool, explained
from beige.index.database import Change, Reading, Writing
from beige.index.leg_cache import LegCache
from beige.index.manifest import Manifest
from beige.index.store import Entry


class Writer:
    """Changes an index; used by several threads, one at a time.

    Args:
        folder: of the index.
        connection: to its database, of nobody else.
        pool: of reading connections.
        legs: by name, in the manifest's order.
        dimensions: of each leg, None for a sparse one.
        tail_rows: changed rows past which the caches are merged, or a sixteenth of the index where that is more, up
            to five times this: the work of merging stays a small part of indexing, and so does reading the tail.
        notice: told, in a sentence, what was wrong with a cache.
    """

    def __init__(
        self,
        folder: Path,
        connection: sqlite3.Connection,
        pool: Pool,
        legs: Mapping[str, LegCache[Any, Any]],
        dimensions: Sequence[int | None],
        *,
        tail_rows: int,
        notice: Callable[[str], None],
    ) -> None:
        self._folder = folder
        self._connection = connection
        self._pool = pool
        self._legs = legs
        self._dimensions = dimensions
        self._tail_rows = tail_rows
        self._notice = notice
        self._lock = threading.RLock()
        self._merged = self._head = Change()
        self._patience = tail_rows

    def upsert(self, entries: Sequence[Entry]) -> None:
        """Store documents, each replacing the one of the same source, in one transaction."""
        encoded = [self._encode(entry) for entry in entries]
        with self._lock:
            with self._transaction() as writing:
                for entry, vectors in zip(entries, encoded, strict=True):
                    writing.delete(entry.document.source)
                    writing.insert(entry.document, vectors)
                writing.note_change()
            self._after_change(sum(len(entry.document.chunks) for entry in entries))

    def delete(self, sources: Sequence[str]) -> int:
        """Forget documents, in one transaction; returns how many there were."""
        with self._lock:
            with self._transaction() as writing:
                gone = sum(writing.delete(source) for source in sources)
                writing.note_change()
            self._after_change(0)
        return gone

    def describe(self, manifest: Manifest) -> None:
        """Store the manifest."""
        with self._transaction() as writing:
            writing.describe(manifest)

    def merge(self) -> None:
        """Write all caches anew and forget the history that they make needless."""
        with self._lock, explained(self._folder):
            with self._reading() as reading:
                head = reading.head()
                for cache in self._legs.values():
                    cache.merge(reading)
                self._settle(head, reading)
            with self._transaction() as writing:
                writing.forget_history(head)

    def recover(self) -> None:
        """Take up where the last writer left, however it ended."""
        broken = []
        with explained(self._folder), self._reading() as reading:
            for cache in self._legs.values():
                for path in unfinished(cache.path):
                    path.unlink(missing_ok=True)
            merged = reading.head()
            for cache in self._legs.values():
                try:
                    _, change = cache.base(reading)
                    merged = min(merged, change, key=lambda change: change.number)
                except FileNotFoundError:
                    broken.append(f"the cache of leg {cache.name!r} was missing and has been rebuilt")
                except DamagedCacheError:
                    broken.append(f"the cache of leg {cache.name!r} was damaged and has been rebuilt")
            self._settle(merged, reading)
        if broken or self._pending() > self._patience:
            self.merge()
        for sentence in broken:
            self._notice(sentence)

    def finish(self) -> None:
        """Merge what is left, and empty the database's log."""
        with self._lock:
            if self._pending():
                self._try_merge()
            # For want of space a log cannot be written into the database: it stays, and is as durable and readable.
            with suppress(sqlite3.OperationalError):
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    @contextmanager
    def _transaction(self) -> Iterator[Writing]:
        with self._lock, explained(self._folder):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield Writing(self._connection, self._dimensions)
                self._connection.execute("COMMIT")
            except BaseException:
                self._connection.rollback()
                raise

    @contextmanager
    def _reading(self) -> Iterator[Reading]:
        with explained(self._folder), self._pool.reading() as reading:
            yield reading

    def _encode(self, entry: Entry) -> list[list[bytes]]:
        source, chunks = entry.document.source, len(entry.document.chunks)
        if set(entry.vectors) != set(self._legs):
            raise StoreError(f"{source} has vectors for {sorted(entry.vectors)}, the index needs {sorted(self._legs)}")
        if any(len(vectors) != chunks for vectors in entry.vectors.values()):
            raise StoreError(f"{source} has {chunks} chunks and needs as many vectors in each leg")
        return [cache.kind.encode(entry.vectors[name], source) for name, cache in self._legs.items()]

    def _after_change(self, chunks: int) -> None:
        with self._reading() as reading:
            self._head = reading.head()
            for cache in self._legs.values():
                cache.kind.grow(reading, chunks)
        if self._pending() > self._patience:
            self._try_merge()

    def _settle(self, merged: Change, reading: Reading) -> None:
        self._merged, self._head = merged, reading.head()
        self._patience = min(max(self._tail_rows, reading.count()[1] // 16), 5 * self._tail_rows)

    def _pending(self) -> int:
        """Rows that changed since the caches were written."""
        return (self._head.added - self._merged.added) + (self._head.removed - self._merged.removed)

    def _try_merge(self) -> None:
        try:
            self.merge()
        except StoreError as error:
            # What was stored is safe: only the caches are older than they could be. The next try is a tail away.
            self._patience = self._pending() + self._tail_rows
            self._notice(f"the caches could not be brought up to date, searches read the database instead: {error}")
