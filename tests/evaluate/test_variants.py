"""Smaller vectors."""

import numpy as np
import pytest

from beige.errors import UsageError
from beige.evaluate.variants import STORAGES, shortened, top

CHANCE = np.random.default_rng(3)


def unit(n: int, d: int) -> np.ndarray:
    rows = CHANCE.normal(size=(n, d)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.mark.parametrize(
    ("storage", "size", "error"),
    [("float32", 512, 0), ("float16", 256, 1e-3), ("int8", 132, 1e-2), ("binary", 16, 0.5)],
)
def test_bytes_and_what_is_lost(storage: str, size: int, error: float):
    vectors = unit(50, 128)
    kept = STORAGES[storage](vectors)
    assert kept.bytes == size
    assert kept.vectors.dtype == np.float32
    assert np.abs(kept.vectors - vectors).max() <= error
    query = unit(1, 128)[0]
    assert kept.scores(query) == pytest.approx(kept.vectors @ query)


def test_int8_uses_its_whole_range():
    vectors = unit(20, 64)
    kept = STORAGES["int8"](vectors)
    scale = np.abs(vectors).max(axis=1, keepdims=True) / 127
    steps = kept.vectors / scale
    assert np.abs(steps - np.rint(steps)).max() < 1e-3
    assert np.allclose(np.abs(steps).max(axis=1), 127, atol=1e-3)
    assert np.abs(kept.vectors - vectors).max() <= scale.max() / 2 + 1e-6


def test_binary_takes_candidates_by_hamming_distance_and_rescores_them():
    vectors, query = unit(400, 64), unit(1, 64)[0]
    kept = STORAGES["binary"](vectors)
    scores = kept.scores(query)
    found = kept.best(query, scores, 5)
    distance = ((vectors > 0) != (query > 0)).sum(axis=1)
    assert distance[found].max() <= np.sort(distance)[20]  # among the 4 x 5 nearest, ties aside
    assert (np.diff(scores[found]) <= 0).all()
    # The rescoring counts: within the candidates the order is by the query's numbers, not by distance.
    assert scores[found[0]] == max(scores[at] for at in found)


def test_zero_vectors_stay_finite():
    zero = np.zeros((2, 8), np.float32)
    for storage in STORAGES.values():
        assert np.isfinite(storage(zero).vectors).all()
    assert np.isfinite(shortened(zero, 4)).all()


def test_shortened_vectors_are_unit_vectors_of_the_first_numbers():
    vectors = unit(10, 32)
    short = shortened(vectors, 8)
    assert np.allclose(np.linalg.norm(short, axis=1), 1, atol=1e-6)
    assert np.allclose(np.einsum("nd,nd->n", short, vectors[:, :8]), np.linalg.norm(vectors[:, :8], axis=1), atol=1e-6)
    assert shortened(vectors, None) is vectors
    with pytest.raises(UsageError, match="dimensions=33: the vectors have 32 numbers"):
        shortened(vectors, 33)


@pytest.mark.parametrize("k", [1, 3, 50, 99, 100, 1000])
def test_top_is_a_stable_sort(k: int):
    scores = CHANCE.integers(0, 9, 100).astype(np.float32)  # many ties
    assert top(scores, k).tolist() == sorted(range(100), key=lambda at: (-scores[at], at))[:k]
