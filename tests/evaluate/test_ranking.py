"""Rankings of whole documents, against plain definitions and against the index's own search."""

import numpy as np
import pytest

from beige.evaluate.ranking import Dense, Legs
from beige.evaluate.variants import STORAGES
from beige.evaluate.words import Words
from beige.search.fusion import Evidence, fuse
from beige.search.request import READ

CHANCE = np.random.default_rng(11)
TEXTS = [
    "The river flows over stones.",
    "Stones are heavy, and a stone sinks.",
    "An engine burns paper?",
    "Rivers and mountains",
    "",
]


def unit(n: int, d: int = 16) -> np.ndarray:
    rows = CHANCE.normal(size=(n, d)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_the_dense_leg_alone_is_the_order_of_the_cosines():
    documents, queries = unit(40), unit(3)
    legs = Legs(Dense(STORAGES["float32"](documents), queries), None)
    for number, ranking in enumerate(legs.rank(["a", "b", "c"], [None] * 3)):
        cosines = documents @ queries[number]
        assert ranking.places.tolist() == np.argsort(-cosines, kind="stable").tolist()
        assert ranking.scores == pytest.approx(np.sort(cosines)[::-1])
        assert ranking.seconds > 0


def test_words_alone_find_only_what_shares_a_word():
    (ranking,) = Legs(None, Words(TEXTS)).rank(["stones"], [None])
    assert set(ranking.places.tolist()) == {0, 1}


def test_both_legs_are_fused_by_the_searchs_formula():
    documents, queries = unit(len(TEXTS)), unit(1)
    words = Words(TEXTS)
    (ranking,) = Legs(Dense(STORAGES["float32"](documents), queries), words).rank(["river stones"], [None])
    cosines, lexical = documents @ queries[0], words.scores("river stones")
    floor = cosines.mean()
    order = np.argsort(-cosines)
    legs = {
        "dense": Evidence(cosines, (np.argsort(order) + 1).astype(np.int32), floor, "dense"),
        "bm25": Evidence(lexical, np.zeros(len(TEXTS), np.int32), 0.0, "sparse"),
    }
    expected = fuse("convex", legs)
    assert ranking.places.tolist() == np.argsort(-expected, kind="stable").tolist()
    assert ranking.scores == pytest.approx(np.sort(expected)[::-1], abs=1e-6)


def test_depth_cuts_each_leg_and_the_result():
    documents, queries = unit(40), unit(1)
    (ranking,) = Legs(Dense(STORAGES["float32"](documents), queries), None, depth=7).rank(["a"], [None])
    assert len(ranking.places) == 7


def test_only_the_candidates_are_ranked():
    documents, queries = unit(40), unit(1)
    some = np.array([9, 3, 30])
    for words in (None, Words(["x"] * 40)):
        (ranking,) = Legs(Dense(STORAGES["float32"](documents), queries), words).rank(["a"], [some])
        assert sorted(ranking.places.tolist()) == [3, 9, 30]
    (ranking,) = Legs(None, Words(["x"] * 40)).rank(["y"], [some])
    assert sorted(ranking.places.tolist()) == [3, 9, 30]  # unlike a search, a rerank set ranks all that it is given


def test_a_reranker_orders_the_best_and_the_rest_follows():
    documents, queries = unit(80), unit(1)
    dense = Dense(STORAGES["float32"](documents), queries)
    (plain,) = Legs(dense, None).rank(["a"], [None])
    given = {}

    def rerank(text, places):
        given[text] = places.tolist()
        return places.astype(np.float32), 2.0

    (ranking,) = Legs(dense, None, rerank=rerank).rank(["a"], [None])
    assert given["a"] == plain.places[:READ].tolist()
    assert ranking.places[:READ].tolist() == sorted(given["a"], reverse=True)
    assert ranking.places[READ:].tolist() == plain.places[READ:].tolist()
    assert (np.diff(ranking.scores) < 0).all()
    assert ranking.seconds > 2
