"""How vectors stand in the database, little-endian.

A dense vector is float16; a sparse one its ids (uint32) before its weights (float16); token vectors are int8, with the
scale of each (float16) before them.
"""

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
_LEVELS = 127


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


def encode_multi(vectors: Vectors, dimension: int, place: str) -> list[bytes]:
    """One blob a chunk; a vector's largest number becomes 127, which loses less than 1/254 of it in any other.

    Args:
        vectors: of one document's chunks, (t, d) each.
        dimension: of the leg.
        place: the leg and the document, for errors.

    Raises:
        StoreError: the vectors have another shape, or are not finite in float16.
    """
    blobs = []
    for vector in vectors:
        if not isinstance(vector, np.ndarray) or vector.ndim != 2 or vector.shape[1] != dimension:
            shape = getattr(vector, "shape", type(vector).__name__)
            raise StoreError(f"{place} needs token vectors of {dimension} dimensions, not {shape}")
        _check_finite(vector, place)
        scales = (np.abs(vector).max(axis=1, initial=0) / _LEVELS).astype("<f2")  # (t,)
        divisors = np.where(scales > 0, scales, np.inf).astype(np.float32)[:, None]
        # A scale that was rounded down makes the largest number a little more than it may be.
        levels = np.rint(vector / divisors).clip(-_LEVELS, _LEVELS).astype(np.int8)  # (t, d)
        blobs.append(scales.tobytes() + levels.tobytes())
    return blobs


def decode_multi(blob: bytes, dimension: int) -> Floats:
    """The inverse of `encode_multi` but for rounding, float32, (t, d); encoded again it is the same blob."""
    tokens = len(blob) // (_WEIGHT + dimension)
    scales = np.frombuffer(blob, "<f2", tokens).astype(np.float32)
    levels = np.frombuffer(blob, np.int8, offset=_WEIGHT * tokens).reshape(tokens, dimension)
    return levels * scales[:, None]


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
