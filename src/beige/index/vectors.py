"""From a model's outputs to what a leg reads of a query and holds of a chunk."""

from collections.abc import Sequence

import numpy as np

from beige.index.manifest import Leg
from beige.index.pooling import pooled
from beige.index.store import Vector, Vectors
from beige.values import Embedding


def of_query(leg: Leg, embedding: Embedding) -> Vector:
    """What a leg reads of a query."""
    vector: Vector | None = getattr(embedding, leg.kind)
    assert vector is not None
    return vector


def of_chunk(leg: Leg, embedding: Embedding) -> Vector:
    """What a leg holds of a chunk."""
    if leg.kind == "multi":
        assert embedding.multi is not None
        return pooled(embedding.multi, leg.pool)
    return of_query(leg, embedding)


def gathered(leg: Leg, vectors: Sequence[Vector]) -> Vectors:
    """What a leg holds of a document's chunks, as a store takes it."""
    if leg.kind == "dense":
        rows = [vector for vector in vectors if isinstance(vector, np.ndarray)]
        return np.stack(rows) if rows else np.empty((0, leg.dimension or 0), np.float32)
    return tuple(vectors)  # type: ignore[return-value]  # all are of the leg's kind
