"""Hits that differ from each other: maximal marginal relevance."""

import numpy as np

from beige.values import Floats, Ints


def marginal(worth: Floats, likeness: Floats, weight: float) -> Ints:
    """The order in which candidates are taken where each is to add something to those before it.

    The next is the one with the highest `weight * worth - (1 - weight) * (its likeness to the likest one taken)`, the
    earlier of equals. Carbonell and Goldstein, "The Use of MMR, Diversity-Based Reranking for Reordering Documents and
    Producing Summaries" (1998), https://doi.org/10.1145/290941.291025.

    Args:
        worth: how good each candidate is by itself, from 0 to 1, (n,).
        likeness: of each to each, from 0 to 1, (n, n).
        weight: lambda: 1 orders by worth alone, 0 by difference alone.

    Returns:
        All candidates' places, (n,).
    """
    left = weight * worth.astype(np.float64)  # (n,), -inf once taken
    penalty = np.zeros(len(worth))  # (n,)
    order = np.empty(len(worth), np.int32)
    for number in range(len(worth)):
        order[number] = taken = int(np.argmax(left - (1 - weight) * penalty))
        left[taken] = -np.inf
        penalty = np.maximum(penalty, likeness[taken])
    return order


def likeness(vectors: Floats, background: float) -> Floats:
    """How like each vector is each other one, from 0 to 1, (n, n).

    Args:
        vectors: of unit length, (n, d).
        background: the mean cosine of two vectors of the index, which is no likeness at all: BGE's cosines bunch high.
    """
    cosines = vectors @ vectors.T
    scaled: Floats = np.clip((cosines - background) / max(1 - background, 1e-6), 0, 1).astype(np.float32)
    return scaled


def scaled(scores: Floats) -> Floats:
    """Scores of any kind from 0, the lowest of them, to 1, the highest; all 1 where they are equal, (n,)."""
    low, high = scores.min(initial=np.inf), scores.max(initial=-np.inf)
    if low >= high:
        return np.ones_like(scores)
    between: Floats = ((scores - low) / (high - low)).astype(np.float32)
    return between
