"""Dense vectors: the exact scan of a matrix, and the arithmetic of their scores."""

from dataclasses import dataclass

import numpy as np

from beige.index.store import Ids
from beige.index.view import Alive
from beige.values import Floats


@dataclass(frozen=True, eq=False)
class Matrix:
    """Vectors that are scanned exactly."""

    ids: Ids  # (n,) ascending
    vectors: Floats  # (n, d)

    def candidates(self, query: Floats, k: int, alive: Alive) -> Ids:
        """The living chunks that can be among the k best, ties with the last included, in no order.

        A matrix product's last bits depend on where a row stands, so that it only selects: everything is kept that
        lies within the worst rounding error of the k-th, d * 2**-24 for a float32 dot product of unit vectors, on
        either side.
        """
        scores = (self.vectors @ query)[alive]  # (living,)
        ids = self.ids[alive]
        if k >= len(ids):
            return ids
        error = len(query) * np.finfo(np.float32).eps * max(1.0, float(np.linalg.norm(query)))
        kept: Ids = ids[scores >= np.partition(scores, -k)[-k] - error]
        return kept


def similarities(vectors: Floats, query: Floats) -> Floats:
    """Each vector's dot product with the query, the same bits for the same vector wherever it stands.

    Args:
        vectors: (n, d).
        query: (d,).
    """
    # Each row is summed by itself, in float64.
    products = vectors.astype(np.float64) * query.astype(np.float64)  # (n, d)
    scores: Floats = products.sum(axis=1).astype(np.float32)  # (n,)
    return scores
