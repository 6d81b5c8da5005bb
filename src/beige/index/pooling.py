"""Fewer token vectors for a text: those that are alike become their mean."""

import numpy as np

from beige.values import Floats


def pooled(vectors: Floats, factor: int) -> Floats:
    """One vector for every `factor` of a text's, (ceil(t / factor), d): the means of clusters, by their first tokens.

    Clavie, Chaffin and Adams 2024, "Reducing the Footprint of Multi-Vector Retrieval with Minimal Performance Impact
    via Token Pooling", https://arxiv.org/abs/2409.14683: hierarchical clustering by Ward's method; the means are left
    as short as they are, so that a cluster of unlike tokens counts less.

    Args:
        vectors: unit vectors, (t, d).
        factor: how many become one, from 1.
    """
    count = -(-len(vectors) // factor)
    if count >= len(vectors):
        return vectors
    sums = vectors.astype(np.float64)  # (t, d), of each cluster
    sizes = np.ones(len(vectors))
    norms = np.square(sums).sum(axis=1)
    apart = norms[:, None] + norms - 2 * sums @ sums.T  # (t, t), squared distances
    np.fill_diagonal(apart, np.inf)
    for _ in range(len(vectors) - count):
        first, second = sorted(np.unravel_index(apart.argmin(), apart.shape))
        # Lance and Williams 1967: the distances of the two together from every other cluster.
        joint = sizes + sizes[first] + sizes[second]
        near = (sizes + sizes[first]) * apart[first] + (sizes + sizes[second]) * apart[second]
        apart[first] = apart[:, first] = (near - sizes * apart[first, second]) / joint
        apart[second] = apart[:, second] = np.inf
        sums[first] += sums[second]
        sizes[first] += sizes[second]
        sizes[second] = 0
    left = sizes > 0
    means: Floats = (sums[left] / sizes[left, None]).astype(np.float32)
    return means
