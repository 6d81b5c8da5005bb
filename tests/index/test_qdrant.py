"""What a server adds to the store contract: addresses, keys, retries, writers that are cut off, one at a time."""

import time
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from beige.errors import LockedError, StoreError, UsageError
from beige.index.qdrant import connection, lease
from beige.index.qdrant.address import Address, is_address, parse
from beige.index.qdrant.points import packed, unpacked
from beige.index.qdrant.store import QdrantStore
from beige.index.store import Entry
from tests.index.qdrant_server import State
from tests.index.samples import QUERIES, PlainStore, check_equal, entry, manifest, top


@pytest.fixture
def address(qdrant: State) -> Address:
    return parse(f"qdrant+{qdrant.url}/notes")


def plain(*given: tuple[str, int, int]) -> PlainStore:
    store = PlainStore()
    store.upsert([entry(source, seed, chunks=chunks) for source, seed, chunks in given])
    return store


def fill(store: QdrantStore, *given: tuple[str, int, int]) -> None:
    store.upsert([entry(source, seed, chunks=chunks) for source, seed, chunks in given])


def test_addresses_are_read() -> None:
    assert parse("qdrant+http://host/notes") == Address("http://host:6333", "notes")
    assert parse("qdrant+https://host:443/a%20b?shards=6&replicas=3") == Address("https://host:443", "a b", 6, 3)
    assert parse("qdrant+http://[::1]:6333/notes").url == "http://[::1]:6333"
    assert str(parse("qdrant+http://host:6333/a%2Fb")) == "qdrant+http://host:6333/a%2Fb"
    assert is_address("qdrant+http://host/notes")
    assert not is_address("http://host/notes")
    assert not is_address("./qdrant+http")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("qdrant+http://host:6333", "write qdrant"),
        ("qdrant+http://host:6333/a/b", "write qdrant"),
        ("qdrant+http:///notes", "write qdrant"),
        ("qdrant+http://host:port/notes", "no address"),
        ("qdrant+http://me:secret@host/notes", "BEIGE_QDRANT_API_KEY"),
        ("qdrant+http://host/notes?shard=2", "no option 'shard'"),
        ("qdrant+http://host/notes?shards=0", "from 1 to 1000"),
        ("qdrant+http://host/notes?replicas=two", "from 1 to 1000"),
    ],
)
def test_malformed_addresses_are_refused(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as refusal:
        parse(text)
    assert "secret" not in str(refusal.value)


@given(st.text(st.characters(exclude_categories=())))
def test_any_text_can_be_stored(text: str) -> None:
    assert unpacked(packed(text)) == text
    packed(text).encode("utf-8")


def test_the_same_over_http(address: Address) -> None:
    given = [("a", 1, 4), ("b/\udcff.md", 2, 3), ("empty", 3, 0)]
    described = manifest()
    with QdrantStore.create(address, described) as store:
        fill(store, *given)
        check_equal(store, plain(*given))
    with QdrantStore.open(address) as store:
        check_equal(store, plain(*given))
        assert store.manifest == described
        with pytest.raises(StoreError, match="not open for writing"):
            store.delete(["a"])


def test_requests_are_made_again_and_change_nothing_twice(qdrant: State, address: Address) -> None:
    with QdrantStore.create(address, manifest()) as store:
        qdrant.failures += [
            ("/points", 503, "busy"),
            ("/points/query", 502, "bad gateway"),
            ("/points/count", 500, "?"),
        ]
        qdrant.late += [("/points/batch", 500), ("/points", 504)]
        fill(store, ("a", 1, 4), ("b", 2, 2))
        check_equal(store, plain(("a", 1, 4), ("b", 2, 2)))
        assert not qdrant.failures
        assert not qdrant.late


def test_what_cannot_succeed_is_not_tried_again(qdrant: State, address: Address) -> None:
    with QdrantStore.create(address, manifest()) as store:
        asked = len(qdrant.paths)
        qdrant.failures += [("/points/query", 400, "wrong input")]
        with pytest.raises(StoreError, match="answered 400: wrong input"):
            store.top("dense", QUERIES["dense"][0], 3)
        assert len(qdrant.paths) == asked + 1


def test_a_full_disk_is_said(qdrant: State, address: Address) -> None:
    with QdrantStore.create(address, manifest()) as store:
        fill(store, ("a", 1, 2))
        qdrant.failures += [("/points", 500, "No space left on device")]
        with pytest.raises(StoreError, match=r"disk of the server .* is full"):
            fill(store, ("a", 2, 3))
        check_equal(store, plain(("a", 1, 2)))


def test_the_key_is_sent_and_a_wrong_one_told(qdrant: State, address: Address, monkeypatch: pytest.MonkeyPatch) -> None:
    qdrant.key = "right"
    for key in (None, "wrong"):
        if key:
            monkeypatch.setenv("BEIGE_QDRANT_API_KEY", key)
        with pytest.raises(StoreError, match="refuses the key") as refusal:
            QdrantStore.open(address)
        assert "wrong" not in str(refusal.value).replace("wrong one", "")
    monkeypatch.setenv("BEIGE_QDRANT_API_KEY", "right")
    with QdrantStore.create(address, manifest()) as store:
        assert store.count() == (0, 0)


def test_an_old_server_is_refused(qdrant: State, address: Address) -> None:
    qdrant.version = "1.14.1"
    with pytest.raises(StoreError, match=r"is Qdrant 1\.14\.1: Beige needs 1\.15"):
        QdrantStore.open(address)


def test_nobody_there_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "FIRST_PAUSE", 0.001)
    with pytest.raises(StoreError, match="cannot be reached"):
        QdrantStore.open(parse("qdrant+http://127.0.0.1:9/notes"))


