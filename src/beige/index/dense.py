"""Dense legs: an exact scan of a matrix, a graph above some size, and the arithmetic that both agree on."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from beige.index.store import Ids
from beige.values import Floats

Alive = NDArray[np.bool_]


class DensePart(Protocol):
    """Some of a leg's vectors, able to say which of them may be the best."""

    ids: Ids  # (n,) ascending

    def candidates(self, query: Floats, k: int, alive: Alive) -> Ids:
        """The ids of at least the k best living vectors, in no order, or of all when there are fewer."""


class Matrix:
    """Vectors scanned exactly."""

    def __init__(self, ids: Ids, vectors: Floats) -> None:
        self.ids = ids
        self.vectors = vectors  # (n, d)

    def candidates(self, query: Floats, k: int, alive: Alive) -> Ids:
        """Everything that could be among the k best, whatever the rounding of the matrix product.

        The product's last bits depend on where a row stands in the matrix; the worst case of a float32 dot product of
        unit vectors is d * 2**-24 off, on either side.
        """
        scores = self.vectors @ query  # (n,)
        if not alive.all():
            scores[~alive] = -np.inf
        if k < len(scores):
            margin = len(query) * np.finfo(np.float32).eps * max(1.0, float(np.linalg.norm(query)))
            least = max(np.partition(scores, -k)[-k] - margin, np.finfo(np.float32).min)
        else:
            least = np.finfo(np.float32).min
        return self.ids[scores >= least]


def similarities(vectors: Floats, query: Floats) -> Floats:
    """Each vector's dot product with the query, the same bits for the same vector wherever it stands."""
    # Summed a row at a time in float64: a matrix product's order of sums depends on the place of the row.
    return (vectors.astype(np.float64) * query.astype(np.float64)).sum(axis=1).astype(np.float32)  # (n,)
