"""How a dense leg is held: a matrix up to some size, a graph above it; scores are always exact."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from beige.index.cache_file import CacheFile, CacheWriter
from beige.index.codec import DenseRows
from beige.index.database import Change, Reading
from beige.index.dense import DensePart, Matrix, similarities
from beige.index.graph import Graph, GraphBuilder
from beige.index.leg_cache import Alive, Part, View
from beige.index.manifest import Leg
from beige.index.store import Ids
from beige.values import Floats

MATRIX, GRAPH = "matrix", "graph"

_SLICE = 4096
"""Rows that are read from the database at a time where a graph is built."""


class DenseLeg:
    """A dense leg's `Kind`."""

    def __init__(self, number: int, leg: Leg, exact_rows: int) -> None:
        self._number = number
        self._leg = leg
        self._dimension = leg.dimension or 0
        self._exact_rows = exact_rows
        # The writer's graph: what it holds of the log of additions and of removals, and whether it is the cache.
        self._builder: GraphBuilder | None = None
        self._added = self._removed = 0
        self._serves = False

    def part(self, rows: DenseRows) -> Matrix:
        return Matrix(rows.ids, rows.vectors)

    def join(self, parts: Sequence[tuple[Any, Alive]]) -> Matrix:
        return Matrix(
            np.concatenate([part.ids[alive] for part, alive in parts]),
            np.concatenate([part.vectors[alive] for part, alive in parts]),
        )

    def open(self, file: CacheFile) -> DensePart:
        if file.kind == MATRIX:
            return Matrix(file.arrays["ids"], file.arrays["vectors"])
        return Graph(self._dimension, file.arrays["ids"], file.arrays["graph"])

    def candidates(self, view: View, query: Floats, k: int, reading: Reading) -> tuple[Ids, Floats]:
        parts = [part.candidates(query, k, alive) for part, alive in view.parts]
        rows = reading.rows_of(self._number, self._leg, np.concatenate(parts))
        return rows.ids, similarities(rows.vectors, query)

    def scores(self, view: View, query: Floats, rows: DenseRows) -> Floats:
        return similarities(rows.vectors, query)

    def grow(self, reading: Reading, chunks: int) -> None:
        """Put more into the graph than was just committed, so that it is done by the time it is needed."""
        if self._builder is not None:
            self._catch_up(self._builder, reading, 2 * chunks + _SLICE // 64)

    def write(self, path: Path, reading: Reading, base: Callable[[], tuple[Part, Change] | None]) -> None:
        head, count = reading.head(), reading.count()[1]
        # The graph is begun at half the limit and given up below it: there is time to build it without a pause, and
        # an index whose size wavers about the limit does not build it again and again.
        if count <= self._exact_rows // 2:
            self._builder = None
        elif self._builder is None:
            self._start(base(), head)
        if self._builder is None or (count <= self._exact_rows and not self._serves):
            self._serves = False
            self._write_matrix(path, reading, head)
            return
        self._serves = True
        self._catch_up(self._builder, reading)
        with CacheWriter(path, GRAPH, head) as file:
            self._builder.save(file.temporary)
            file.adopt("graph")
            file.array("ids", np.dtype("<i8"), [self._builder.ids])

    def _write_matrix(self, path: Path, reading: Reading, head: Change) -> None:
        rows = reading.rows(self._number, self._leg, after=0)
        with CacheWriter(path, MATRIX, head) as file:
            file.array("ids", np.dtype("<i8"), [rows.ids])
            file.array("vectors", np.dtype("<f4"), [rows.vectors])

    def _start(self, base: tuple[Part, Change] | None, head: Change) -> None:
        if base is not None and isinstance(base[0], Graph):
            self._builder = GraphBuilder.load(self._dimension, base[0].ids, base[0].content)
            self._added, self._removed, self._serves = base[1].added, base[1].removed, True
        else:
            self._builder = GraphBuilder(self._dimension)
            self._added, self._removed, self._serves = 0, head.removed, False

    def _catch_up(self, builder: GraphBuilder, reading: Reading, most: int | None = None) -> None:
        builder.remove(np.array(reading.removed(self._removed), np.int64))
        self._removed = reading.head().removed
        while most is None or most > 0:
            size = _SLICE if most is None else min(most, _SLICE)
            rows = reading.rows(self._number, self._leg, self._added, size)
            builder.add(rows.ids, rows.vectors)
            self._added = int(rows.ids[-1]) if len(rows.ids) else self._added
            if len(rows.ids) < size:
                break
            most = None if most is None else most - size
