"""How vectors stand in the database: float16, little-endian; a sparse vector is its ids (uint32) before its weights."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from beige.errors import StoreError
from beige.index.store import Ids, Vectors
from beige.values import Floats, Sparse

Blobs = Sequence[tuple[int, bytes]]
"""Chunk ids, ascending, each with its vector as it is stored."""

LARGEST = float(np.finfo(np.float16).max)

_TERM, _WEIGHT = 4, 2  # bytes


@dataclass(frozen=True, eq=False)
class SparseRows:
    """Sparse vectors of several chunks, one after the other."""

    ids: Ids  # (n,) chunks, ascending
    lengths: NDArray[np.int64]  # (n,)
    terms: NDArray[np.uint32]  # (sum of lengths,), ascending within a chunk
    weights: Floats  # (sum of lengths,)

    def vectors(self) -> list[Sparse]:
        """Each by itself, n of them."""
        ends = np.cumsum(self.lengths).tolist()
        return [
            Sparse(self.terms[end - length : end], self.weights[end - length : end])
            for end, length in zip(ends, self.lengths.tolist(), strict=True)
        ]


@dataclass(frozen=True, eq=False)
class DenseRows:
    """Dense vectors of several chunks."""

    ids: Ids  # (n,) chunks, ascending
    vectors: Floats  # (n, d)


def encode_dense(vectors: Vectors, dimension: int, place: str) -> list[bytes]:
    """One blob a chunk.

    Args:
        vectors: of one document's chunks.
        dimension: of the leg.
        place: the leg and the document, for errors.

    Raises:
        StoreError: the vectors have another shape, or are not finite in float16.
    """
    if not isinstance(vectors, np.ndarray) or vectors.ndim != 2 or vectors.shape[1] != dimension:
        shape = getattr(vectors, "shape", type(vectors).__name__)
        raise StoreError(f"{place} needs vectors of {dimension} dimensions, not {shape}")
    _check_finite(vectors, place)
    return [row.tobytes() for row in vectors.astype("<f2")]


def encode_sparse(vectors: Vectors, place: str) -> list[bytes]:
    """One blob a chunk.

    Args:
        vectors: of one document's chunks.
        place: the leg and the document, for errors.

    Raises:
        StoreError: they are not sparse, not in order, or not finite in float16.
    """
    sparse = [vector for vector in vectors if isinstance(vector, Sparse)]
    if len(sparse) != len(vectors):
        raise StoreError(f"{place} needs sparse vectors")
    if not sparse:
        return []
    whole, ends = _joined(sparse, place)
    terms, weights = whole.ids.astype("<u4").tobytes(), whole.weights.astype("<f2").tobytes()
    return [
        terms[_TERM * start : _TERM * end] + weights[_WEIGHT * start : _WEIGHT * end]
        for start, end in itertools.pairwise([0, *ends.tolist()])
    ]


def check_sparse(vector: Sparse, place: str) -> None:
    """Refuse what is no sparse vector.

    Raises:
        StoreError: ids that are not distinct and ascending, or weights that are missing, below zero or not finite in
            float16.
    """
    _joined([vector], place)


def _joined(vectors: Sequence[Sparse], place: str) -> tuple[Sparse, NDArray[np.int64]]:
    """Sparse vectors one after the other, and where each ends; checked together, which one by one takes long."""
    ends = np.cumsum([len(vector.ids) for vector in vectors])  # (n,)
    ids = np.concatenate([vector.ids for vector in vectors])
    weights = np.concatenate([vector.weights for vector in vectors])
    ascending = ids[1:] > ids[:-1]
    ascending[ends[(ends > 0) & (ends < len(ids))] - 1] = True  # from one vector to the next
    if any(len(vector.ids) != len(vector.weights) for vector in vectors) or not ascending.all():
        raise StoreError(f"{place} needs a weight for each of its ids, and the ids distinct and ascending")
    _check_finite(weights, place)
    if (weights < 0).any():
        raise StoreError(f"{place} has a weight below zero")
    return Sparse(ids, weights), ends


def _check_finite(values: Floats, place: str) -> None:
    # NaN fails every comparison.
    if not (np.abs(values) <= LARGEST).all():
        raise StoreError(f"{place} has a value that is NaN, infinite or too large to be stored")


def decode_dense(blobs: Blobs, dimension: int) -> DenseRows:
    """The inverse of `encode_dense`, in float32."""
    vectors = np.frombuffer(b"".join(blob for _, blob in blobs), "<f2").reshape(len(blobs), dimension)
    return DenseRows(_ids(blobs), vectors.astype(np.float32))


def decode_sparse(blobs: Blobs) -> SparseRows:
    """The inverse of `encode_sparse`, with weights in float32."""
    lengths = np.array([len(blob) // (_TERM + _WEIGHT) for _, blob in blobs], np.int64)
    splits = [_TERM * length for length in lengths.tolist()]
    terms = b"".join(blob[:split] for (_, blob), split in zip(blobs, splits, strict=True))
    weights = b"".join(blob[split:] for (_, blob), split in zip(blobs, splits, strict=True))
    return SparseRows(
        _ids(blobs), lengths, np.frombuffer(terms, "<u4"), np.frombuffer(weights, "<f2").astype(np.float32)
    )


def _ids(blobs: Blobs) -> Ids:
    return np.array([chunk for chunk, _ in blobs], np.int64)
