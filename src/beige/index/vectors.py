"""From a model's outputs to what a leg reads of a query and holds of a chunk."""

from collections.abc import Sequence

import numpy as np

from beige.index.manifest import Leg
from beige.index.pooling import pooled
from beige.index.store import Vector, Vectors
from beige.values import Embedding, Floats


def of_query(leg: Leg, embedding: Embedding) -> Vector:
    """What a leg reads of a query."""
    vector: Vector | None = getattr(embedding, leg.kind)
    assert vector is not None
    return shortened(vector, leg.dimension) if leg.kind == "dense" and isinstance(vector, np.ndarray) else vector


def of_chunk(leg: Leg, embedding: Embedding) -> Vector:
    """What a leg holds of a chunk."""
    if leg.kind == "multi":
        assert embedding.multi is not None
        return pooled(embedding.multi, leg.pool)
    return of_query(leg, embedding)


def shortened(vectors: Floats, dimensions: int | None) -> Floats:
    """The first numbers of unit vectors (..., d), made unit vectors again, (..., dimensions); all of them for None.

    Kusupati et al. 2022, "Matryoshka Representation Learning", https://arxiv.org/abs/2205.13147; models that were not
    trained for it lose more.
    """
    if dimensions is None or dimensions == vectors.shape[-1]:
        return vectors
    short = vectors[..., :dimensions]
    norms = np.linalg.norm(short, axis=-1, keepdims=True)
    return (short / np.where(norms > 0, norms, 1)).astype(np.float32)


def gathered(leg: Leg, vectors: Sequence[Vector]) -> Vectors:
    """What a leg holds of a document's chunks, as a store takes it."""
    if leg.kind == "dense":
        rows = [vector for vector in vectors if isinstance(vector, np.ndarray)]
        return np.stack(rows) if rows else np.empty((0, leg.dimension or 0), np.float32)
    return tuple(vectors)  # type: ignore[return-value]  # all are of the leg's kind
