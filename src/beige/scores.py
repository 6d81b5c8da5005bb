"""How well two embeddings match, by each output and by all together. Pure functions over values."""

from collections.abc import Sequence

import numpy as np

from beige.errors import UsageError
from beige.values import Embedding, Floats, Sparse

WEIGHTS = (1.0, 1.0, 1.0)
"""Of the dense, the sparse and the multi-vector score in the mixed one, as BGE-M3 has them by default."""


def dense_score(query: Floats, document: Floats) -> float:
    """The dot product of two vectors (d,); of unit vectors the cosine."""
    return float(query @ document)


def sparse_score(query: Sparse, document: Sparse) -> float:
    """The sum over shared tokens of the products of their weights."""
    return query.dot(document)


def multi_score(query: Floats, document: Floats) -> float:
    """The mean over the query's vectors (q, d) of each one's largest dot product with the document's (t, d).

    Khattab and Zaharia 2020, https://arxiv.org/abs/2004.12832, divided by q as in BGE-M3; 0 where either has none.
    """
    if not len(query) or not len(document):
        return 0.0
    return float((query @ document.T).max(axis=1).mean())


def mixed_score(query: Embedding, document: Embedding, weights: Sequence[float] = WEIGHTS) -> float:
    """The weighted mean of the three scores, Chen et al. 2024, https://arxiv.org/abs/2402.03216.

    Args:
        query: with every output whose weight is not 0.
        document: likewise.
        weights: of the dense, the sparse and the multi-vector score; they are divided by their sum.

    Raises:
        UsageError: the weights are not three numbers from 0 on with a sum above it, or an output is missing.
    """
    if len(weights) != 3 or not all(np.isfinite(weight) and weight >= 0 for weight in weights) or not sum(weights):
        raise UsageError(f"weights are {tuple(weights)}: give three from 0 on, for dense, sparse and multi, not all 0")
    pairs = (
        ("dense", query.dense, document.dense, dense_score),
        ("sparse", query.sparse, document.sparse, sparse_score),
        ("multi", query.multi, document.multi, multi_score),
    )
    total = 0.0
    for (output, one, other, score), weight in zip(pairs, weights, strict=True):
        if not weight:
            continue
        if one is None or other is None:
            raise UsageError(f"the mixed score needs the output {output!r} of both, or the weight 0 for it")
        total += weight * score(one, other)  # type: ignore[operator]  # each score takes its own output
    return total / sum(weights)


def logistic(scores: Sequence[float] | Floats) -> Floats:
    """Scores between 0 and 1: 1 / (1 + exp(-x)), written so that it does not overflow."""
    return np.asarray(0.5 * (1 + np.tanh(0.5 * np.asarray(scores, np.float32))), np.float32)
