"""Filters and facets of the store contract, over every store: the same as looking at every document."""

import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beige.documents.chunk import Fields
from beige.errors import UsageError
from beige.index.expression import parse
from beige.index.facts import KEPT
from beige.index.filter import All, Any, Condition, Filter, Not
from beige.index.qdrant.store import QdrantStore
from beige.index.store import Entry, Store
from tests.index.contract import BACKENDS
from tests.index.filters import FILTERS
from tests.index.samples import QUERIES, PlainStore, check_filtered, entry, manifest, top

SEEDS = range(40)


@pytest.fixture(scope="module", params=BACKENDS)
def filled(request: pytest.FixtureRequest) -> Iterator[tuple[Store, PlainStore]]:
    """Documents some of which have been replaced and removed since."""
    plain = PlainStore()
    with tempfile.TemporaryDirectory() as folder:
        store = BACKENDS[request.param](Path(folder) / "index", manifest())
        for target in (store, plain):
            target.upsert([entry(f"doc{seed}", seed + 1) for seed in SEEDS])
            target.upsert([entry(f"doc{seed}", seed) for seed in SEEDS])
            target.upsert([entry("more/doc1", 1), entry("gone", 7)])
            target.delete(["gone"])
        yield store, plain
        store.close()


@settings(max_examples=60, deadline=None)
@given(where=FILTERS)
def test_what_is_found_is_what_every_look_finds(filled: tuple[Store, PlainStore], where: Filter) -> None:
    check_filtered(*filled, where)


@pytest.mark.parametrize("values", [(1, True, 1.0), (True, 1)])
def test_what_is_true_is_not_what_is_one(filled: tuple[Store, PlainStore], values: tuple[float, ...]) -> None:
    for value in values:  # a filter that was asked before is remembered
        check_filtered(*filled, Not(Condition("tags", "=", (value,))))


@settings(max_examples=40, deadline=None)
@given(
    where=st.none() | FILTERS,
    field=st.sampled_from(
        ["type", "language", "heading", "page", "seed", "half", "even", "tags", "name", "record.type"]
    ),
)
def test_facets_are_what_counting_gives(filled: tuple[Store, PlainStore], where: Filter | None, field: str) -> None:
    store, plain = filled
    assert list(store.facet(field, where).items()) == list(plain.facet(field, where).items())


def test_fields_and_languages_are_known(filled: tuple[Store, PlainStore]) -> None:
    store, _ = filled
    assert list(store.fields()) == ["even", "half", "name", "seed", "some field", "tags", "text", "type"]
    assert list(store.languages()) == ["de", "en"]


@pytest.mark.parametrize("field", ["path", "modified"])
def test_what_differs_in_every_document_has_no_facets(filled: tuple[Store, PlainStore], field: str) -> None:
    with pytest.raises(UsageError, match=f"{field} has no facets"):
        filled[0].facet(field)


def test_a_filter_that_nothing_passes_finds_nothing(filled: tuple[Store, PlainStore]) -> None:
    store, _ = filled
    for text in ("type:none", "nowhere:1", "-()", "seed>40", "page:99", "heading:none", "-name:*"):
        where = parse(text)
        assert [top(store, leg, queries[0], 5, where) for leg, queries in QUERIES.items()] == [[], [], []]
        assert list(store.documents(where=where)) == []
        assert store.facet("type", where) == store.facet("page", where) == {}


def test_the_prefix_and_the_filter_both_hold(filled: tuple[Store, PlainStore]) -> None:
    store, _ = filled
    assert [s.source for s in store.documents("doc1", parse("seed<12"))] == ["doc1", "doc10", "doc11"]


def test_large_filters_are_exact_and_larger_ones_are_refused(filled: tuple[Store, PlainStore]) -> None:
    store, plain = filled
    # In process, Qdrant goes through every value for every point, in Python.
    values, parts = (50, 50) if isinstance(store, QdrantStore) else (10_000, 1000)
    seeds = [Condition("seed", "=", (seed,)) for seed in range(1000)]
    for where, same in (
        (Condition("seed", "=", tuple(range(7, 7 + values))), "seed>=7"),
        (Condition("heading", "=", tuple(map(str, range(1, 1 + values)))), "heading:1,2,3,4"),
        (Any(tuple(seeds[3:parts])), "seed>=3"),
        (All(tuple(map(Not, seeds[3:parts]))), "seed<3"),
        (deep(Condition("seed", ">", (20,)), 18), "-seed>20"),
    ):
        for leg, queries in QUERIES.items():
            assert top(store, leg, queries[0], 40, where) == plain.top(leg, queries[0], 40, parse(same))
        listed = [stored.source for stored in store.documents(where=where)]
        assert listed == [document.source for document in plain.passing(parse(same))]
    for where in (
        Condition("seed", "=", tuple(range(10_001))),
        Any((*seeds, seeds[0])),
        deep(seeds[0], 100_000),
    ):
        for ask in (
            lambda where: list(store.documents(where=where)),
            lambda where: store.facet("type", where),
            lambda where: store.top("dense", QUERIES["dense"][0], 3, where),
        ):
            with pytest.raises(UsageError, match=r"the filter has more than .*: make it simpler"):
                ask(where)


