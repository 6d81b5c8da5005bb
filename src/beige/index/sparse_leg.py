"""How a sparse leg is held: postings by id, with the IDF of the chunks that are alive."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beige.index import postings
from beige.index.cache_file import CacheFile, CacheWriter, read
from beige.index.codec import SparseRows
from beige.index.database import Change, Reading
from beige.index.leg_cache import Alive, Part, View, everything, survivors
from beige.index.manifest import Leg
from beige.index.postings import ENTRY, Merge, Postings
from beige.index.store import Ids
from beige.values import Floats, Sparse

KIND = "postings"

_SLICE = 25_000
"""Chunks whose vectors are read from the database at a time where a cache is written: memory stays bounded."""


class SparseLeg:
    """A sparse leg's `Kind`."""

    def __init__(self, number: int, leg: Leg) -> None:
        self._number = number
        self._leg = leg

    def part(self, rows: SparseRows) -> Postings:
        return Postings.of(rows)

    def join(self, parts: Sequence[tuple[Any, Alive]]) -> Postings:
        return postings.merged(parts)

    def open(self, file: CacheFile) -> Postings:
        arrays = file.arrays
        return Postings(arrays["ids"], arrays["terms"], arrays["offsets"], arrays["entries"])

    def candidates(self, view: View, query: Sparse, k: int, reading: Reading) -> tuple[Ids, Floats]:
        weights = self._weights(view, query)
        ids, scores = [], []
        for part, alive in view.parts:
            found = part.scores(query, weights)
            found[~alive] = 0
            matches = np.flatnonzero(found)
            ids.append(part.ids[matches])
            scores.append(found[matches].astype(np.float32))
        return np.concatenate(ids), np.concatenate(scores)

    def scores(self, view: View, query: Sparse, rows: SparseRows) -> Floats:
        return postings.row_scores(rows, query, self._weights(view, query)).astype(np.float32)

    def grow(self, reading: Reading, chunks: int) -> None:
        """Nothing: `write` adds to the postings that stand."""

    def write(self, path: Path, reading: Reading, base: Callable[[], tuple[Part, Change] | None]) -> None:
        head = reading.head()
        parts: list[tuple[Postings, Alive]] = []
        after = 0
        if (stands := base()) is not None and isinstance(stands[0], Postings):
            part, change = stands
            removed = np.array(reading.removed(change.removed), np.int64)
            parts = [(part, survivors(part.ids, everything(part), removed))]
            after = change.added
        scratch = path.with_name(path.name + ".part")
        while True:
            rows = reading.rows(self._number, self._leg, after, _SLICE)
            new = self.part(rows)
            parts.append((new, everything(new)))
            if len(rows.ids) < _SLICE:
                break
            _write(scratch, head, parts)
            whole = self.open(read(scratch))
            parts, after = [(whole, everything(whole))], int(rows.ids[-1])
        _write(path, head, parts)
        scratch.unlink(missing_ok=True)

    def _weights(self, view: View, query: Sparse) -> NDArray[np.float64]:
        weights = query.weights.astype(np.float64)
        if not self._leg.idf:
            return weights
        frequencies = sum(part.frequencies(query, alive) for part, alive in view.parts)
        return weights * postings.inverse_document_frequency(view.living, frequencies)


def _write(path: Path, change: Change, parts: Sequence[tuple[Postings, Alive]]) -> None:
    merge = Merge(parts)
    with CacheWriter(path, KIND, change) as file:
        file.array("entries", ENTRY, merge.blocks())
        terms, offsets = merge.directory()
        file.array("terms", np.dtype("<u4"), [terms])
        file.array("offsets", np.dtype("<i8"), [offsets])
        file.array("ids", np.dtype("<i8"), [merge.ids])
