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
        np.array_equal(getattr(one, name), getattr(other, name)) for name in ("ids", "terms", "offsets", "entries")
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
    assert (part.scores(query, weights) == postings.row_scores(rows(0, everything), query, weights)).all()
    frequencies = [
        sum(term in vector.ids for vector, there in zip(everything, alive, strict=True) if there) for term in query.ids
    ]
    assert part.frequencies(query, alive).tolist() == frequencies


def test_idf_falls_with_frequency_and_stays_above_zero() -> None:
    idf = postings.inverse_document_frequency(10, np.arange(11))
    assert (np.diff(idf) < 0).all()
    assert idf[-1] > 0
    assert idf[3] == pytest.approx(np.log(1 + 7.5 / 3.5))