def deep(where: Filter, parts: int) -> Filter:
    for number in range(parts):
        where = Not(where) if number % 2 else All((where, Condition("name", "any")))
    return where


@pytest.fixture(params=BACKENDS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    store = BACKENDS[request.param](tmp_path / "index", manifest())
    yield store
    store.close()


def put(store: Store, source: str, media: str = "text", fields: Fields | None = None, **more: object) -> None:
    made = entry(source, 1, chunks=1)
    document = replace(made.document, media=media, fields=fields or {}, **more)  # type: ignore[arg-type]
    store.upsert([Entry(document, made.vectors)])


def passing(store: Store, where: str | Filter) -> list[str]:
    """The sources that pass, which are the same by listing and by searching."""
    tree = parse(where) if isinstance(where, str) else where
    listed = [stored.source for stored in store.documents(where=tree)]
    assert [source for source, _, _ in top(store, "dense", QUERIES["dense"][0], 100, tree)] == listed
    return listed


PATHS = {
    "docs/**": ["docs/a.md", "docs/b/c.md"],
    "docs": ["docs/a.md", "docs/b/c.md"],
    "b/": ["docs/b/c.md"],
    "*.md": ["docs/a.md", "docs/b/c.md", "up.MD.md"],
    "docs/*.md": ["docs/a.md"],
    "/*.md": ["up.MD.md"],
    "**/c.md": ["docs/b/c.md"],
    "table.csv": ["data/table.csv#1", "data/table.csv#x/y#z.md"],
    "data/*.csv": ["data/table.csv#1", "data/table.csv#x/y#z.md"],
    "table.csv#1": [],
    "data/table.csv#1": ["data/table.csv#1"],
    "#odd": ["#odd"],
    "!not": ["!not"],
    "/abs/**": ["/abs/x.py"],
    "abs/x.py": ["/abs/x.py"],
    "docs/a.md": ["docs/a.md"],
    "docs/b": ["docs/b/c.md"],
    "docs/b*/c.md": ["docs/b/c.md"],
    "data/table.csv": ["data/table.csv#1", "data/table.csv#x/y#z.md"],
    "[a-c]*": ["/abs/x.py", "docs/a.md", "docs/b/c.md"],
}


def test_paths_are_globs_as_gitignore_has_them(store: Store) -> None:
    for source in ("docs/a.md", "docs/b/c.md", "up.MD.md", "#odd", "!not", "/abs/x.py", "\udcff"):
        put(store, source)
    for source in ("data/table.csv#1", "data/table.csv#x/y#z.md"):
        put(store, source, "record")
    for glob, expected in PATHS.items():
        assert passing(store, Condition("path", "=", (glob,))) == sorted(expected), glob
    assert passing(store, 'path:*.py,"#odd"') == ["#odd", "/abs/x.py"]


def test_a_type_is_a_media_or_the_ending_of_a_file(store: Store) -> None:
    for source, media in (("a.md", "markdown"), ("b.markdown", "markdown"), ("c.py", "code"), ("d.PY", "code"),
                          ("e.jsonl#x.py", "record"), ("Makefile", "text"), ("f/g.py/h", "own")):  # fmt: skip
        put(store, source, media)
    assert passing(store, "type:markdown") == ["a.md", "b.markdown"]
    assert passing(store, "type:md") == ["a.md"]
    assert passing(store, "type:PY") == ["c.py", "d.PY"]
    assert passing(store, "type:record type:jsonl") == ["e.jsonl#x.py"]
    assert passing(store, "type:own,text") == ["Makefile", "f/g.py/h"]
    assert store.facet("type") == {"code": 2, "markdown": 2, "own": 1, "record": 1, "text": 1}


def test_values_agree_as_numbers_and_as_texts(store: Store) -> None:
    for name, value in {"int": 7, "float": 7.0, "text": "7", "padded": "07", "true": True, "yes": "true", "big": 2**70,
                        "long": "x" * 300, "list": ["a", 8], "none": [], "more": 2**60 + 1}.items():  # fmt: skip
        put(store, name, fields={"v": value})
    assert passing(store, "v:7") == ["float", "int", "text"]
    assert passing(store, 'v:"7"') == ["int", "text"]
    assert passing(store, 'v:"07"') == passing(store, "v:07") == ["padded"]
    assert passing(store, "v:true") == passing(store, Condition("v", "=", (True,))) == ["true", "yes"]
    assert passing(store, "v>7") == ["big", "list", "more"]
    assert passing(store, "v<=7") == ["float", "int", "text"]
    assert passing(store, "v:8,a v:a") == ["list"]
    assert passing(store, f"v:{2**60 + 1}") == ["more"]
    assert passing(store, f"v:{2**60}") == []
    assert passing(store, f"v:{2**70}") == ["big"], "its digits are told apart"
    assert passing(store, f"v:{2**70 + 1}") == []
    assert passing(store, f"v:{'x' * KEPT}") == passing(store, f"v:{'x' * 300}") == ["long"]
    assert store.facet("v")["x" * KEPT] == 1
    assert passing(store, "-v:*") == ["none"]
    assert passing(store, "v>=true") == ["long", "true", "yes"]


def test_own_fields_go_before_those_of_records(store: Store) -> None:
    put(store, "a", fields={"type": "x", "page": 3, "record.odd": 1, "path": "p"})
    put(store, "b", "x", fields={})
    assert passing(store, "type:x") == ["b"]
    assert passing(store, "record.type:x record.page>2 record.path:p record.record.odd:1") == ["a"]
    assert store.facet("record.type") == {"x": 1}


MOMENTS = {
    "eve": "2025-12-31T23:59:59.5",
    "midnight": "2026-01-01T00:00:00",
    "noon": "2026-01-01T12:00:30",
    "last": "2026-01-01T23:59:59.999",
    "next": "2026-01-02T00:00:00",
}


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "America/New_York"])
def test_a_day_is_a_whole_day_where_the_machine_is(store: Store, zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        for name, moment in MOMENTS.items():
            put(store, name, modified=datetime.fromisoformat(moment).timestamp())
        put(store, "unknown", modified=0.0)
        assert passing(store, "modified:2026-01-01") == ["last", "midnight", "noon"]
        assert passing(store, "modified>2026-01-01") == ["next"]
        assert passing(store, "modified>=2026-01-01") == ["last", "midnight", "next", "noon"]
        assert passing(store, "modified<2026-01-01") == passing(store, "modified:2025") == ["eve"]
        assert passing(store, "modified<=2026-01-01") == ["eve", "last", "midnight", "noon"]
        assert passing(store, "modified:2026-01-01T12:00") == passing(store, "modified:2026-01-01T12:00:30") == ["noon"]
        assert passing(store, "-modified:*") == ["unknown"]
        assert passing(store, "modified:2025-12") == ["eve"]
        moment = datetime.fromisoformat("2026-01-01T12:00:30").astimezone(UTC).isoformat()
        assert passing(store, f"modified:{moment}") == ["noon"]
    finally:
        monkeypatch.undo()
        time.tzset()


def test_texts_with_anything_in_them_are_compared(store: Store) -> None:
    odd = ["\ud800", "a\0b", "é", "e\u0301", "", " ", '"\\"', "日本"]
    for number, value in enumerate(odd):
        put(store, str(number), fields={"v": value, f"f{value}": True})
    for number, value in enumerate(odd):
        assert passing(store, Condition("v", "=", (value,))) == [str(number)]
        assert passing(store, Condition(f"f{value}", "=", (True,))) == [str(number)]
    assert store.facet("v") == dict.fromkeys(sorted(odd), 1)


def test_idf_stays_that_of_the_whole_index(filled: tuple[Store, PlainStore]) -> None:
    store, _ = filled
    query = QUERIES["bm25"][0]
    everything = {(source, position): score for source, position, score in top(store, "bm25", query, 1000)}
    some = top(store, "bm25", query, 1000, parse("seed<10"))
    assert 0 < len(some) < len(everything)
    assert all(everything[source, position] == score for source, position, score in some)


def test_a_filter_follows_what_is_stored_and_removed(store: Store) -> None:
    """The same filter is asked again and again, as it is remembered from one state to the next."""
    where = "tag:a"
    for step in range(12):
        put(store, f"d{step % 5}", fields={"tag": "ab"[step % 2]})
        if step % 3 == 2:
            store.delete([f"d{(step + 2) % 5}"])
        expected = [s.source for s in store.documents() if s.source in passing(store, where)]
        assert expected == passing(store, where)
        tags = {p.source: p.fields["tag"] for p in store.scan()}
        assert passing(store, where) == sorted(source for source, tag in tags.items() if tag == "a")


def test_no_filter_finds_what_has_expired(store: Store) -> None:
    put(store, "kept", fields={"tag": "a"}, expires=time.time() + 1000)
    put(store, "gone", fields={"tag": "a"}, expires=time.time() - 1)
    for where in ("tag:a", "-tag:b", "page:* OR type:text"):
        assert passing(store, where) == ["kept"]
        assert store.facet("tag", parse(where)) == {"a": 1}
