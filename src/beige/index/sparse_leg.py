"""How a sparse leg is held: postings by id, with the IDF of the chunks that are alive."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from beige.errors import StoreError
from beige.index import postings
from beige.index.cache_file import CacheFile, CacheWriter, read, scratch
from beige.index.codec import Blobs, check_sparse, decode_sparse, encode_sparse
from beige.index.database import Change, Reading
from beige.index.leg_cache import Base
from beige.index.manifest import Leg
from beige.index.postings import Merge, Postings
from beige.index.store import Ids, Vector, Vectors
from beige.index.view import Alive, View, everything, survivors
from beige.values import Floats, Sparse

KIND = "postings"

_SLICE = 25_000
"""Chunks whose vectors are read from the database at a time where a cache is written: memory stays bounded."""


class SparseLeg:
    """A sparse leg's `Kind`.

    Args:
        number: the leg's place in the manifest.
        leg: its name, and whether its ids count times their IDF.
    """

    def __init__(self, number: int, leg: Leg) -> None:
        self.number = number
        self._name = leg.name
        self._idf = leg.idf
        self._last: tuple[View[Postings], bytes, NDArray[np.float64]] | None = None

    def encode(self, vectors: Vectors, source: str) -> list[bytes]:
        """A document's vectors as they are stored, one a chunk."""
        return encode_sparse(vectors, f"leg {self._name!r} of {source}")

    def decode(self, blobs: Sequence[bytes]) -> Sequence[Vector]:
        """Sparse vectors as they are stored, with weights in float32."""
        return decode_sparse(list(enumerate(blobs))).vectors()

    def check(self, query: Sparse) -> None:
        """Refuse a query that is not sparse, or malformed."""
        if not isinstance(query, Sparse):
            raise StoreError(f"the leg {self._name!r} needs a sparse query")
        check_sparse(query, f"the query of leg {self._name!r}")

    def part(self, blobs: Blobs) -> Postings:
        """Make vectors searchable, in memory."""
        return Postings.of(decode_sparse(blobs))

    def join(self, parts: Sequence[tuple[Postings, Alive]]) -> Postings:
        """What is alive of several parts as one."""
        return postings.merged(parts)

    def open(self, file: CacheFile) -> Postings:
        """The part that a cache holds."""
        arrays = file.arrays
        return Postings(*(arrays[name] for name in ("ids", "terms", "offsets", "highest", "rows", "weights")))

    def keeps(self, part: Postings) -> bool:
        """Always: there is one way to keep postings."""
        return True

    def candidates(
        self, view: View[Postings], within: View[Postings], query: Sparse, k: int, reading: Reading
    ) -> tuple[Ids, Floats]:
        """The k best of the chunks that share an id with the query, all that tie with the last of them, and others."""
        weights = self._weights(view, query)
        ids, scores = np.empty(0, np.int64), np.empty(0)
        for part, alive in within.parts:
            floor = float(np.partition(scores, -k)[-k]) if len(scores) >= k else 0.0
            rows, found = part.best(query, weights, k, alive, floor)
            ids, scores = np.concatenate([ids, part.ids[rows]]), np.concatenate([scores, found])
        return ids, scores.astype(np.float32)

    def scores(self, view: View[Postings], query: Sparse, ids: Ids, reading: Reading) -> Floats:
        """The score of each of these chunks: (n,), 0 where it shares no id with the query, NaN where it is gone."""
        weights = self._weights(view, query)
        wanted, places = np.unique(ids, return_inverse=True)
        scores = np.full(len(wanted), np.nan)
        for part, alive in view.parts:
            if not len(part.ids):
                continue
            rows = np.minimum(np.searchsorted(part.ids, wanted), len(part.ids) - 1).astype(postings.ROW)
            there = (part.ids[rows] == wanted) & alive[rows]
            scores[there] = part.scores_of(query, weights, rows[there])
        return scores[places].astype(np.float32)

    def grow(self, reading: Reading) -> Callable[[], int]:
        """Nothing to prepare: `write` adds to the postings that stand."""
        added = reading.head().added
        return lambda: added

    def write(self, path: Path, reading: Reading, base: Base[Postings]) -> None:
        """Write the postings of all that is stored, from those that stand and what changed since."""
        head = reading.head()
        parts: list[tuple[Postings, Alive]] = []
        after = 0
        if (stands := base()) is not None:
            part, change = stands
            removed = np.array(reading.removed(change.removed), np.int64)
            parts, after = [(part, survivors(part, everything(part), removed))], change.added
        # Many slices, as when a lost cache is rebuilt, go through a file: the postings as a whole are never in memory.
        step = scratch(path)
        while True:
            blobs = reading.vectors(self.number, after, _SLICE)
            new = self.part(blobs)
            parts.append((new, everything(new)))
            if len(blobs) < _SLICE:
                break
            _write(step, head, parts)
            whole = self.open(read(step))
            parts, after = [(whole, everything(whole))], blobs[-1][0]
        _write(path, head, parts)
        step.unlink(missing_ok=True)

    def idf(self, view: View[Postings], query: Sparse) -> NDArray[np.float64]:
        """What each of the query's weights is multiplied by, (k,): ones where the leg has no IDF."""
        if not self._idf:
            return np.ones(len(query))
        # A search asks several times: for its best, for the scores of what others found, for what to highlight.
        last, ids = self._last, query.ids.tobytes()
        if last is not None and last[0] is view and last[1] == ids:
            return last[2]
        frequencies = np.sum([part.frequencies(query, alive) for part, alive in view.parts], axis=0)
        idf = postings.inverse_document_frequency(view.living, frequencies)
        self._last = (view, ids, idf)
        return idf

    def _weights(self, view: View[Postings], query: Sparse) -> NDArray[np.float64]:
        return query.weights * self.idf(view, query)


def _write(path: Path, change: Change, parts: Sequence[tuple[Postings, Alive]]) -> None:
    merge = Merge(parts)
    with CacheWriter(path, KIND, change) as file:
        file.array("rows", postings.ROW, merge.rows())
        file.array("weights", postings.WEIGHT, merge.weights)
        terms, offsets, highest = merge.directory()
        file.array("terms", np.dtype("<u4"), [terms])
        file.array("offsets", np.dtype("<i8"), [offsets])
        file.array("highest", np.dtype("<f4"), [highest])
        file.array("ids", np.dtype("<i8"), [merge.ids])
