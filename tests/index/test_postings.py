"""Postings against the vectors that they were made of."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from beige.index import postings
from beige.index.codec import SparseRows, decode_sparse, encode_sparse
from beige.index.postings import Postings, merged
from beige.values import Sparse


def vectors(seed: int, count: int) -> list[Sparse]:
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        ids = np.unique(rng.integers(0, 2**32, 3)).astype(np.uint32) if rng.random() < 0.2 else np.empty(0, np.uint32)
        ids = np.union1d(ids, np.flatnonzero(rng.random(9) < 0.4)).astype(np.uint32)
        made.append(Sparse(ids, (rng.integers(1, 9, len(ids)) / 4).astype(np.float32)))
    return made


def rows(first: int, given: list[Sparse]) -> SparseRows:
    return decode_sparse(list(enumerate(encode_sparse(tuple(given), "here"), start=first)))


def same(one: Postings, other: Postings) -> bool:
    return all(
        np.array_equal(getattr(one, name), getattr(other, name))
        for name in ("ids", "terms", "offsets", "highest", "rows", "weights")
    )


def test_sparse_vectors_survive_the_database() -> None:
    given = vectors(0, 20)
    found = rows(5, given)
    assert found.ids.tolist() == list(range(5, 25))
    ends = np.cumsum(found.lengths)
    for vector, end, length in zip(given, ends, found.lengths, strict=True):
        assert (found.terms[end - length : end] == vector.ids).all()
        assert (found.weights[end - length : end] == vector.weights).all()


@pytest.mark.parametrize("block", [1, 7, 1 << 20])
@given(counts=st.lists(st.integers(0, 6), min_size=1, max_size=4), seed=st.integers(0, 1000))
def test_merging_equals_making_anew(block: int, counts: list[int], seed: int) -> None:
    before, postings._BLOCK = postings._BLOCK, block
    try:
        everything = vectors(seed, sum(counts))
        alive = np.random.default_rng(seed).random(len(everything)) < 0.7
        starts = np.cumsum([0, *counts])
        parts = [
            (Postings.of(rows(start, everything[start:end])), alive[start:end])
            for start, end in itertools.pairwise(starts)
        ]
        left = decode_sparse(
            [(number, blob) for number, blob in enumerate(encode_sparse(tuple(everything), "here")) if alive[number]]
        )
        assert same(merged(parts), Postings.of(left))
    finally:
        postings._BLOCK = before


@given(seed=st.integers(0, 1000))
def test_scores_are_dot_products(seed: int) -> None:
    everything = vectors(seed, 12)
    query = vectors(seed + 1, 1)[0]
    part, alive = Postings.of(rows(0, everything)), np.arange(12) % 3 > 0
    weights = query.weights.astype(np.float64)
    expected = [query.dot(vector) for vector in everything]
    assert part.scores(query, weights).tolist() == pytest.approx(expected)
    some = np.array([1, 4, 11], np.int32)
    assert (part.scores_of(query, weights, some) == part.scores(query, weights)[some]).all()
    frequencies = [
        sum(term in vector.ids for vector, there in zip(everything, alive, strict=True) if there) for term in query.ids
    ]
    assert part.frequencies(query, alive).tolist() == frequencies


@pytest.mark.parametrize("seed", range(40))
def test_the_best_are_those_of_all_scores(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postings, "_PLAIN", 0)
    monkeypatch.setattr(postings, "_SEEK", (0, 1, 16)[seed % 3])
    rng = np.random.default_rng(seed)
    count, terms = 400, 30
    frequencies = rng.permutation(1 / np.arange(1, terms + 1))  # some ids are in almost every chunk
    given = []
    for _ in range(count):
        ids = np.flatnonzero(rng.random(terms) < frequencies).astype(np.uint32)
        weights = rng.integers(1, 5, len(ids)) / 4 if seed % 2 else rng.random(len(ids)) + 0.01
        given.append(Sparse(ids, weights.astype(np.float32)))
    part = Postings.of(rows(0, given))
    alive = rng.random(count) < (1.0, 0.7, 0.02)[seed // 2 % 3]
    query = Sparse(np.flatnonzero(rng.random(terms + 5) < 0.3).astype(np.uint32), np.empty(0, np.float32))
    weights = rng.integers(1, 5, len(query)) / 4 * (rng.random(len(query)) < 0.9)
    every = part.scores(query, weights)
    for k in (1, 7, 100):
        living = np.sort(every[alive & (every > 0)])
        kth = np.float32(living[-k]) if len(living) >= k else 0
        for floor in (0.0, float(kth), float(kth) * 2):
            found, scores = part.best(query, weights, k, alive, floor)
            assert (np.diff(found) > 0).all()
            assert alive[found].all()
            assert (scores == every[found]).all()
            wanted = np.flatnonzero(alive & (every > 0) & (every.astype(np.float32) >= max(kth, floor)))
            assert set(wanted.tolist()) <= set(found.tolist())
    assert part.frequencies(query, alive).tolist() == [
        sum(term in given[row].ids for row in np.flatnonzero(alive)) for term in query.ids
    ]


def test_most_of_a_common_ids_list_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ids in every chunk add little beside rare ones: only the rows of these are looked up."""
    rng, count = np.random.default_rng(0), 20_000
    monkeypatch.setattr(postings, "_PLAIN", 0)
    given = [
        Sparse(np.array([0, 1] + [2] * (n % 100 == 0), np.uint32), rng.random(2 + (n % 100 == 0)).astype(np.float32))
        for n in range(count)
    ]
    part, query = Postings.of(rows(0, given)), Sparse(np.arange(3, dtype=np.uint32), np.ones(3, np.float32))
    weights = np.array([0.01, 0.02, 9.0])
    assert len(part._contenders(query, weights, 10, np.ones(count, bool), 0.0)) < 50
    found, _ = part.best(query, weights, 10, np.ones(count, bool))
    assert set(np.argsort(-part.scores(query, weights))[:10].tolist()) <= set(found.tolist())


def test_idf_falls_with_frequency_and_stays_above_zero() -> None:
    idf = postings.inverse_document_frequency(10, np.arange(11))
    assert (np.diff(idf) < 0).all()
    assert idf[-1] > 0
    assert idf[3] == pytest.approx(np.log(1 + 7.5 / 3.5))
