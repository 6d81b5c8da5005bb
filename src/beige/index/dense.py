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

        The scan only selects, for the last bits of its sums are BLAS's affair: everything is kept that lies within the
        worst rounding error of the k-th, d * 2**-24 for a float32 dot product of unit vectors, on either side.
        """
        # Not `@`, which BLAS shares out among threads that wait for each other: 1.2 to 1.9 ms for 18,000 vectors of
        # 384 dimensions became 16 to 24 where other work kept the cores busy.
        scores = np.vecdot(self.vectors, query)[alive]  # (living,)
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
