"""From weights of tokens or words to a sparse vector. Pure functions over arrays."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from beige.values import Floats, Ints, Sparse


def by_tokens(ids: Ints, weights: Floats, dropped: Sequence[int]) -> Sparse:
    """A weight for each token to one for each distinct id: the largest, as BGE-M3 has it.

    Args:
        ids: (t,).
        weights: from 0 on, (t,).
        dropped: ids that stand for no word: CLS, EOS, padding, unknown.
    """
    distinct, places = np.unique(ids, return_inverse=True)  # (k,), (t,)
    largest = np.zeros(len(distinct), np.float32)
    np.maximum.at(largest, places, weights)
    return _positive(distinct, np.where(np.isin(distinct, dropped), np.float32(0), largest))


def by_words(weights: Floats) -> Sparse:
    """A weight for each word of the vocabulary (v,), most of them 0, as SPLADE gives."""
    return _positive(np.arange(len(weights)), weights)


def by_table(ids: Ints, table: Floats) -> Sparse:
    """The weights of a table (v,) for the distinct ids of a text (t,), as queries without a model have them."""
    distinct = np.unique(ids)
    return _positive(distinct, table[distinct])


def _positive(ids: NDArray[np.integer], weights: Floats) -> Sparse:
    kept = weights > 0
    return Sparse(ids[kept].astype(np.uint32), weights[kept])