def test_a_server_that_says_nothing_is_given_up(
    qdrant: State, address: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "TIMEOUT", 1)
    monkeypatch.setattr(connection, "TRIES", 1)
    qdrant.delay = 1.5
    with pytest.raises(StoreError, match="Timeout"):
        QdrantStore.open(address)


def test_offline_no_other_machine_is_asked(address: Address, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BEIGE_OFFLINE", "1")
    with pytest.raises(StoreError, match="BEIGE_OFFLINE"):
        QdrantStore.open(parse("qdrant+http://elsewhere.invalid/notes"))
    with QdrantStore.create(address, manifest()):
        pass


def test_what_is_no_index_is_refused(qdrant: State, address: Address) -> None:
    with pytest.raises(StoreError, match="there is no collection"):
        QdrantStore.open(address)
    qdrant.client.create_collection("notes", vectors_config={})
    with pytest.raises(StoreError, match="no index of Beige's"):
        QdrantStore.open(address)
    with pytest.raises(StoreError, match="there is a collection"):
        QdrantStore.create(address, manifest())


def test_a_second_writer_is_refused_and_readers_are_not(address: Address) -> None:
    with QdrantStore.create(address, manifest()) as store:
        fill(store, ("a", 1, 2))
        with pytest.raises(LockedError, match="another process writes"):
            QdrantStore.open(address, write=True)
        with QdrantStore.open(address) as reader:
            check_equal(reader, plain(("a", 1, 2)))
    QdrantStore.open(address, write=True).close()


def test_a_dead_writers_lease_runs_out(address: Address, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "SECONDS", 2.0)
    monkeypatch.setattr(lease.Lease, "_keep", lambda self: None)
    dead = QdrantStore.create(address, manifest())  # never closed, as by a kill
    with pytest.raises(LockedError):
        QdrantStore.open(address, write=True)
    time.sleep(2.1)
    with QdrantStore.open(address, write=True) as store:
        fill(store, ("a", 1, 2))
        with pytest.raises(LockedError):
            fill(dead, ("a", 2, 2))
    dead.close()


@pytest.mark.parametrize("sent", [False, True])
def test_a_writer_that_is_cut_off_leaves_no_half(qdrant: State, address: Address, sent: bool) -> None:
    """It uploads the chunks, and dies before or after the request that shows them was carried out."""
    store = QdrantStore.create(address, manifest())
    fill(store, ("a", 1, 3), ("b", 2, 2))
    if sent:
        qdrant.late += [("/points/batch", 500)] * connection.TRIES
    else:
        qdrant.failures += [("/points/batch", 500, "down")] * connection.TRIES
    with pytest.raises(StoreError):
        fill(store, ("a", 3, 5))
    expected = plain(("a", 3 if sent else 1, 5 if sent else 3), ("b", 2, 2))
    for query in QUERIES["dense"]:  # what searches see is whole already; the IDF counts what is unseen too
        assert top(store, "dense", query, 100) == expected.top("dense", query, 100)
    store.close()
    with QdrantStore.open(address, write=True) as store:
        assert any("5 chunks were removed" in notice for notice in store.notices) is not sent
        check_equal(store, expected)
    assert sum(1 for point in qdrant.client.scroll("notes", limit=100)[0] if "text" in (point.payload or {})) == (
        7 if sent else 5
    )


def test_a_node_that_dies_while_it_shows_a_document_is_made_good(qdrant: State, address: Address) -> None:
    """Of the changes in one request the first ones were made: any number of them."""
    for done in range(4):
        name = f"notes{done}"
        place = Address(address.url, name)
        store = QdrantStore.create(place, manifest())
        fill(store, ("a", 1, 3))
        qdrant.keep = done
        qdrant.failures += [("/points/batch", 500, "a node is lost")] * (connection.TRIES - bool(done))
        with pytest.raises(StoreError):
            fill(store, ("a", 2, 4))
        qdrant.keep = None
        store.close()
        with QdrantStore.open(place, write=True) as store:
            check_equal(store, plain(("a", 2, 4) if done else ("a", 1, 3)))


def test_many_ties_come_in_order(address: Address) -> None:
    with QdrantStore.create(address, manifest()) as store:
        same = entry("x", 1, chunks=1)
        store.upsert([Entry(replace(same.document, source=f"{number:03}"), same.vectors) for number in range(150)])
        ranking = store.top("dense", same.vectors["dense"][0], 20)  # type: ignore[arg-type]
        sources = [found.source for found in store.fetch(ranking.ids)]
        assert sources == [f"{number:03}" for number in range(20)]
        assert all(first >= second for first, second in pairwise(ranking.scores.tolist()))
        assert np.isfinite(ranking.scores).all()
