"""A graph over dense vectors (HNSW, https://arxiv.org/abs/1603.09320), as usearch builds and searches it."""

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beige.index.manifest import Storage
from beige.index.store import Ids
from beige.index.view import Alive, everything, survivors
from beige.values import Floats

CONNECTIVITY, EXPANSION_ADD, EXPANSION_SEARCH = 16, 128, 96
"""Measured at 60,000 and 200,000 vectors of 384 dimensions: recall@10 .993, 0.24 ms a query."""

_SPARE = 32
"""Candidates beyond k: the graph's scores order close neighbours wrongly, exact scores put them right."""

_MARGIN = 1.25
"""Candidates that are asked for beyond what should do where some are not alive."""

_SPREAD = 4
"""An int8 reaches so many times as far as the numbers of a unit vector do in the mean; what is beyond is cut."""


@dataclass(frozen=True)
class Form:
    """How a graph keeps vectors.

    Attributes:
        dtype: usearch's name of a number.
        metric: usearch's name of the distance.
        candidates: for each that is wanted, since this form orders them roughly.
        encode: vectors (n, d), around a centre (d,), as usearch takes them.
    """

    dtype: str
    metric: str
    candidates: int
    encode: Callable[[Floats, Floats], NDArray[Any]]


def _bytes(vectors: Floats, centre: Floats) -> NDArray[np.int8]:
    scale = 127 * np.sqrt(vectors.shape[-1]) / _SPREAD
    encoded: NDArray[np.int8] = np.clip(np.rint(vectors * np.float32(scale)), -127, 127).astype(np.int8)
    return encoded


def _bits(vectors: Floats, centre: Floats) -> NDArray[np.uint8]:
    # The vectors of a model lie around a common direction, whose signs would tell nothing.
    return np.packbits(vectors > centre, axis=-1)


FORMS: Mapping[Storage, Form] = {
    "float32": Form("bf16", "ip", 1, lambda vectors, centre: vectors),
    "int8": Form("i8", "ip", 1, _bytes),
    "binary": Form("b1", "hamming", 8, _bits),
}


def _index(dimension: int, form: Form, *, lookups: bool) -> Any:
    from usearch.index import Index

    return Index(
        ndim=dimension + (-dimension % 8 if form.dtype == "b1" else 0),
        metric=form.metric,
        dtype=form.dtype,
        connectivity=CONNECTIVITY,
        expansion_add=EXPANSION_ADD,
        expansion_search=EXPANSION_SEARCH,
        enable_key_lookups=lookups,
    )


class Graph:
    """A graph mapped from its cache; it takes no additions.

    Args:
        storage: how it keeps vectors.
        ids: its chunks, (n,), ascending.
        centre: what the vectors lie around, (d,).
        content: usearch's file.
    """

    def __init__(self, storage: Storage, ids: Ids, centre: Floats, content: NDArray[np.uint8]) -> None:
        self.storage = storage
        self.ids = ids
        self.centre = centre
        self.content = content  # usearch keeps no reference to what it maps
        self._form = FORMS[storage]
        self._index = _index(len(centre), self._form, lookups=False)
        self._index.view(content.data)

    def candidates(self, query: Floats, k: int, alive: Alive) -> Ids:
        """The ids of about the k best living vectors, those that tie with the last of them and some more."""
        wanted = (k + _SPARE) * self._form.candidates
        living = int(np.count_nonzero(alive))
        # So many that enough of them may be alive, if those that are not lie anywhere.
        ask = min(wanted + len(alive) - living, math.ceil(_MARGIN * wanted * len(alive) / max(living, 1)))
        encoded = self._form.encode(query, self.centre)
        while True:
            if living <= ask:  # those that are left are scored sooner than the graph is looked through
                few: Ids = self.ids[alive]
                return few
            # A graph does not lead everywhere, least of all among equals: who wants most of it looks at all of it.
            everything = 4 * ask >= len(self.ids)
            ask = len(self.ids) if everything else ask
            matches = self._index.search(encoded, ask, exact=everything)
            keys = matches.keys.astype(np.int64)
            there = alive[np.searchsorted(self.ids, keys)]
            distances = matches.distances[there]  # ascending
            # The dead may crowd around the query, and ties may go on beyond what was found: look further.
            if everything or (len(distances) >= wanted and distances[k - 1] < distances[-1]):
                found: Ids = keys[there]
                return found
            ask *= 4


class GraphBuilder:
    """The writer's own copy of a graph, which grows as documents come.

    Args:
        storage: how it keeps vectors.
        centre: what the vectors lie around, (d,).
    """

    def __init__(self, storage: Storage, centre: Floats) -> None:
        self.ids: Ids = np.empty(0, np.int64)
        self.centre = centre
        self._form = FORMS[storage]
        self._index = _index(len(centre), self._form, lookups=True)

    @classmethod
    def load(cls, graph: Graph) -> "GraphBuilder":
        """A copy in memory of a mapped graph."""
        builder = cls(graph.storage, graph.centre)
        builder._index.load(graph.content.data)
        builder.ids = graph.ids.copy()
        return builder

    def add(self, ids: Ids, vectors: Floats) -> None:
        """Put in vectors of higher ids than those before."""
        if len(ids):
            self._index.add(ids.astype(np.uint64), self._form.encode(vectors, self.centre))
            self.ids = np.concatenate([self.ids, ids])

    def remove(self, ids: Ids) -> None:
        """Take out those of these ids that are in."""
        left = survivors(self, everything(self), ids)
        if not left.all():
            self._index.remove(self.ids[~left].astype(np.uint64))
            self.ids = self.ids[left]

    def save(self, path: Path) -> None:
        """Write what `Graph` maps.

        Raises:
            OSError: it cannot be written.
        """
        try:
            self._index.save(os.fspath(path))
        except RuntimeError as error:
            raise OSError(f"{error}: {path}") from error
