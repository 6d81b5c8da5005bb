"""The legs of an index in a collection: the best chunks, the scores of given ones, and their vectors."""

import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from beige.errors import StoreError
from beige.index.codec import check_sparse
from beige.index.filter import Filter
from beige.index.manifest import Leg, Manifest
from beige.index.postings import inverse_document_frequency
from beige.index.qdrant.conditions import among, live
from beige.index.qdrant.connection import PAGE
from beige.index.qdrant.points import unpacked
from beige.index.qdrant.reading import Reading, with_ids
from beige.index.ranking import rank
from beige.index.schema import blob
from beige.index.store import Ids, Ranking, Vector
from beige.values import Floats, Sparse

SPARE = 32
"""Hits asked for beyond those wanted, among which whoever ties with the last is looked for."""

SAMPLE = 2000
"""Chunks whose mean stands for that of all of them."""

FRESH = 30.0
"""Seconds for which such a mean is believed, while others may write."""


class Legs:
    """Asks a server by one leg at a time; safe to use from several threads.

    Args:
        reading: of the collection.
        manifest: of the index.
    """

    def __init__(self, reading: Reading, manifest: Manifest) -> None:
        self._reading = reading
        self._manifest = manifest
        self._samples: dict[tuple[str, int], tuple[float, Floats]] = {}
        self._lock = threading.Lock()

    def top(self, leg: str, query: Vector, k: int, where: Filter | None = None) -> Ranking:
        """The leg's k best chunks, best first, ties by source and position; of those that pass the filter."""
        if self._manifest.leg(leg).kind == "multi":
            raise StoreError(f"the leg {leg!r} finds nothing by itself: it scores what other legs found")
        asked, within = self._asked(leg, query), live(*self._reading.passing(where))
        if asked is None:
            return Ranking(np.empty(0, np.int64), np.empty(0, np.float32))
        limit = k + SPARE
        while True:
            found = self._reading.call(
                self._reading.client.query_points,
                query=asked,
                using=leg,
                query_filter=within,
                limit=limit,
                with_payload=["source", "position"],
            ).points
            if isinstance(query, Sparse):
                found = [point for point in found if point.score > 0]
            if len(found) < limit or found[-1].score < found[k - 1].score:
                break
            limit *= 2
        places = {
            int(point.id): (blob(unpacked((point.payload or {})["source"])), (point.payload or {})["position"])
            for point in found
        }
        ids = np.array([int(point.id) for point in found], np.int64)  # (n,)
        scores = np.array([point.score for point in found], np.float32)  # (n,)
        return rank(ids, scores, k, lambda tied: {chunk: places[chunk] for chunk in tied.tolist()})

    def scores(self, leg: str, query: Vector, ids: Ids) -> Floats:
        """The leg's score of each of these chunks, 0 where a sparse leg shares nothing, NaN where the chunk is gone."""
        from qdrant_client import models

        asked = self._asked(leg, query)
        if not len(ids):
            return np.empty(0, np.float32)
        chosen = live(with_ids(ids))
        scores = dict.fromkeys((int(point.id) for point in self._reading.points(chosen)), 0.0)
        if asked is not None:
            found = self._reading.call(
                self._reading.client.query_points,
                query=asked,
                using=leg,
                query_filter=chosen,
                limit=len(ids),
                search_params=models.SearchParams(exact=True),
                with_payload=False,
            ).points
            share = len(query) if self._manifest.leg(leg).kind == "multi" else 1  # a server adds up the maxima
            scores |= {int(point.id): point.score / share for point in found}
        return np.array([scores.get(chunk, np.nan) for chunk in ids.tolist()], np.float32)

    def idf(self, leg: str, query: Sparse) -> Floats:
        """What a sparse leg multiplies each of the query's weights by, (k,): the live IDF, or 1 where it has none.

        A server does not tell: it follows from the score and the weight of a chunk that a word alone finds.
        """
        from qdrant_client import models

        if (known := self._manifest.leg(leg)).kind != "sparse":
            raise StoreError(f"the leg {leg!r} has no IDF")
        check_sparse(query, f"the query of leg {leg!r}")
        if not known.idf or not len(query):
            return np.ones(len(query), np.float32)
        answers = self._reading.call(
            self._reading.client.query_batch_points,
            requests=[
                models.QueryRequest(
                    query=models.SparseVector(indices=[term], values=[1.0]),
                    using=leg,
                    filter=live(),
                    limit=1,
                    with_vector=[leg],
                )
                for term in query.ids.tolist()
            ],
        )
        unseen = float(inverse_document_frequency(self._reading.count()[1], np.zeros(1, np.int64))[0])
        found = [answer.points[0] if answer.points else None for answer in answers]
        return np.array(
            [
                unseen if point is None or point.score <= 0 else point.score / _weight(point.vector, leg, term)
                for term, point in zip(query.ids.tolist(), found, strict=True)
            ],
            np.float32,
        )

    def known(self, leg: str, keys: Sequence[str]) -> Mapping[str, Vector]:
        """The leg's vector of some stored chunk of each of these keys (`Chunk.key`), for those that are stored."""
        described = self._manifest.leg(leg)
        vectors: dict[str, Vector] = {}
        for start in range(0, len(keys), PAGE):
            wanted = live(among("key", keys[start : start + PAGE]))
            for point in self._reading.points(wanted, with_payload=["key"], with_vectors=[leg]):
                vectors[(point.payload or {})["key"]] = _vector(point.vector, described)
        return vectors

    def vectors(self, leg: str, ids: Ids) -> Mapping[int, Vector]:
        """What the leg holds of these chunks, by id; one that is gone is left out."""
        described, chosen = self._manifest.leg(leg), live(with_ids(ids))
        return {
            int(point.id): _vector(point.vector, described)
            for point in self._reading.points(chosen, with_vectors=[leg])
        }

    def sample(self, leg: str, count: int) -> Floats:
        """A dense leg's vectors of that many chunks, or of all where there are fewer, (n, d): the least keys' ones.

        It may be `FRESH` seconds old, while others write.
        """
        from qdrant_client import models

        dimension = self._dimension(leg)
        with self._lock:
            since, vectors = self._samples.get((leg, count), (-FRESH, np.empty((0, dimension), np.float32)))
        if time.monotonic() > since + FRESH:
            found, _ = self._reading.call(
                self._reading.client.scroll,
                scroll_filter=live(),
                limit=count,
                order_by=models.OrderBy(key="draw"),
                with_payload=False,
                with_vectors=[leg],
            )
            described = self._manifest.leg(leg)
            vectors = np.array([_vector(point.vector, described) for point in found], np.float32).reshape(-1, dimension)
            with self._lock:
                self._samples[leg, count] = time.monotonic(), vectors
        return vectors

    def centroid(self, leg: str) -> Floats:
        """The mean of a dense leg's vectors, (d,); zeros of an empty index. Of more than `SAMPLE`, that of a sample."""
        vectors = self.sample(leg, SAMPLE)
        mean: Floats = (vectors.sum(0, np.float64) / max(len(vectors), 1)).astype(np.float32)
        return mean

    def forget(self) -> None:
        """Believe no sample any more: something has changed."""
        with self._lock:
            self._samples.clear()

    def _dimension(self, leg: str) -> int:
        described = self._manifest.leg(leg)
        dimension = described.dimension if described.kind == "dense" else None
        if dimension is None:
            raise StoreError(f"the leg {leg!r} has no dense vectors")
        return dimension

    def _asked(self, leg: str, query: Vector) -> Any:
        """The query as a server takes it; None where it has nothing to ask."""
        from qdrant_client import models

        known = self._manifest.leg(leg)
        if known.kind != "sparse":
            several, dimension = known.kind == "multi", known.dimension
            fits = isinstance(query, np.ndarray) and query.shape == (
                (len(query), dimension) if several else (dimension,)
            )
            if not fits or not np.isfinite(query).all():  # type: ignore[arg-type]
                kind = "vectors of " if several else ""
                raise StoreError(f"the leg {leg!r} needs a query of {kind}{dimension} finite values")
            return query.tolist() if len(query) else None  # type: ignore[union-attr]
        if not isinstance(query, Sparse):
            raise StoreError(f"the leg {leg!r} needs a sparse query")
        check_sparse(query, f"the query of leg {leg!r}")
        if not len(query):
            return None
        return models.SparseVector(indices=query.ids.tolist(), values=query.weights.tolist())


def _vector(vectors: Any, leg: Leg) -> Any:
    """A point's vector of this leg; without token vectors it has none of a multi leg."""
    vector = (vectors or {}).get(leg.name, [])
    if leg.kind == "multi":
        return np.array(vector, np.float32).reshape(-1, leg.dimension or 0)
    if leg.kind == "dense":
        return np.array(vector, np.float32)
    ids, weights = np.array(vector.indices, np.uint32), np.array(vector.values, np.float32)
    order = np.argsort(ids)
    return Sparse(ids[order], weights[order])


def _weight(vectors: Any, leg: str, term: int) -> float:
    vector = vectors[leg]
    return float(vector.values[vector.indices.index(term)])
