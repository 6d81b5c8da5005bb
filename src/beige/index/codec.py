"""How vectors stand in the database: float16, little-endian; a sparse vector is its ids (uint32) before its weights."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from beige.errors import StoreError
from beige.index.store import Ids, Vectors
from beige.values import Floats, Sparse

LARGEST = float(np.finfo(np.float16).max)


@dataclass(frozen=True, eq=False)
class SparseRows:
    """Sparse vectors of several chunks, one after the other."""

    ids: Ids  # (n,) chunks, ascending
    lengths: NDArray[np.int64]  # (n,)
    terms: NDArray[np.uint32]  # (sum of lengths,) ascending within a chunk
    weights: Floats  # (sum of lengths,)


@dataclass(frozen=True, eq=False)
class DenseRows:
    """Dense vectors of several chunks."""

    ids: Ids  # (n,) chunks, ascending
    vectors: Floats  # (n, d)


Rows = DenseRows | SparseRows


def encode(name: str, vectors: Vectors, dimension: int | None, source: str) -> list[bytes]:
    """One blob a chunk.

    Args:
        name: of the leg, for errors.
        vectors: of one document's chunks.
        dimension: of a dense leg; None for a sparse one.
        source: of the document, for errors.

    Raises:
        StoreError: a vector has another shape or kind than its leg, or is not finite in float16.
    """
    place = f"leg {name!r} of {source}"
    if dimension is None:
        if isinstance(vectors, np.ndarray) or not all(isinstance(vector, Sparse) for vector in vectors):
            raise StoreError(f"the {place} needs sparse vectors")
        return [_sparse(vector, place) for vector in vectors]
    if not isinstance(vectors, np.ndarray) or vectors.ndim != 2 or vectors.shape[1] != dimension:
        shape = getattr(vectors, "shape", type(vectors).__name__)
        raise StoreError(f"the {place} needs vectors of {dimension} dimensions, not {shape}")
    _check(vectors, place)
    return [row.tobytes() for row in vectors.astype("<f2")]


def _sparse(vector: Sparse, place: str) -> bytes:
    if len(vector.ids) != len(vector.weights) or (np.diff(vector.ids.astype(np.int64)) <= 0).any():
        raise StoreError(f"the {place} needs a weight for each of its ids, and the ids distinct and ascending")
    _check(vector.weights, place)
    return vector.ids.astype("<u4").tobytes() + vector.weights.astype("<f2").tobytes()


def _check(values: Floats, place: str) -> None:
    # NaN fails every comparison.
    if not (np.abs(values) <= LARGEST).all():
        raise StoreError(f"the {place} has a value that is NaN, infinite or too large to be stored")


def decode_dense(ids: Sequence[int], blobs: Sequence[bytes], dimension: int) -> DenseRows:
    """The inverse of `encode` for a dense leg."""
    vectors = np.frombuffer(b"".join(blobs), "<f2").reshape(len(blobs), dimension).astype(np.float32)
    return DenseRows(np.array(ids, np.int64), vectors)


def decode_sparse(ids: Sequence[int], blobs: Sequence[bytes]) -> SparseRows:
    """The inverse of `encode` for a sparse leg."""
    lengths = np.array([len(blob) // 6 for blob in blobs], np.int64)
    terms = b"".join(blob[: len(blob) // 6 * 4] for blob in blobs)
    weights = b"".join(blob[len(blob) // 6 * 4 :] for blob in blobs)
    return SparseRows(
        np.array(ids, np.int64), lengths, np.frombuffer(terms, "<u4"), np.frombuffer(weights, "<f2").astype(np.float32)
    )
