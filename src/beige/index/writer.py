"""The one writer of an embedded index."""

import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from beige.documents.chunk import Document
from beige.index.cache_file import DamagedCacheError, unfinished
from beige.index.compaction import Compaction
from beige.index.connection import Pool, explained
from beige.index.database import Change, Reading
from beige.index.leg_cache import Encodes, LegCache
from beige.index.manifest import Manifest
from beige.index.store import Entry, Part, parts_of
from beige.index.writing import Writing

_Encoded = tuple[int, list[list[bytes]]]
"""A part of a document's vectors as it is stored: the position of its first chunk, and for each leg one a chunk."""


class Writer:
    """Changes an index; used by several threads, one at a time.

    Args:
        folder: of the index.
        connection: to its database, of nobody else.
        pool: of reading connections.
        kinds: of the legs by name, in the manifest's order.
        legs: the caches of those that have one, by name.
        dimensions: of each dense leg, None for others.
        tail_rows: changed rows past which the caches are merged; `Compaction` says more.
        notice: told, in a sentence, what was wrong with a cache.
    """

    def __init__(
        self,
        folder: Path,
        connection: sqlite3.Connection,
        pool: Pool,
        *,
        kinds: Mapping[str, Encodes],
        legs: Mapping[str, LegCache[Any, Any]],
        dimensions: Sequence[int | None],
        tail_rows: int,
        notice: Callable[[str], None],
    ) -> None:
        self._folder = folder
        self._connection = connection
        self._pool = pool
        self._kinds = kinds
        self._legs = legs
        self._dimensions = dimensions
        self._notice = notice
        self._lock = threading.RLock()
        self._compaction = Compaction(legs, self._reading, self._forget, tail_rows=tail_rows, notice=notice)

    def upsert(self, entries: Sequence[Entry]) -> None:
        """Store documents, each replacing the one of the same source, in one transaction."""
        encoded = [list(self._encoded(entry.document, [entry.vectors])) for entry in entries]
        with self._change() as writing:
            for entry, parts in zip(entries, encoded, strict=True):
                _store(writing, entry.document, parts)

    def upsert_in_parts(self, document: Document, parts: Iterable[Part]) -> None:
        """Store a document, part by part, in one transaction."""
        with self._change() as writing:
            _store(writing, document, self._encoded(document, parts))

    def delete(self, sources: Sequence[str]) -> int:
        """Forget documents, in one transaction; returns how many there were."""
        with self._change() as writing:
            return sum(writing.delete(source) for source in sources)

    def expire(self, sources: Sequence[str], when: float | None) -> None:
        """Set when documents expire, in one transaction."""
        with self._transaction() as writing:
            writing.expire(sources, when)

    def remove_expired(self) -> int:
        """Forget what has expired; returns how many documents it was."""
        gone = 0
        while overdue := self._overdue():
            gone += self.delete(overdue)
        return gone

    def describe(self, manifest: Manifest) -> None:
        """Store the manifest."""
        with self._transaction() as writing:
            writing.describe(manifest)

    def merge(self) -> None:
        """Write all caches anew and forget the history that they make needless."""
        self.remove_expired()
        self._compaction.merge()

    def recover(self) -> None:
        """Take up where the last writer left, however it ended."""
        broken, other = [], False
        with explained(self._folder), self._reading() as reading:
            for cache in self._legs.values():
                for path in unfinished(cache.path):
                    path.unlink(missing_ok=True)
            head = merged = reading.head()
            for cache in self._legs.values():
                try:
                    part, change = cache.base(reading)
                    other |= not cache.kind.keeps(part)
                    merged = min(merged, change, key=lambda change: change.number)
                except FileNotFoundError:
                    broken.append(f"the cache of leg {cache.name!r} was missing and has been rebuilt")
                except DamagedCacheError:
                    broken.append(f"the cache of leg {cache.name!r} was damaged and has been rebuilt")
        self._compaction.begin(merged)
        if broken or other:
            self.merge()
        elif merged != head:
            self._compaction.note(head)
        for sentence in broken:
            self._notice(sentence)

    def finish(self, *, merge: bool) -> None:
        """Merge what is left, if wanted, and empty the database's log."""
        self._compaction.stop()
        if merge:
            self._compaction.try_merge()
        with self._lock, suppress(sqlite3.OperationalError):
            # For want of space a log cannot be written into the database: it stays, and is as durable and readable.
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    @contextmanager
    def _change(self) -> Iterator[Writing]:
        self._compaction.make_room()
        with self._lock:
            with self._transaction() as writing:
                yield writing
                writing.note_change()
                head = writing.head()
            self._compaction.note(head)

    def _forget(self, before: Change) -> None:
        with self._transaction() as writing:
            writing.forget_history(before)

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

    def _overdue(self) -> list[str]:
        with self._reading() as reading:
            return reading.overdue()

    def _encoded(self, document: Document, parts: Iterable[Part]) -> Iterator[_Encoded]:
        for first, part in parts_of(document, parts, self._kinds):
            yield first, [kind.encode(part[name], document.source) for name, kind in self._kinds.items()]


def _store(writing: Writing, document: Document, parts: Iterable[_Encoded]) -> None:
    writing.delete(document.source)
    chunk = writing.insert(document)
    for first, vectors in parts:
        writing.insert_vectors(chunk + first, vectors)
