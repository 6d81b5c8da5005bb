import numpy as np
import pytest

from beige.errors import UsageError
from beige.lexical import by_table, by_tokens, by_words
from beige.scores import dense_score, mixed_score, multi_score, sparse_score
from beige.values import Embedding, Sparse


def embedding(seed: int) -> Embedding:
    random = np.random.default_rng(seed)
    ids = np.sort(random.choice(50, 20, replace=False)).astype(np.uint32)
    sparse = Sparse(ids, random.uniform(0.1, 1, 20).astype(np.float32))
    dense, multi = random.standard_normal(8).astype("f4"), random.standard_normal((5 + seed, 8)).astype("f4")
    return Embedding(dense, sparse, multi, tokens=7, truncated=False)


def test_scores_are_their_formulas():
    one, other = embedding(0), embedding(1)
    weights = dict(zip(other.sparse.ids.tolist(), other.sparse.weights.tolist(), strict=True))
    overlap = sum(
        w * weights.get(i, 0) for i, w in zip(one.sparse.ids.tolist(), one.sparse.weights.tolist(), strict=True)
    )
    best = np.mean([max(float(q @ d) for d in other.multi) for q in one.multi])
    assert sparse_score(one.sparse, other.sparse) == pytest.approx(overlap, rel=1e-5)
    assert multi_score(one.multi, other.multi) == pytest.approx(best, rel=1e-5)
    each = np.array([dense_score(one.dense, other.dense), overlap, best])
    assert overlap > 0
    assert mixed_score(one, other) == pytest.approx(each.mean(), rel=1e-5)
    assert mixed_score(one, other, (0.4, 0.2, 0.4)) == pytest.approx(each @ [0.4, 0.2, 0.4], rel=1e-5)
    assert mixed_score(one, other, (2, 0, 0)) == pytest.approx(each[0], rel=1e-5)


def test_a_text_without_vectors_scores_nothing():
    assert multi_score(np.zeros((0, 8), np.float32), embedding(0).multi) == 0
    assert multi_score(embedding(0).multi, np.zeros((0, 8), np.float32)) == 0


@pytest.mark.parametrize("weights", [(1, 1), (0, 0, 0), (1, -1, 1), (1, float("nan"), 1)])
def test_weights_that_mean_nothing_are_refused(weights):
    with pytest.raises(UsageError, match="give three from 0 on"):
        mixed_score(embedding(0), embedding(1), weights)


def test_a_missing_output_is_named_unless_it_weighs_nothing():
    bare = Embedding(embedding(0).dense, None, None, 3, False)
    with pytest.raises(UsageError, match="needs the output 'sparse'"):
        mixed_score(bare, embedding(1))
    assert mixed_score(bare, bare, (1, 0, 0)) > 0


def test_sparse_vectors_are_distinct_ascending_and_positive():
    ids, weights = np.array([0, 9, 4, 9, 7, 2], np.int32), np.array([3, 1, 0.5, 2, 0, 4], np.float32)
    found = by_tokens(ids, weights, (0, 2))
    assert found.ids.tolist() == [4, 9]
    assert found.weights.tolist() == [0.5, 2]
    words = by_words(np.array([0, 0.5, 0, 2], np.float32))
    assert (words.ids.tolist(), words.weights.tolist()) == ([1, 3], [0.5, 2])
    table = by_table(np.array([3, 1, 3, 0], np.int32), np.array([0, 0.5, 1, 2], np.float32))
    assert (table.ids.tolist(), table.weights.tolist()) == ([1, 3], [0.5, 2])
    assert len(by_tokens(np.array([], np.int32), np.array([], np.float32), (0,))) == 0
