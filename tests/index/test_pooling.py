import numpy as np
import pytest
from scipy.cluster.hierarchy import fcluster, linkage

from beige.index.pooling import pooled
from beige.values import Floats


def unit(seed: int, tokens: int, dimension: int = 24) -> Floats:
    vectors = np.random.default_rng(seed).standard_normal((tokens, dimension))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("tokens", [1, 2, 3, 10, 61, 128])
@pytest.mark.parametrize("factor", [2, 3, 200])
def test_clusters_are_those_of_ward_as_scipy_has_it(tokens: int, factor: int) -> None:
    vectors = unit(tokens, tokens)
    found = pooled(vectors, factor)
    count = -(-tokens // factor)
    assert found.shape == (count, 24)
    assert found.dtype == np.float32
    if tokens > 1:
        labels = fcluster(linkage(vectors.astype(np.float64), "ward"), count, "maxclust")
        expected = [vectors[labels == label].mean(axis=0) for label in dict.fromkeys(labels.tolist())]
        assert found == pytest.approx(np.stack(expected), abs=1e-6)


def test_equal_tokens_become_one_and_nothing_is_lost() -> None:
    vectors = np.repeat(unit(0, 5), 2, axis=0)
    assert pooled(vectors, 2) == pytest.approx(vectors[::2], abs=1e-6)


def test_a_factor_of_one_and_no_tokens_change_nothing() -> None:
    vectors = unit(1, 9)
    assert pooled(vectors, 1) is vectors
    assert pooled(vectors[:0], 3).shape == (0, 24)
