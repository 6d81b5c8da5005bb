"""The embedded store: one SQLite database that is the truth, and a cache for each leg beside it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self

import numpy as np

from beige.documents.chunk import Document
from beige.errors import StoreError
from beige.index import creation, schema
from beige.index.codec import decode_dense
from beige.index.connection import Pool, connect, explained, named
from beige.index.database import Change, Growth, Reading, paged
from beige.index.dense_leg import DenseLeg
from beige.index.filter import Filter, check_facet, checked
from beige.index.leg_cache import Kind, LegCache
from beige.index.lock import WriteLock
from beige.index.manifest import Leg, Manifest
from beige.index.multi_leg import MultiLeg
from beige.index.ranking import rank
from beige.index.selection import Selections
from beige.index.sparse_leg import SparseLeg
from beige.index.store import Entry, Ids, Part, Passage, Ranking, Stored, Vector
from beige.index.view import View
from beige.index.writer import Writer
from beige.values import Floats, Sparse

DATABASE, LOCK, CACHE = "index.sqlite", "lock", ".cache"

EXACT_ROWS = 20_000
"""Chunks whose dense vectors are scanned exactly; above, a graph serves."""

TAIL_ROWS = 2_000
"""Changed rows past which the writer merges; `Writer` says more."""


class SqliteStore:
    """An index in a folder; one process writes, any number read, several threads use one object.

    Attributes:
        folder: where it is.
        manifest: what it says of itself.
        notices: sentences on what was found damaged, and what was done about it.
    """

    def __init__(self, folder: Path, lock: WriteLock | None, exact_rows: int, tail_rows: int) -> None:
        """Use `create` or `open`; the lock, if there is one, is released by `close`, or when this fails."""
        self.folder = folder
        self.notices: list[str] = []
        self._writer: Writer | None = None
        self._samples: dict[tuple[str, int], tuple[Change, Floats]] = {}
        with ExitStack() as undo:
            if lock is not None:
                undo.callback(lock.release)
            with explained(folder):
                connection = connect(folder / DATABASE, write=lock is not None)
                undo.callback(connection.close)
                schema.prepare(connection, named(folder), write=lock is not None)
            # Closed before the writer's connection: the last one to close removes the database's log.
            self._pool = Pool(folder / DATABASE)
            undo.callback(self._pool.close)
            with self._reading() as reading:
                self.manifest = reading.manifest()
            self._kinds = {leg.name: _kind(n, leg, exact_rows) for n, leg in enumerate(self.manifest.legs)}
            self._legs: dict[str, LegCache[Any, Any]] = {
                name: LegCache(name, folder / f"{name}{CACHE}", kind, self._note)
                for name, kind in self._kinds.items()
                if not isinstance(kind, MultiLeg)
            }
            self._selections = Selections()
            if lock is None:
                connection.close()
            else:
                self._writer = Writer(
                    folder,
                    connection,
                    self._pool,
                    kinds=self._kinds,
                    legs=self._legs,
                    dimensions=[leg.dimension if leg.kind == "dense" else None for leg in self.manifest.legs],
                    tail_rows=tail_rows,
                    notice=self._note,
                )
                self._writer.recover()
                self._writer.remove_expired()
            self._undo = undo.pop_all()

    @property
    def replaced(self) -> bool:
        """Whether another index has taken this one's place."""
        return self._pool.replaced

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
                if (folder / DATABASE).exists():
                    raise StoreError(
                        f"there is an index in {named(folder)} already: add to it, or begin with --rebuild"
                    )
                creation.create(folder / DATABASE, manifest)
                for leg in manifest.legs:
                    (folder / f"{leg.name}{CACHE}").unlink(missing_ok=True)
            except BaseException:
                lock.release()
                raise
        store = cls(folder, lock, exact_rows, tail_rows)
        # The caches of an empty index: one that is missing later is lost. Recovery has just written and noted them.
        store.notices.clear()
        return store

    @classmethod
    def open(
        cls, folder: Path, *, write: bool = False, exact_rows: int = EXACT_ROWS, tail_rows: int = TAIL_ROWS
    ) -> Self:
        """Open the index of a folder.

        A writer rebuilds the caches that it finds missing or damaged, and says so in `notices`. It removes what has
        expired, now and whenever it merges. An index of an older version is upgraded, also where it is opened to be
        read.

        Raises:
            LockedError: to be written or upgraded, and another process writes to it.
            StoreError: the folder holds no index, or one that is damaged or of another version.
        """
        if not (folder / DATABASE).is_file():
            name = named(folder)
            raise StoreError(f"there is no index in {name}: make one with beige index PATH --index {name}")
        if not write:
            try:
                return cls(folder, None, exact_rows, tail_rows)
            except schema.OutdatedError:
                cls.open(folder, write=True, exact_rows=exact_rows, tail_rows=tail_rows).close()
                return cls(folder, None, exact_rows, tail_rows)
        with explained(folder):
            lock = WriteLock(folder / LOCK)
        return cls(folder, lock, exact_rows, tail_rows)

    def upsert(self, entries: Sequence[Entry]) -> None:
        """Store the documents, each replacing the one of the same source; durable and visible when this returns.

        Raises:
            StoreError: vectors that do not fit the index, a full disk, a damaged database; nothing was stored then.
        """
        if entries:
            self._writing().upsert(entries)

    def upsert_in_parts(self, document: Document, parts: Iterable[Part]) -> None:
        """Store a document whose vectors come part by part, in the order of its chunks, in one transaction.

        Raises:
            StoreError: as for `upsert`.
        """
        self._writing().upsert_in_parts(document, parts)

    def delete(self, sources: Sequence[str]) -> int:
        """Forget these documents; returns how many there were."""
        return self._writing().delete(sources) if sources else 0

    def expire(self, sources: Sequence[str], when: float | None) -> None:
        """Set from when on these documents are in no answer, in seconds since the epoch; None for never."""
        if sources:
            self._writing().expire(sources, when)

    def remove_expired(self) -> int:
        """Remove what has expired, as every writer does when it opens and when it merges; returns how much it was."""
        return self._writing().remove_expired()

    def overdue(self) -> bool:
        """Whether something has expired that no writer has removed yet."""
        with self._reading() as reading:
            return bool(reading.overdue())

    def top(self, leg: str, query: Vector, k: int, where: Filter | None = None) -> Ranking:
        """The leg's k best chunks, best first, ties by source and position; of those that pass the filter.

        A sparse leg gives only chunks that share an id with the query. Scores are exact also where a graph found the
        candidates.

        Raises:
            StoreError: there is no such leg, it is a multi leg, or the query does not fit it.
        """
        with self._search(leg, query) as (reading, cache, view):
            within = view if where is None else self._selections.narrowed(leg, view, checked(where), reading)
            ids, scores = cache.kind.candidates(view, within, query, k, reading)
            return rank(ids, scores, k, reading.places)

    def scores(self, leg: str, query: Vector, ids: Ids) -> Floats:
        """The leg's score of each of these chunks, 0 where a sparse leg shares nothing, NaN where the chunk is gone."""
        kind = self._kind(leg)
        if isinstance(kind, MultiLeg):
            return self._rescored(kind, query, ids)
        with self._search(leg, query) as (reading, cache, view):
            found = cache.kind.scores(view, query, ids, reading)
            found[np.isin(ids, reading.expired())] = np.nan
            return found

    def idf(self, leg: str, query: Sparse) -> Floats:
        """What a sparse leg multiplies each of the query's weights by, (k,): the live IDF, or 1 where it has none."""
        with self._search(leg, query) as (_, cache, view):
            if not isinstance(cache.kind, SparseLeg):
                raise StoreError(f"the leg {leg!r} has no IDF")
            return cache.kind.idf(view, query).astype(np.float32)

    def fetch(self, ids: Ids) -> list[Passage]:
        """These chunks, in the order asked for; one that is gone is left out."""
        with self._reading() as reading:
            return reading.passages(ids)

    def known(self, leg: str, keys: Sequence[str]) -> Mapping[str, Vector]:
        """The leg's vector of some stored chunk of each of these keys (`Chunk.key`), for those that are stored."""
        kind = self._kind(leg)
        with self._reading() as reading:
            found = reading.vectors_by_key(kind.number, keys)
        return dict(zip(found, kind.decode(list(found.values())), strict=True))

    def vectors(self, leg: str, ids: Ids) -> Mapping[int, Vector]:
        """What the leg holds of these chunks, by id; one that is gone is left out."""
        kind = self._kind(leg)
        with self._reading() as reading:
            blobs = reading.vectors_of(kind.number, np.setdiff1d(ids, reading.expired()))
        return dict(zip((chunk for chunk, _ in blobs), kind.decode([blob for _, blob in blobs]), strict=True))

    def sample(self, leg: str, count: int) -> Floats:
        """A dense leg's vectors of that many chunks, or of all where there are fewer, (n, d).

        Those with the least keys: a key is a hash of the chunk's text, so that the choice is as good as random and does
        not depend on the index's history.
        """
        kind = self._dense(leg)
        with self._reading() as reading:
            head = reading.head()
            known = self._samples.get((leg, count))
            if known is None or known[0] != head:
                blobs = reading.sample(kind.number, count)
                known = self._samples[leg, count] = head, decode_dense(blobs, kind.dimension).vectors
        return known[1]

    def centroid(self, leg: str) -> Floats:
        """The mean of a dense leg's vectors, (d,), the same after any history; zeros of an empty index."""
        kind = self._dense(leg)
        with self._reading() as reading:
            chunks, total = reading.total(kind.number) or (0, np.zeros(kind.dimension))
        return (total / max(chunks, 1)).astype(np.float32)

    def documents(self, prefix: str = "", where: Filter | None = None, after: str | None = None) -> Iterator[Stored]:
        """Every stored document whose source begins with the prefix, by source; of those that pass the filter."""

        def page(after: str | None) -> list[Stored]:
            with self._reading() as reading:
                return reading.documents(after, prefix, where)

        return paged(page, after)

    def facet(self, field: str, where: Filter | None = None) -> Mapping[str, int]:
        """How many of the documents that pass the filter have each value of a field, the most frequent first."""
        check_facet(field)
        with self._reading() as reading:
            counts = reading.facet(field, where)
        return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))

    def fields(self) -> list[str]:
        """The names of the fields that stored records have, sorted."""
        with self._reading() as reading:
            return reading.fields()

    def languages(self) -> list[str]:
        """The languages that stored documents have, sorted."""
        with self._reading() as reading:
            return reading.languages()

    def stored(self, sources: Sequence[str]) -> Mapping[str, Stored]:
        """Those of these documents that are stored, by source."""
        with self._reading() as reading:
            return {stored.source: stored for stored in reading.stored(sources)}

    def document(self, source: str) -> Document | None:
        """A document with its chunks, as it was stored; None where it is not."""
        with self._reading() as reading:
            return reading.document(source)

    def scan(self) -> Iterator[Passage]:
        """Every stored chunk, in the order of storing; what is stored meanwhile may or may not be among them."""
        last = 0
        while True:
            with self._reading() as reading:
                ids = reading.chunks(last)
                page = reading.passages(ids)  # without what has expired
            if not len(ids):
                return
            yield from page
            last = int(ids[-1])

    def count(self) -> tuple[int, int]:
        """How many documents and chunks are stored."""
        with self._reading() as reading:
            return reading.count()

    def growth(self, seconds: float) -> Growth:
        """How much more it holds than so many seconds ago, at most eight days."""
        with self._reading() as reading:
            return reading.growth(seconds)

    def caches(self) -> dict[str, str]:
        """Each leg's cache: "current", "behind" (what is newer is read from the database), "missing" or "damaged"."""
        with self._reading() as reading:
            return {name: cache.state(reading) for name, cache in self._legs.items()}

    def update_manifest(self, **changes: Any) -> None:
        """Replace values of the manifest.

        Raises:
            StoreError: a name is unknown, or what the stored vectors depend on.
        """
        changed = self.manifest.changed(**changes)
        self._writing().describe(changed)
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
        self._writing().merge()

    def close(self, *, merge: bool = True) -> None:
        """Let go of files and locks; what was upserted is already durable.

        Args:
            merge: whether a writer folds what changed into the caches; else searches read it from the database.
        """
        writer, self._writer = self._writer, None
        try:
            if writer is not None:
                writer.finish(merge=merge)
        finally:
            self._undo.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _dense(self, leg: str) -> DenseLeg:
        kind = self._kind(leg)
        if not isinstance(kind, DenseLeg):
            raise StoreError(f"the leg {leg!r} has no dense vectors")
        return kind

    def _note(self, sentence: str) -> None:
        if sentence not in self.notices:
            self.notices.append(sentence)

    def _writing(self) -> Writer:
        if self._writer is None:
            raise StoreError(f"the index {named(self.folder)} is not open for writing")
        return self._writer

    @contextmanager
    def _reading(self) -> Iterator[Reading]:
        with explained(self.folder), self._pool.reading() as reading:
            yield reading

    def _rescored(self, kind: MultiLeg, query: Vector, ids: Ids) -> Floats:
        kind.check(query)
        with self._reading() as reading:
            blobs = reading.vectors_of(kind.number, np.setdiff1d(ids, reading.expired()))
        given = kind.scores(query, blobs)  # type: ignore[arg-type]  # it is no sparse one: that was checked
        scores = dict(zip((chunk for chunk, _ in blobs), given.tolist(), strict=True))
        return np.array([scores.get(chunk, np.nan) for chunk in ids.tolist()], np.float32)

    def _kind(self, leg: str) -> Kind[Any, Any] | MultiLeg:
        return self._kinds[self.manifest.leg(leg).name]

    @contextmanager
    def _search(self, leg: str, query: Vector) -> Iterator[tuple[Reading, LegCache[Any, Any], View[Any]]]:
        cache = self._legs.get(self.manifest.leg(leg).name)
        if cache is None:
            raise StoreError(f"the leg {leg!r} finds nothing by itself: it scores what other legs found")
        cache.kind.check(query)
        with self._reading() as reading:
            view = cache.view(reading)
            yield reading, cache, view.without(reading.expired())


def _kind(number: int, leg: Leg, exact_rows: int) -> Kind[Any, Any] | MultiLeg:
    if leg.kind == "multi":
        return MultiLeg(number, leg)
    return DenseLeg(number, leg, exact_rows) if leg.kind == "dense" else SparseLeg(number, leg)
