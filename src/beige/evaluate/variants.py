"""Vectors as a smaller index would keep them: fewer numbers, or fewer bits a number.

Each way is a pure function from unit vectors to what is kept; quality is then measured on what is left of them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from beige.errors import UsageError
from beige.evaluate.systems import Storage
from beige.index import vectors as vector_room
from beige.values import Floats

OVERSAMPLING = 4
"""Candidates by Hamming distance for each hit of a binary index."""


@dataclass(frozen=True, eq=False)
class Kept:
    """Documents' vectors as they are kept.

    Attributes:
        vectors: what the kept form stands for, (n, d).
        bytes: of one vector.
        coarse: whether a search first takes candidates by Hamming distance, and scores only those by `vectors`.
    """

    vectors: Floats
    bytes: int
    coarse: bool = False

    def scores(self, query: Floats) -> Floats:
        """The dot product of a query (d,) with each document, (n,)."""
        return self.vectors @ query

    def best(self, query: Floats, scores: Floats, k: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        """The places of the k best documents, best first.

        Args:
            query: (d,).
            scores: of `scores`, (n,).
            k: how many.
        """
        if not self.coarse:
            return top(scores, k)
        near = top(self.vectors @ np.where(query > 0, np.float32(1), np.float32(-1)), OVERSAMPLING * k)
        return near[top(scores[near], k)]


def top(scores: Floats, k: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """The places of the k highest scores, highest first, ties in the order of the places."""
    if k < len(scores):
        kept = np.flatnonzero(scores >= np.partition(scores, -k)[-k])
        return kept[np.argsort(-scores[kept], kind="stable")][:k]
    return np.argsort(-scores, kind="stable")


def shortened(vectors: Floats, dimensions: int | None) -> Floats:
    """The first numbers of unit vectors (n, d), made unit vectors again, (n, dimensions); all of them for None.

    Raises:
        UsageError: the vectors are shorter.
    """
    if dimensions is not None and dimensions > vectors.shape[1]:
        raise UsageError(f"dimensions={dimensions}: the vectors have {vectors.shape[1]} numbers")
    return vector_room.shortened(vectors, dimensions)


def _float32(vectors: Floats) -> Kept:
    return Kept(vectors, 4 * vectors.shape[1])


def _float16(vectors: Floats) -> Kept:
    return Kept(vectors.astype(np.float16).astype(np.float32), 2 * vectors.shape[1])


def _int8(vectors: Floats) -> Kept:
    """One byte a number and one float32 scale a vector: its largest number is 127."""
    scale = np.abs(vectors).max(axis=1, keepdims=True) / 127  # (n, 1)
    scale = np.where(scale > 0, scale, 1).astype(np.float32)
    return Kept(np.rint(vectors / scale) * scale, vectors.shape[1] + 4)


def _binary(vectors: Floats) -> Kept:
    """One bit a number, its sign; candidates by Hamming distance, rescored by the query's numbers against the signs.

    Yamada et al. 2021, "Efficient Passage Retrieval with Hashing", https://arxiv.org/abs/2106.00882.
    """
    unit = np.float32(vectors.shape[1] ** -0.5)
    return Kept(np.where(vectors > 0, unit, -unit), -(-vectors.shape[1] // 8), coarse=True)


STORAGES: Mapping[Storage, Callable[[Floats], Kept]] = {
    "float32": _float32,
    "float16": _float16,
    "int8": _int8,
    "binary": _binary,
}
"""The ways to keep a vector."""
