"""The store contract, over every store."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from beige.errors import StoreError
from beige.index.qdrant.store import QdrantStore
from beige.index.store import Entry, Store, Vectors
from beige.values import Floats, Sparse
from tests.index.contract import BACKENDS
from tests.index.samples import DIMENSION, QUERIES, TOKENS, PlainStore, check_equal, entry, manifest, top


@pytest.fixture(params=BACKENDS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    store = BACKENDS[request.param](tmp_path / "index", manifest())
    yield store
    store.close()


def test_an_empty_store_answers_with_nothing(store: Store) -> None:
    check_equal(store, PlainStore())
    assert store.fetch(np.array([1, 2])) == []
    assert store.known("dense", ["00" * 32]) == {}
    assert np.isnan(store.scores("dense", QUERIES["dense"][0], np.array([7]))).all()


def test_documents_come_back_as_they_were_given(store: Store) -> None:
    given = [entry("b/\udcff.md", 1, chunks=3), entry("a.md", 2, chunks=2), entry("empty", 3, chunks=0)]
    store.upsert(given)
    ids = store.top("dense", QUERIES["dense"][0], 10).ids
    found = {(p.source, p.position): p for p in store.fetch(ids)}
    assert set(found) == {("b/\udcff.md", 0), ("b/\udcff.md", 1), ("b/\udcff.md", 2), ("a.md", 0), ("a.md", 1)}
    for document in (e.document for e in given):
        for position, chunk in enumerate(document.chunks):
            passage = found[document.source, position]
            assert (passage.text, passage.locator) == (chunk.text, chunk.locator)
            assert (passage.media, dict(passage.fields)) == (document.media, dict(document.fields))
    stored = {s.source: s for s in store.documents()}
    assert list(stored) == ["a.md", "b/\udcff.md", "empty"]
    document = given[0].document
    assert stored[document.source].digest == document.digest
    assert (stored[document.source].size, stored[document.source].modified) == (document.size, document.modified)
    assert [s.chunks for s in stored.values()] == [2, 3, 0]


def test_a_sparse_leg_tells_what_it_multiplies_by(store: Store) -> None:
    store.upsert([entry(name, seed, chunks=4) for seed, name in enumerate("abcdef")])
    store.delete(["c"])
    ids = store.top("dense", QUERIES["dense"][0], 100).ids
    query = Sparse(np.arange(3, 9, dtype=np.uint32), np.full(6, 2, np.float32))
    each = [Sparse(query.ids[n : n + 1], np.ones(1, np.float32)) for n in range(6)]
    for one in each:
        stored = store.scores("bm25", one, ids) / store.idf("bm25", one)
        assert stored.any()
        assert 4 * stored == pytest.approx(np.round(4 * stored), abs=1e-4), "the sample's weights are quarters"
    assert store.idf("bm25", query) == pytest.approx([store.idf("bm25", one)[0] for one in each])
    assert store.idf("sparse", query).tolist() == [1] * 6
    assert len(set(store.idf("bm25", query).tolist())) > 1
    with pytest.raises(StoreError):
        store.idf("dense", query)


def test_a_document_replaces_the_one_of_its_source(store: Store) -> None:
    plain = PlainStore()
    for target in (store, plain):
        target.upsert([entry("a", 1, chunks=4), entry("b", 2, chunks=4)])
        target.upsert([entry("a", 3, chunks=2)])
        target.upsert([entry("b", 4, chunks=1), entry("b", 5, chunks=3)])  # the last one counts
    check_equal(store, plain)


def parts(one: Entry, *ends: int) -> Iterator[dict[str, Vectors]]:
    """The vectors of a document up to each of these chunks."""
    for first, end in pairwise([0, *ends]):
        yield {leg: vectors[first:end] for leg, vectors in one.vectors.items()}


def test_a_document_comes_in_parts(store: Store) -> None:
    plain, one = PlainStore(), entry("a", 3, chunks=7)
    for target in (store, plain):
        target.upsert([entry("a", 1, chunks=4), entry("b", 2, chunks=4)])
    seen = []

    def looked_at() -> Iterator[dict[str, Vectors]]:
        for part in parts(one, 2, 3, 7):
            yield part
            seen.append(store.count())

    store.upsert_in_parts(one.document, looked_at())
    assert seen == [(2, 8)] * 3, "nothing is seen of it before all are there"
    plain.upsert([one])
    check_equal(store, plain)
    empty = entry("empty", 4, chunks=0)
    store.upsert_in_parts(empty.document, [])
    plain.upsert([empty])
    check_equal(store, plain)


def test_of_a_document_whose_parts_end_too_soon_the_version_before_counts(store: Store) -> None:
    plain, one = PlainStore(), entry("a", 3, chunks=7)
    for target in (store, plain):
        target.upsert([entry("a", 1, chunks=4)])

    def broken() -> Iterator[dict[str, Vectors]]:
        yield from parts(one, 2, 3)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        store.upsert_in_parts(one.document, broken())
    for ends in ((2, 3), (2, 8), (2, 7, 9)):
        more = {leg: (*vectors, *vectors) for leg, vectors in one.vectors.items() if leg != "dense"}
        longer = Entry(one.document, {**more, "dense": np.concatenate([one.vectors["dense"]] * 2)})
        with pytest.raises(StoreError, match="a has 7 chunks"):
            store.upsert_in_parts(one.document, parts(longer, *ends))
    for query in QUERIES["dense"]:
        assert top(store, "dense", query, 100) == plain.top("dense", query, 100)
    store.upsert([entry("b", 2, chunks=2)])
    plain.upsert([entry("b", 2, chunks=2)])
    assert store.count() == plain.count()


def test_a_chunk_id_is_never_given_again(store: Store) -> None:
    store.upsert([entry("a", 1, chunks=3)])
    old = store.top("dense", QUERIES["dense"][0], 3).ids
    store.delete(["a"])
    store.upsert([entry("b", 1, chunks=3)])
    new = store.top("dense", QUERIES["dense"][0], 3).ids
    assert not set(old.tolist()) & set(new.tolist())
    assert store.fetch(old) == []
    assert np.isnan(store.scores("bm25", QUERIES["bm25"][0], old)).all()


def test_deleting_tells_how_many_there_were(store: Store) -> None:
    store.upsert([entry("a", 1, chunks=3), entry("b", 2, chunks=1)])
    assert store.delete(["a", "nowhere"]) == 1
    assert store.delete(["a"]) == 0
    assert store.delete([]) == 0
    assert store.count() == (1, 1)


def test_scores_agree_with_ranks(store: Store) -> None:
    store.upsert([entry(f"d{seed}", seed, chunks=4) for seed in range(12)])
    everything = store.top("dense", QUERIES["dense"][0], 1000).ids[::-1]
    plain = PlainStore()
    plain.upsert([entry(f"d{seed}", seed, chunks=4) for seed in range(12)])
    for leg, queries in QUERIES.items():
        for query in queries:
            ranking = store.top(leg, query, 1000)
            assert (store.scores(leg, query, ranking.ids) == ranking.scores).all()
            expected = plain.all_scores(leg, query)
            places = [(p.source, p.position) for p in store.fetch(everything)]
            assert store.scores(leg, query, everything).tolist() == [np.float32(expected[p]) for p in places]


def test_ties_break_by_source_and_position(store: Store) -> None:
    one = entry("x", 1, chunks=3)
    same = Entry(one.document, {"dense": np.ones((3, DIMENSION), np.float32), "bm25": one.vectors["bm25"][:1] * 3,
                                "sparse": one.vectors["sparse"][:1] * 3,
                                "multi": one.vectors["multi"][:1] * 3})  # fmt: skip
    for source in ("c", "a", "ä", "b"):
        store.upsert([Entry(replace(same.document, source=source), same.vectors)])
    query = np.ones(DIMENSION, np.float32)
    expected = [(source, position) for source in ("a", "b", "c", "ä") for position in range(3)]
    for k in (1, 2, 5, 12, 40):
        assert [hit[:2] for hit in top(store, "dense", query, k)] == expected[:k]
        assert [hit[:2] for hit in top(store, "sparse", same.vectors["sparse"][0], k)] == expected[:k]


def same(one: Floats | Sparse, other: Floats | Sparse) -> bool:
    if isinstance(one, Sparse):
        assert isinstance(other, Sparse)
        return np.array_equal(one.ids, other.ids) and np.array_equal(one.weights, other.weights)
    return np.array_equal(one, other)


def test_known_gives_the_vectors_of_any_chunk_with_the_key(store: Store) -> None:
    first, second = entry("a", 1, chunks=3), entry("b", 2, chunks=2)
    store.upsert([first, second])
    keys = [chunk.key for chunk in first.document.chunks + second.document.chunks]
    for leg in ("dense", "bm25", "sparse", "multi"):
        known = store.known(leg, [*keys, "ff" * 32])
        assert set(known) == set(keys)
        for key, vector in zip(keys, [*first.vectors[leg], *second.vectors[leg]], strict=True):
            assert same(known[key], vector)
    store.delete(["a"])
    assert set(store.known("dense", keys)) == set(keys[3:])


def test_vectors_are_those_of_the_chunks(store: Store) -> None:
    entries = {f"d{seed}": entry(f"d{seed}", seed, chunks=3) for seed in range(5)}
    store.upsert(list(entries.values()))
    ids = store.top("dense", QUERIES["dense"][0], 100).ids
    passages = {passage.id: passage for passage in store.fetch(ids)}
    store.delete(["d3"])
    for leg in QUERIES:
        found = store.vectors(leg, ids)
        assert set(found) == {chunk for chunk, passage in passages.items() if passage.source != "d3"}
        for chunk, vector in found.items():
            stored = entries[passages[chunk].source].vectors[leg][passages[chunk].position]
            if isinstance(vector, Sparse):
                assert (vector.ids.tolist(), vector.weights.tolist()) == (stored.ids.tolist(), stored.weights.tolist())
            else:
                assert vector.dtype == np.float32
                assert vector.tolist() == stored.tolist()
        assert store.vectors(leg, ids[:0]) == {}


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_sample_depends_on_what_is_stored_and_not_on_how_it_came_there(backend: str, tmp_path: Path) -> None:
    make = BACKENDS[backend]
    entries = [entry(f"d{seed}", seed, chunks=4) for seed in range(20)]
    with closing(make(tmp_path / "one", manifest())) as one, closing(make(tmp_path / "two", manifest())) as two:
        assert one.sample("dense", 5).shape == (0, DIMENSION)
        one.upsert(entries)
        two.upsert([entry("gone", 99, chunks=4), *entries[::-1]])
        assert two.sample("dense", 1000).shape == (84, DIMENSION)
        two.delete(["gone"])
        two.delete(["d3"])
        two.upsert([entries[3]])
        for count in (1, 7, 80, 1000):
            sample = one.sample("dense", count)
            assert sample.shape == (min(count, 80), DIMENSION)
            assert sample.tolist() == two.sample("dense", count).tolist()
        everything = {tuple(vector) for each in entries for vector in each.vectors["dense"].tolist()}
        assert {tuple(vector) for vector in one.sample("dense", 80).tolist()} == everything
        for leg in ("bm25", "sparse"):
            with pytest.raises(StoreError, match="no dense vectors"):
                one.sample(leg, 5)


def test_what_has_expired_is_in_no_answer(store: Store) -> None:
    plain = PlainStore()
    for number, name in enumerate("abcdefgh"):
        one = entry(name, number, chunks=4)
        when = {0: None, 1: 4e9, 2: 1.0, 3: 2.0}[number % 4]
        store.upsert([Entry(replace(one.document, expires=when), one.vectors)])
        if number % 4 < 2:
            plain.upsert([one])
    if isinstance(store, QdrantStore):
        store.remove_expired()  # until a writer does, a server's IDF counts it
    check_equal(store, plain)
    assert {source: s.expires for source, s in store.stored(list("abcdefgh")).items()} == {
        "a": None, "b": 4e9, "e": None, "f": 4e9,
    }  # fmt: skip
    store.expire(["b", "nowhere"], None)
    store.expire(["e", "f"], 5.0)
    plain.delete(["e", "f"])
    if isinstance(store, QdrantStore):
        store.remove_expired()
    check_equal(store, plain)
    assert {source: s.expires for source, s in store.stored(["a", "b", "f"]).items()} == {"a": None, "b": None}
    ids = store.top("dense", QUERIES["dense"][0], 100).ids
    store.expire(["a"], 5.0)
    gone = [p.source == "b" for p in store.fetch(ids)]
    assert gone == [True] * 4
    assert np.isnan(store.scores("dense", QUERIES["dense"][0], ids)).sum() == 4


def test_given_documents_are_told_from_files(store: Store) -> None:
    one, two = entry("one", 1, chunks=2), entry("two", 2, chunks=1)
    store.upsert([one, Entry(replace(two.document, given=True, origin="a"), two.vectors)])
    assert {s.source: (s.given, s.origin) for s in store.documents()} == {
        "one": (False, ""),
        "two": (True, "a"),
    }
    assert store.document("two").origin == "a"
    ids = store.top("dense", QUERIES["dense"][0], 10).ids
    assert {p.source: p.given for p in store.fetch(ids)} == {"one": False, "two": True}


def test_what_is_known_is_stored_again_as_it_was(store: Store) -> None:
    """Also where storing rounds: a chunk that is copied keeps its scores."""
    rng = np.random.default_rng(0)
    one = entry("a", 1, chunks=4)
    vectors = {
        "dense": rng.standard_normal((4, DIMENSION)).astype(np.float32),
        "bm25": one.vectors["bm25"],
        "sparse": tuple(replace(s, weights=s.weights / np.float32(7)) for s in one.vectors["sparse"]),
        "multi": tuple(rng.standard_normal((tokens, DIMENSION)).astype(np.float32) for tokens in (1, 5, 0, 3)),
    }
    store.upsert([Entry(one.document, vectors)])
    keys = [chunk.key for chunk in one.document.chunks]
    copied = {leg: [store.known(leg, keys)[key] for key in keys] for leg in vectors}
    entries = {leg: np.stack(found) if leg == "dense" else tuple(found) for leg, found in copied.items()}
    store.upsert([Entry(replace(one.document, source="b"), entries)])  # type: ignore[arg-type]
    places = {(p.source, p.position): p.id for p in store.scan()}
    for leg, query in (
        ("dense", vectors["dense"][0]),
        ("sparse", QUERIES["sparse"][0]),
        ("multi", vectors["multi"][1]),
    ):
        scores = [store.scores(leg, query, np.array([places[name, n] for n in range(4)])) for name in ("a", "b")]
        assert scores[0].tobytes() == scores[1].tobytes()


def test_token_vectors_score_but_find_nothing(store: Store) -> None:
    store.upsert([entry("a", 1, chunks=3)])
    with pytest.raises(StoreError, match="the leg 'multi' finds nothing by itself"):
        store.top("multi", TOKENS[0], 1)
    with pytest.raises(StoreError, match="multi"):
        store.idf("multi", QUERIES["sparse"][0])
    with pytest.raises(StoreError, match="'multi' has no dense vectors"):
        store.centroid("multi")
    ids = store.top("dense", QUERIES["dense"][0], 3).ids
    assert store.scores("multi", np.empty((0, DIMENSION), np.float32), ids).tolist() == [0, 0, 0]
    assert np.isnan(store.scores("multi", TOKENS[0], ids + 100)).all()


def test_documents_are_listed_by_prefix(store: Store) -> None:
    names = ["", "a", "a/b", "a/b#1", "a/b#2", "a/c", "ab", "b", "é", "\U0001f600", "\uffff"]
    store.upsert([entry(name, seed) for seed, name in enumerate(names)])
    assert [s.source for s in store.documents()] == sorted(names)
    for prefix in ("a", "a/", "a/b#", "\U0001f600", "nowhere"):
        begin = sorted(n for n in names if n.startswith(prefix))
        assert [s.source for s in store.documents(prefix)] == begin
        for after in (*names, "", "zz"):
            assert [s.source for s in store.documents(prefix, after=after)] == [n for n in begin if n > after]


def test_a_long_listing_goes_on_while_documents_come_and_go(store: Store) -> None:
    store.upsert([entry(f"{number:05}", number, chunks=0) for number in range(1200)])
    seen = []
    for stored in store.documents():
        if stored.source.endswith("50") and not stored.source.startswith("a"):
            store.delete([stored.source])
            store.upsert([entry("a" + stored.source, 1, chunks=0)])
        seen.append(stored.source)
    assert seen[:1200] == [f"{number:05}" for number in range(1200)]
    assert len(seen) in (1200, 1212)  # what is stored meanwhile may be among them


def test_a_scan_gives_every_chunk_once(store: Store) -> None:
    assert list(store.scan()) == []
    entries = [entry(f"{number:03}", number, chunks=13) for number in range(90)]  # more than one page
    store.upsert(entries)
    store.delete(["007"])
    found = [(passage.source, passage.position, passage.text) for passage in store.scan()]
    if not isinstance(store, QdrantStore):
        assert found == sorted(found)  # in the order of storing
    assert sorted(found) == [
        (each.document.source, position, chunk.text)
        for each in entries
        if each.document.source != "007"
        for position, chunk in enumerate(each.document.chunks)
    ]


@pytest.mark.parametrize(
    ("leg", "vectors", "message"),
    [
        ("dense", np.ones((2, DIMENSION + 1), np.float32), "dimensions"),
        ("dense", np.ones((1, DIMENSION), np.float32), "chunks"),
        ("dense", np.full((2, DIMENSION), np.nan, np.float32), "NaN"),
        ("dense", np.full((2, DIMENSION), 1e6, np.float32), "too large"),
        ("dense", (Sparse(np.array([1], np.uint32), np.ones(1, np.float32)),) * 2, "dimensions"),
        ("bm25", np.ones((2, DIMENSION), np.float32), "sparse"),
        ("bm25", (Sparse(np.array([2, 1], np.uint32), np.ones(2, np.float32)),) * 2, "ascending"),
        ("bm25", (Sparse(np.array([1, 1], np.uint32), np.ones(2, np.float32)),) * 2, "distinct"),
        ("bm25", (Sparse(np.array([1], np.uint32), np.full(1, np.inf, np.float32)),) * 2, "infinite"),
        ("bm25", (Sparse(np.array([1], np.uint32), np.full(1, -1, np.float32)),) * 2, "below zero"),
        ("multi", (np.ones((3, DIMENSION + 1), np.float32),) * 2, "token vectors of 6 dimensions"),
        ("multi", np.ones((2, DIMENSION), np.float32), "token vectors of 6 dimensions"),
        ("multi", (np.full((3, DIMENSION), np.nan, np.float32),) * 2, "NaN"),
        ("multi", (np.ones((3, DIMENSION), np.float32),), "chunks"),
    ],
)
def test_vectors_that_do_not_fit_are_refused_and_nothing_is_stored(
    store: Store, leg: str, vectors: object, message: str
) -> None:
    good, bad = entry("good", 1, chunks=2), entry("bad", 2, chunks=2)
    with pytest.raises(StoreError, match=message) as refusal:
        store.upsert([good, Entry(bad.document, {**bad.vectors, leg: vectors})])  # type: ignore[dict-item]
    assert "bad" in str(refusal.value)
    assert store.count() == (0, 0)


def test_missing_and_unknown_legs_are_refused(store: Store) -> None:
    one = entry("one", 1, chunks=1)
    with pytest.raises(StoreError, match="one has vectors for"):
        store.upsert([Entry(one.document, {"dense": one.vectors["dense"]})])
    with pytest.raises(StoreError, match="no leg 'colour'"):
        store.top("colour", QUERIES["dense"][0], 1)


def test_queries_that_do_not_fit_are_refused(store: Store) -> None:
    for leg, query in (
        ("dense", np.ones(DIMENSION + 1, np.float32)),
        ("dense", np.full(DIMENSION, np.nan, np.float32)),
        ("dense", QUERIES["bm25"][0]),
        ("bm25", QUERIES["dense"][0]),
        ("bm25", Sparse(np.array([2, 1], np.uint32), np.ones(2, np.float32))),
    ):
        with pytest.raises(StoreError, match=leg):
            store.top(leg, query, 1)
    for tokens in (QUERIES["dense"][0], QUERIES["bm25"][0], np.full((2, DIMENSION), np.inf, np.float32)):
        with pytest.raises(StoreError, match="multi"):
            store.scores("multi", tokens, np.array([1]))


def test_an_empty_sparse_query_finds_nothing(store: Store) -> None:
    store.upsert([entry("a", 1, chunks=2)])
    nothing = Sparse(np.empty(0, np.uint32), np.empty(0, np.float32))
    ranking = store.top("bm25", nothing, 5)
    assert len(ranking.ids) == len(ranking.scores) == 0
    ids = store.top("dense", QUERIES["dense"][0], 5).ids
    assert store.scores("bm25", nothing, ids).tolist() == [0.0, 0.0]
