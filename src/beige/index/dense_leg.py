"""How a dense leg is held: a matrix up to some size, a graph above it; scores are exact in both."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from beige.errors import StoreError
from beige.index.cache_file import CacheFile, CacheWriter
from beige.index.codec import Blobs, decode_dense, encode_dense
from beige.index.database import Change, Reading
from beige.index.dense import Matrix, similarities
from beige.index.graph import Graph, GraphBuilder
from beige.index.leg_cache import Base
from beige.index.manifest import Leg, Storage
from beige.index.store import Ids, Vector, Vectors
from beige.index.view import Alive, View
from beige.values import Floats

MATRIX = "matrix"
GRAPHS: Mapping[Storage, str] = {"float32": "graph", "int8": "graph-int8", "binary": "graph-binary"}
"""The kinds of cache."""

DensePart = Matrix | Graph

_SLICE = 4096
"""Vectors that are read from the database at a time where a graph grows."""


class DenseLeg:
    """A dense leg's `Kind`.

    Args:
        number: the leg's place in the manifest.
        leg: its name, dimension and storage.
        exact_rows: the most chunks that a matrix serves.

    Attributes:
        dimension: of its vectors.
    """

    def __init__(self, number: int, leg: Leg, exact_rows: int) -> None:
        assert leg.dimension is not None
        self.number = number
        self._name = leg.name
        self.dimension = leg.dimension
        self._storage = leg.storage
        self._exact_rows = exact_rows
        # The writer's graph: what it holds of the logs of additions and of removals, and whether the cache is it.
        self._builder: GraphBuilder | None = None
        self._added = self._removed = 0
        self._serves = False

    def encode(self, vectors: Vectors, source: str) -> list[bytes]:
        """A document's vectors as they are stored, one a chunk."""
        return encode_dense(vectors, self.dimension, f"leg {self._name!r} of {source}")

    def decode(self, blobs: Sequence[bytes]) -> Sequence[Vector]:
        """Vectors (d,) as they are stored, in float32."""
        return list(decode_dense(list(enumerate(blobs)), self.dimension).vectors)

    def check(self, query: Floats) -> None:
        """Refuse a query of another shape, or that is not finite."""
        if np.shape(query) != (self.dimension,) or not np.isfinite(query).all():
            raise StoreError(f"the leg {self._name!r} needs a query of {self.dimension} finite values")

    def part(self, blobs: Blobs) -> Matrix:
        """Make vectors searchable, in memory."""
        rows = decode_dense(blobs, self.dimension)
        return Matrix(rows.ids, rows.vectors)

    def join(self, parts: Sequence[tuple[DensePart, Alive]]) -> Matrix:
        """What is alive of several matrices as one."""
        matrices = [(part, alive) for part, alive in parts if isinstance(part, Matrix)]
        assert len(matrices) == len(parts)
        return Matrix(
            np.concatenate([matrix.ids[alive] for matrix, alive in matrices]),
            np.concatenate([matrix.vectors[alive] for matrix, alive in matrices]),
        )

    def open(self, file: CacheFile) -> DensePart:
        """The part that a cache holds."""
        if file.kind == MATRIX:
            return Matrix(file.arrays["ids"], file.arrays["vectors"])
        storage = {kind: storage for storage, kind in GRAPHS.items()}[file.kind]
        return Graph(storage, file.arrays["ids"], file.arrays["centre"], file.arrays["graph"])

    def keeps(self, part: DensePart) -> bool:
        """Whether a cache's part is as the leg keeps it; a cache of another storage serves until it is written anew."""
        return isinstance(part, Matrix) or part.storage == self._storage

    def candidates(
        self, view: View[DensePart], within: View[DensePart], query: Floats, k: int, reading: Reading
    ) -> tuple[Ids, Floats]:
        """The k best and more, scored from what the database holds."""
        found = np.concatenate([part.candidates(query, k, alive) for part, alive in within.parts])
        rows = decode_dense(reading.vectors_of(self.number, found), self.dimension)
        return rows.ids, similarities(rows.vectors, query)

    def scores(self, view: View[DensePart], query: Floats, ids: Ids, reading: Reading) -> Floats:
        """The dot product of each of these chunks' vectors with the query: (n,), NaN where the chunk is gone."""
        rows = decode_dense(reading.vectors_of(self.number, ids), self.dimension)
        found = dict(zip(rows.ids.tolist(), similarities(rows.vectors, query).tolist(), strict=True))
        return np.array([found.get(chunk, np.nan) for chunk in ids.tolist()], np.float32)

    def grow(self, reading: Reading) -> Callable[[], int]:
        """Read some of what is new; what is returned puts it into the graph."""
        builder, head = self._builder, reading.head()
        if builder is None:
            return lambda: head.added
        removed, new = self._news(reading)

        def grow() -> int:
            more = self._take(builder, removed, new)
            self._removed = head.removed
            return self._added if more else head.added

        return grow

    def write(self, path: Path, reading: Reading, base: Base[DensePart]) -> None:
        """Write a matrix or a graph of all that is stored."""
        head, count = reading.head(), reading.count()[1]
        # The graph is begun at half the limit and given up below that: there is time to build it without a pause, and
        # an index whose size wavers about the limit does not build it again and again.
        if count <= self._exact_rows // 2:
            self._builder, self._serves = None, False
        elif self._builder is None:
            self._start(base(), reading)
        if self._builder is None or (count <= self._exact_rows and not self._serves):
            self._write_matrix(path, reading, head)
            return
        self._serves = True
        while self._take(self._builder, *self._news(reading)):
            pass
        self._removed = head.removed
        with CacheWriter(path, GRAPHS[self._storage], head) as file:
            self._builder.save(file.temporary)
            file.adopt("graph")
            file.array("ids", np.dtype("<i8"), [self._builder.ids])
            file.array("centre", np.dtype("<f4"), [self._builder.centre])

    def _write_matrix(self, path: Path, reading: Reading, head: Change) -> None:
        matrix = self.part(reading.vectors(self.number))
        with CacheWriter(path, MATRIX, head) as file:
            file.array("ids", np.dtype("<i8"), [matrix.ids])
            file.array("vectors", np.dtype("<f4"), [matrix.vectors])

    def _start(self, base: tuple[DensePart, Change] | None, reading: Reading) -> None:
        if base is not None and isinstance(base[0], Graph) and self.keeps(base[0]):
            self._builder = GraphBuilder.load(base[0])
            self._added, self._removed, self._serves = base[1].added, base[1].removed, True
        else:
            chunks, total = reading.total(self.number) or (0, np.zeros(self.dimension))
            self._builder = GraphBuilder(self._storage, (total / max(chunks, 1)).astype(np.float32))
            self._added, self._removed = 0, reading.head().removed
            self._serves = base is not None and isinstance(base[0], Graph)

    def _news(self, reading: Reading) -> tuple[Ids, Blobs]:
        """What was removed since the graph last heard of it, and a slice of what was added."""
        removed = np.array(reading.removed(self._removed), np.int64)
        return removed, reading.vectors(self.number, self._added, _SLICE)

    def _take(self, builder: GraphBuilder, removed: Ids, new: Blobs) -> bool:
        """Bring that into the graph; whether there may be more."""
        builder.remove(removed)
        rows = decode_dense(new, self.dimension)
        builder.add(rows.ids, rows.vectors)
        if len(rows.ids):
            self._added = int(rows.ids[-1])
        return len(rows.ids) == _SLICE
