"""Merges in the background: nobody waits for them without need, and nothing that happens meanwhile is lost."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from beige.index.compaction import _BOUND
from beige.index.dense_leg import DenseLeg
from beige.index.sqlite_store import SqliteStore
from tests.index.samples import PlainStore, check_equal, entry, manifest

TAIL = 20
LONG = 20  # seconds that nothing here takes


class Gate:
    """Holds every merge where the dense leg's cache is about to be written."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reached, self.open = threading.Event(), threading.Event()
        write = DenseLeg.write

        def held(*arguments: Any) -> None:
            self.reached.set()
            assert self.open.wait(LONG)
            write(*arguments)

        monkeypatch.setattr(DenseLeg, "write", held)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    with SqliteStore.create(tmp_path / "index", manifest(), exact_rows=30, tail_rows=TAIL) as store:
        yield store


@pytest.fixture
def gate(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    gate = Gate(monkeypatch)
    yield gate
    gate.open.set()


def put(store: SqliteStore, plain: PlainStore, number: int, seed: int = 0) -> None:
    for target in (store, plain):
        target.upsert([entry(f"doc{number}", seed + number, chunks=4)])


def test_what_changes_while_caches_are_written_is_seen_then_and_later(store: SqliteStore, gate: Gate) -> None:
    plain = PlainStore()
    with SqliteStore.open(store.folder, exact_rows=30) as reader:
        for number in range(8):
            put(store, plain, number)
        assert gate.reached.wait(LONG)
        # Nobody has to wait: the tail is within bounds.
        put(store, plain, 3, seed=100)
        put(store, plain, 20)
        for target in (store, plain):
            assert target.delete(["doc1"]) == 1
        check_equal(store, plain)
        check_equal(reader, plain)
        gate.open.set()
        store.merge()
        assert reader.caches() == dict.fromkeys(("dense", "bm25", "sparse"), "current")
        check_equal(reader, plain)
    with SqliteStore.open(store.folder, exact_rows=30) as reader:
        check_equal(reader, plain)


def test_a_writer_waits_where_the_tail_would_grow_beyond_bounds(store: SqliteStore, gate: Gate) -> None:
    plain, stored = PlainStore(), []

    def write() -> None:
        for number in range(60):
            put(store, plain, number)
            stored.append(number)

    writer = threading.Thread(target=write)
    writer.start()
    assert gate.reached.wait(LONG)
    writer.join(0.3)
    assert writer.is_alive()
    assert 4 * len(stored) <= _BOUND * TAIL + 4 < 4 * 60
    gate.open.set()
    writer.join(LONG)
    assert len(stored) == 60
    check_equal(store, plain)


def test_merges_come_by_themselves(store: SqliteStore) -> None:
    plain = PlainStore()
    for number in range(60):
        put(store, plain, number)
    changed = (store.folder / "bm25.cache").stat().st_mtime_ns
    for number in range(60):
        put(store, plain, number, seed=100)
    for _ in range(1000):
        if changed != (store.folder / "bm25.cache").stat().st_mtime_ns:
            break
        threading.Event().wait(LONG / 1000)
    else:
        pytest.fail("no merge came")
    check_equal(store, plain)


def test_what_breaks_in_the_background_is_told(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> int:
        raise ZeroDivisionError

    monkeypatch.setattr(DenseLeg, "grow", broken)

    def keep_on() -> None:
        for number in range(1000):
            store.upsert([entry(f"doc{number}", number)])
            threading.Event().wait(LONG / 1000)

    with pytest.raises(ZeroDivisionError):
        keep_on()
    monkeypatch.undo()
