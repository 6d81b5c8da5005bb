"""The embedded store: one SQLite database that is the truth, and a cache for each leg beside it."""

import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import numpy as np

from beige.errors import StoreError
from beige.index import creation, schema
from beige.index.cache_file import DamagedCacheError
from beige.index.codec import decode_dense
from beige.index.connection import Pool, connect, explained
from beige.index.database import Change, Reading, Writing, paged
from beige.index.dense_leg import DenseLeg
from beige.index.leg_cache import Kind, LegCache
from beige.index.lock import WriteLock
from beige.index.manifest import Leg, Manifest
from beige.index.ranking import rank
from beige.index.sparse_leg import SparseLeg
from beige.index.store import Entry, Ids, Passage, Ranking, Stored
from beige.index.view import View
from beige.values import Floats, Sparse

DATABASE, LOCK, CACHE = "index.sqlite", "lock", ".cache"

EXACT_ROWS = 20_000
"""Dense vectors that are scanned exactly; above, a graph serves."""

TAIL_ROWS = 2_000
"""Changed rows past which the writer merges, or a sixteenth of the index where that is more, up to five times this."""


class SqliteStore:
    """An index in a folder; one process writes, any number read, several threads use one object.

    Attributes:
        folder: where it is.
        manifest: what it says of itself.
        notices: sentences on what was found damaged, and what was done about it.
    """

    def __init__(self, folder: Path, lock: WriteLock | None, exact_rows: int, tail_rows: int) -> None:
        """Use `create` or `open`."""
        self.folder = folder
        self.notices: list[str] = []
        self._lock = lock
        self._writing = threading.RLock()
        self._tail_rows = tail_rows
        self._merged = self._head = Change()
        self._patience = tail_rows
        self._connection: sqlite3.Connection | None = None
        self._pool = Pool(folder / DATABASE)
        with explained(folder):
            with self._pool.connection() as connection:
                schema.check(connection, str(folder), write=lock is not None)
            if lock is not None:
                self._connection = connect(folder / DATABASE, write=True)
                with self._transaction():
                    schema.migrate(self._connection)
        with self._reading() as reading:
            self.manifest = reading.manifest()
        self._legs: dict[str, LegCache[Any, Any]] = {
            leg.name: LegCache(leg.name, folder / f"{leg.name}{CACHE}", _kind(number, leg, exact_rows), self._notice)
            for number, leg in enumerate(self.manifest.legs)
        }

    @classmethod
    def create(
        cls,
        folder: Path,
        manifest: Manifest,
        *,
        exact_rows: int = EXACT_ROWS,
        tail_rows: int = TAIL_ROWS,
    ) -> Self:
        """Make an empty index and open it for writing.

        Args:
            folder: made where it is not there.
            manifest: what the index says of itself.
            exact_rows: dense vectors that are scanned exactly; above, a graph serves.
            tail_rows: changed rows past which the writer merges.

        Raises:
            LockedError: another process writes to it.
            StoreError: there is an index already, or the folder cannot be written.
        """
        with explained(folder):
            folder.mkdir(parents=True, exist_ok=True)
            lock = WriteLock(folder / LOCK)
        try:
            with explained(folder):
                if (folder / DATABASE).exists():
                    raise StoreError(f"there is an index in {folder} already: add to it, or begin with --rebuild")
                creation.create(folder / DATABASE, manifest)
            store = cls(folder, lock, exact_rows, tail_rows)
        except BaseException:
            lock.release()
            raise
        store.merge()
        return store

    @classmethod
    def open(
        cls, folder: Path, *, write: bool = False, exact_rows: int = EXACT_ROWS, tail_rows: int = TAIL_ROWS
    ) -> Self:
        """Open the index of a folder.

        A writer rebuilds the caches that it finds missing or damaged, and says so in `notices`.

        Raises:
            LockedError: to be written, and another process writes to it.
            StoreError: the folder holds no index, or one that is damaged or of another version.
        """
        if not (folder / DATABASE).is_file():
            raise StoreError(f"there is no index in {folder}: make one with beige index PATH --index {folder}")
        if not write:
            return cls(folder, None, exact_rows, tail_rows)
        with explained(folder):
            lock = WriteLock(folder / LOCK)
        try:
            store = cls(folder, lock, exact_rows, tail_rows)
            store._recover()
        except BaseException:
            lock.release()
            raise
        return store

    def upsert(self, entries: Sequence[Entry]) -> None:
        """Store the documents, each replacing the one of the same source; durable and visible when this returns.

        Raises:
            StoreError: vectors that do not fit the index, a full disk, a damaged database; nothing was stored then.
        """
        encoded = [self._encode(entry) for entry in entries]
        with self._writing:
            with self._transaction() as writing:
                for entry, vectors in zip(entries, encoded, strict=True):
                    writing.delete(entry.document.source, len(self._legs))
                    writing.insert(entry.document, vectors)
                writing.note_change()
            self._after_change(sum(len(entry.document.chunks) for entry in entries))

    def delete(self, sources: Sequence[str]) -> int:
        """Forget these documents; returns how many there were."""
        with self._writing:
            with self._transaction() as writing:
                gone = sum(writing.delete(source, len(self._legs)) for source in sources)
                writing.note_change()
            self._after_change(0)
        return gone

    def top(self, leg: str, query: Floats | Sparse, k: int) -> Ranking:
        """The leg's k best chunks, best first, ties by source and position.

        A sparse leg gives only chunks that share an id with the query. Scores are exact also where a graph found the
        candidates.
        """
        with self._search(leg, query) as (reading, cache, view):
            ids, scores = cache.kind.candidates(view, query, k, reading)
            return rank(ids, scores, k, reading.places)

    def scores(self, leg: str, query: Floats | Sparse, ids: Ids) -> Floats:
        """The leg's score of each of these chunks, 0 where a sparse leg shares nothing, NaN where the chunk is gone."""
        with self._search(leg, query) as (reading, cache, view):
            blobs = reading.vectors_of(cache.kind.number, ids)
            found = cache.kind.scores(view, query, blobs)
        scores = dict(zip((chunk for chunk, _ in blobs), found.tolist(), strict=True))
        return np.array([scores.get(chunk, np.nan) for chunk in ids.tolist()], np.float32)

    def fetch(self, ids: Ids) -> list[Passage]:
        """These chunks, in the order asked for; one that is gone is left out."""
        with self._reading() as reading:
            return reading.passages(ids)

    def known(self, leg: str, keys: Sequence[str]) -> Mapping[str, Floats]:
        """Dense vectors (d,) of stored chunks by `Chunk.key`, for those of the keys that are stored."""
        dimension = self.manifest.leg(leg).dimension
        if dimension is None:
            raise StoreError(f"the leg {leg!r} has no dense vectors")
        with self._reading() as reading:
            found = reading.vectors_by_key(self._legs[leg].kind.number, keys)
        vectors = decode_dense(list(enumerate(found.values())), dimension).vectors
        return dict(zip(found, vectors, strict=True))

    def documents(self, prefix: str = "") -> Iterator[Stored]:
        """Every stored document whose source begins with the prefix, by source."""

        def page(after: str | None) -> list[Stored]:
            with self._reading() as reading:
                return reading.documents(after, prefix)

        return paged(page)

    def count(self) -> tuple[int, int]:
        """How many documents and chunks are stored."""
        with self._reading() as reading:
            return reading.count()

    def update_manifest(self, **changes: Any) -> None:
        """Replace values of the manifest; what the stored vectors depend on is fixed."""
        with self._writing:
            changed = self.manifest.changed(**changes)
            with self._transaction() as writing:
                writing.describe(changed)
            self.manifest = changed

    def reload_manifest(self) -> None:
        """Read the manifest again, of which another process or object may have updated values."""
        with self._reading() as reading:
            self.manifest = reading.manifest()

    def merge(self) -> None:
        """Fold what changed into new caches; searches go on with the old ones meanwhile.

        Raises:
            StoreError: the disk is full, or the index is open for reading only.
        """
        with self._writing, explained(self.folder):
            with self._reading() as reading:
                head, chunks = reading.head(), reading.count()[1]
                for cache in self._legs.values():
                    cache.merge(reading)
            with self._transaction() as writing:
                writing.forget_history(head)
            self._merged = self._head = head
            self._patience = min(max(self._tail_rows, chunks // 16), 5 * self._tail_rows)

    def close(self) -> None:
        """Let go of files and locks; what was upserted is already durable."""
        with self._writing:
            if self._connection is not None:
                if self._pending():
                    self._try_merge()
                with explained(self.folder):
                    self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                self._connection.close()
                self._connection = None
            self._pool.close()
            if self._lock is not None:
                self._lock.release()
                self._lock = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _notice(self, sentence: str) -> None:
        if sentence not in self.notices:
            self.notices.append(sentence)

    def _encode(self, entry: Entry) -> list[list[bytes]]:
        source, chunks = entry.document.source, len(entry.document.chunks)
        if set(entry.vectors) != set(self._legs):
            raise StoreError(
                f"{source} comes with vectors for {sorted(entry.vectors)}, the index has {sorted(self._legs)}"
            )
        if any(len(vectors) != chunks for vectors in entry.vectors.values()):
            raise StoreError(f"{source} has {chunks} chunks and needs as many vectors in each leg")
        return [cache.kind.encode(entry.vectors[name], source) for name, cache in self._legs.items()]

    @contextmanager
    def _reading(self) -> Iterator[Reading]:
        with explained(self.folder), self._pool.connection() as connection:
            connection.execute("BEGIN")
            yield Reading(connection)

    @contextmanager
    def _search(self, leg: str, query: Floats | Sparse) -> Iterator[tuple[Reading, LegCache[Any, Any], View[Any]]]:
        cache = self._legs[self.manifest.leg(leg).name]
        cache.kind.check(query)
        with self._reading() as reading:
            yield reading, cache, cache.view(reading)

    @contextmanager
    def _transaction(self) -> Iterator[Writing]:
        with self._writing, explained(self.folder):
            connection = self._connection
            if connection is None:
                raise StoreError(f"the index {self.folder} is not open for writing")
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield Writing(connection)
                connection.execute("COMMIT")
            except BaseException:
                connection.rollback()
                raise

    def _after_change(self, chunks: int) -> None:
        with self._reading() as reading:
            self._head = reading.head()
            for cache in self._legs.values():
                cache.kind.grow(reading, chunks)
        if self._pending() > self._patience:
            self._try_merge()

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

    def _recover(self) -> None:
        """Take up where the last writer left, however it ended."""
        for path in [*self.folder.glob(f"*{CACHE}.tmp"), *self.folder.glob(f"*{CACHE}.part*")]:
            path.unlink(missing_ok=True)
        broken = []
        with self._reading() as reading:
            head = reading.head()
            oldest = head
            for cache in self._legs.values():
                try:
                    oldest = min(oldest, cache.base(reading)[1], key=lambda change: change.number)
                except FileNotFoundError:
                    broken.append((cache, "missing"))
                except DamagedCacheError:
                    broken.append((cache, "damaged"))
        self._merged, self._head = oldest, head
        if broken or self._pending() > self._patience:
            self.merge()
        for cache, state in broken:
            self._notice(f"the cache of leg {cache.name!r} was {state} and has been rebuilt")


def _kind(number: int, leg: Leg, exact_rows: int) -> Kind[Any, Any]:
    return DenseLeg(number, leg, exact_rows) if leg.kind == "dense" else SparseLeg(number, leg)
