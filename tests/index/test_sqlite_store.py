"""What the embedded store adds to the contract: files, locks, several processes and threads, damage, full disks."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from beige.errors import LockedError, StoreError
from beige.index.connection import connect
from beige.index.database import Change, Growth, Reading
from beige.index.expression import parse
from beige.index.filter import key_of
from beige.index.schema import blob
from beige.index.sqlite_store import CACHE, DATABASE, SqliteStore
from beige.index.store import Entry
from tests.index import writing
from tests.index.samples import QUERIES, PlainStore, check_equal, entry, manifest, top
from tests.index.test_kill import start

LEGS = ("dense", "bm25", "sparse")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "index"


def fill(folder: Path, first: int = 0, documents: int = 10) -> PlainStore:
    """An index of some documents, closed, and the plain store of the same."""
    plain = PlainStore()
    with SqliteStore.create(folder, manifest()) as store:
        for target in (store, plain):
            target.upsert([entry(f"doc{number}", number, chunks=3) for number in range(first, first + documents)])
    return plain


# Opening


def test_closing_leaves_the_database_and_its_caches(folder: Path) -> None:
    fill(folder)
    assert sorted(path.name for path in folder.iterdir()) == [
        "bm25.cache", "dense.cache", DATABASE, "lock", "sparse.cache"]  # fmt: skip


def test_a_folder_without_an_index_is_named(folder: Path) -> None:
    for write in (False, True):
        with pytest.raises(StoreError, match=f"there is no index in {folder}: make one"):
            SqliteStore.open(folder, write=write)
    assert not folder.exists()


def test_an_index_is_not_made_over_another(folder: Path) -> None:
    plain = fill(folder)
    with pytest.raises(StoreError, match="already"):
        SqliteStore.create(folder, manifest())
    with SqliteStore.open(folder, write=True) as store:
        check_equal(store, plain)


def test_a_folder_may_have_any_name(tmp_path: Path) -> None:
    folder = tmp_path / "a?b#c %41 'ü'"
    plain = fill(folder)
    with SqliteStore.open(folder, write=True) as store:
        check_equal(store, plain, ks=(3,))
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]


def test_a_database_of_something_else_is_refused(folder: Path) -> None:
    folder.mkdir()
    with closing(sqlite3.connect(folder / DATABASE)) as connection:
        connection.execute("CREATE TABLE manifest (name, value)")
    with pytest.raises(StoreError, match="is no index of Beige's"):
        SqliteStore.open(folder)


def test_a_broken_creation_is_no_index_and_can_be_repeated(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("beige.index.schema.add_legs", broken)
    with pytest.raises(KeyboardInterrupt):
        SqliteStore.create(folder, manifest())
    monkeypatch.undo()
    with pytest.raises(StoreError, match="no index"):
        SqliteStore.open(folder)
    fill(folder)


def test_a_reader_does_not_write(folder: Path) -> None:
    fill(folder)
    with SqliteStore.open(folder) as store:
        for change in (lambda: store.upsert([entry("x", 1)]), lambda: store.delete(["doc1"]), store.merge):
            with pytest.raises(StoreError, match="not open for writing"):
                change()


def test_a_closed_store_says_so(folder: Path) -> None:
    fill(folder)
    store = SqliteStore.open(folder)
    store.close()
    store.close()
    with pytest.raises(StoreError, match="is closed"):
        store.count()


def test_a_document_comes_back_whole(folder: Path) -> None:
    entries = [entry("b/\udcff.md", 1, chunks=3), entry("a.md", 2, chunks=2), entry("empty", 3, chunks=0)]
    entries.append(
        Entry(replace(entries[1].document, source="note", given=True, expires=4e9, origin="a"), entries[1].vectors)
    )
    with SqliteStore.create(folder, manifest()) as store:
        store.upsert(entries)
        for one in entries:
            assert store.document(one.document.source) == one.document
        store.expire(["a.md"], 1.0)
        assert store.document("a.md") is None
        assert store.document("nowhere") is None


def test_a_replaced_index_is_noticed(folder: Path, tmp_path: Path) -> None:
    fill(folder)
    with SqliteStore.open(folder) as store:
        store.count()
        fill(tmp_path / "other", first=5)
        (tmp_path / "other" / DATABASE).replace(folder / DATABASE)
        with pytest.raises(StoreError, match="replaced by a new one: open it again"):
            store.count()


def test_the_manifest_is_kept_and_updated(folder: Path) -> None:
    fill(folder)
    with SqliteStore.open(folder) as reader, SqliteStore.open(folder, write=True) as store:
        store.update_manifest(average_length=0.5, analyser="test/2")
        with pytest.raises(StoreError, match="no value 'colour'"):
            store.update_manifest(colour="blue")
        with pytest.raises(StoreError, match="'legs' is fixed"):
            store.update_manifest(legs=())
        reader.reload_manifest()
        assert reader.manifest == store.manifest
    with SqliteStore.open(folder) as again:
        assert (again.manifest.average_length, again.manifest.analyser) == (0.5, "test/2")
        assert again.manifest.legs == manifest().legs


# One writer, many readers


def test_a_second_writer_is_refused_and_told_who_writes(folder: Path) -> None:
    fill(folder)
    writer = start(folder, 0)
    try:
        with pytest.raises(LockedError, match=f"process {writer.pid} is writing to the index {folder}"):
            SqliteStore.open(folder, write=True)
        with SqliteStore.open(folder) as reader:
            assert reader.count()[0] >= 10
    finally:
        writer.kill()
        writer.communicate()
    SqliteStore.open(folder, write=True).close()


def test_a_second_writer_of_the_same_process_is_refused_and_does_not_open_the_lock(folder: Path) -> None:
    with SqliteStore.create(folder, manifest()):
        for _ in range(2):
            with pytest.raises(LockedError, match=f"process {os.getpid()} is writing"):
                SqliteStore.open(folder, write=True)
        # The refusals have not released what they were refused: another process is still kept out.
        refused = subprocess.run(
            [sys.executable, "-m", "tests.index.writing", str(folder), "0"],
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            check=False,
        )
        assert f"process {os.getpid()} is writing" in refused.stderr
    SqliteStore.open(folder, write=True).close()


def test_a_failed_opening_releases_the_lock(folder: Path) -> None:
    fill(folder)
    (folder / DATABASE).write_bytes(b"garbage" * 1000)
    for _ in range(2):
        with pytest.raises(StoreError, match="damaged"):
            SqliteStore.open(folder, write=True)


def test_a_reader_sees_what_another_process_acknowledged(folder: Path) -> None:
    SqliteStore.create(folder, manifest(), exact_rows=writing.EXACT_ROWS, tail_rows=writing.TAIL_ROWS).close()
    plain, query = PlainStore(), QUERIES["dense"][0]
    with SqliteStore.open(folder, exact_rows=writing.EXACT_ROWS) as reader:
        writer = start(folder, 0)
        try:
            assert writer.stdout is not None
            for number in range(40):
                assert writer.stdout.readline() == f"{number}\n"
                writing.step(plain, number)
                # The writer may be further by now; what it acknowledged is there, and a search is of one moment.
                hits = top_with_digests(reader, query)
                writer.send_signal(signal.SIGSTOP)  # else it is out of sight where what follows takes long
                assert len(hits) == len(set(hits))
                later = PlainStore(dict(plain.entries))
                for further in range(number, number + 400):
                    if hits == [(s, p, later.entries[s].document.digest) for s, p, _ in later.top("dense", query, 99)]:
                        break
                    writing.step(later, further + 1)
                else:
                    pytest.fail(f"after step {number}, the answer is that of no moment")
                writer.send_signal(signal.SIGCONT)
        finally:
            writer.kill()
            writer.communicate()
        assert reader.notices == []


def top_with_digests(reader: SqliteStore, query: np.ndarray) -> list[tuple[str, int, str]]:
    while True:
        digests = {s.source: s.digest for s in reader.documents()}
        answer = top_of_one_moment(reader, query)
        if answer is not None and digests == {s.source: s.digest for s in reader.documents()}:
            return [(source, position, digests[source]) for source, position, _ in answer]


def top_of_one_moment(reader: SqliteStore, query: np.ndarray) -> list[tuple[str, int, float]] | None:
    ranking = reader.top("dense", query, 99)
    passages = reader.fetch(ranking.ids)
    if len(passages) != len(ranking.ids):
        return None
    return [(p.source, p.position, s) for p, s in zip(passages, ranking.scores.tolist(), strict=True)]


def test_a_merge_forgets_the_history_that_it_makes_needless(folder: Path) -> None:
    fill(folder)
    with SqliteStore.open(folder, write=True) as store:
        store.delete(["doc1", "doc2"])
        store.upsert([entry("doc3", 77, chunks=2)])
    with closing(sqlite3.connect(folder / DATABASE)) as connection:
        assert connection.execute("SELECT count(*) FROM removal").fetchone() == (0,)
        assert connection.execute("SELECT count(*) FROM change").fetchone() == (1,)


def test_a_merge_at_the_worst_moment_is_no_damage(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The writer merges after a reader has opened the file, and before the reader's transaction has begun."""
    plain, first = fill(folder), [True]
    with SqliteStore.open(folder, write=True) as store, SqliteStore.open(folder) as reader:
        head = Reading.head

        def merging(self: Reading) -> Change:
            if first:
                first.clear()
                for target in (store, plain):
                    target.upsert([entry("doc3", 77, chunks=2)])
                store.merge()
            return head(self)

        monkeypatch.setattr(Reading, "head", merging)
        answer = top(reader, "dense", QUERIES["dense"][0], 99)
        assert not first
        assert answer == plain.top("dense", QUERIES["dense"][0], 99)
        assert reader.notices == []


def test_a_merge_while_the_caches_are_looked_at_is_no_damage(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The writer merges each time a reader has opened a file, until it has done so for every leg twice."""
    fill(folder)
    merges = iter(range(2 * len(LEGS)))
    with SqliteStore.open(folder, write=True) as store, SqliteStore.open(folder) as reader:
        remembers, busy = Reading.remembers, False

        def merging(self: Reading, change: Change) -> bool:
            nonlocal busy
            if not busy and next(merges, None) is not None:
                busy = True
                store.upsert([entry("doc3", 77, chunks=2)])
                store.merge()
                busy = False
            return remembers(self, change)

        monkeypatch.setattr(Reading, "remembers", merging)
        assert reader.caches() == dict.fromkeys(LEGS, "current")


@pytest.mark.parametrize("exact_rows", [20_000, 40])
def test_threads_search_while_one_writes(folder: Path, exact_rows: int) -> None:
    """A document's two chunks come and go together: every answer has both, of the same version, or neither."""
    query = np.eye(6, dtype=np.float32)[0]
    failures: list[BaseException] = []
    done = threading.Event()

    def version(number: int, round_: int) -> object:
        one = entry(f"doc{number}", round_, chunks=2)
        return type(one)(one.document, {**one.vectors, "dense": np.full((2, 6), 1 + round_, np.float32)})

    def search(store: SqliteStore) -> None:
        try:
            while not done.is_set():
                ranking = store.top("dense", query, 1000)
                assert len(ranking.ids) == len(set(ranking.ids.tolist())) == 80
                pairs = ranking.scores.reshape(40, 2)
                assert (pairs[:, 0] == pairs[:, 1]).all()
                store.top("bm25", QUERIES["bm25"][0], 10)
                store.scores("sparse", QUERIES["sparse"][0], ranking.ids[:5])
        except BaseException as error:
            failures.append(error)

    with SqliteStore.create(folder, manifest(), exact_rows=exact_rows, tail_rows=30) as store:
        store.upsert([version(number, 0) for number in range(40)])  # type: ignore[misc]
        with SqliteStore.open(folder, exact_rows=exact_rows) as reader:
            threads = [threading.Thread(target=search, args=(target,)) for target in (store, reader) for _ in range(2)]
            for thread in threads:
                thread.start()
            for round_ in range(1, 6):
                for number in range(0, 40, 5):
                    store.upsert([version(n, round_) for n in range(number, number + 5)])  # type: ignore[misc]
            done.set()
            for thread in threads:
                thread.join()
        assert failures == []


# Damage


def break_missing(path: Path) -> None:
    path.unlink()


def break_empty(path: Path) -> None:
    path.write_bytes(b"")


def break_truncated(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def break_garbage(path: Path) -> None:
    path.write_bytes(np.random.default_rng(0).bytes(path.stat().st_size))


def break_longer(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def break_swapped(path: Path) -> None:
    other = next(p for p in path.parent.glob(f"*{CACHE}") if p != path)
    shutil.copy(other, path)


BREAKS = [break_missing, break_empty, break_truncated, break_garbage, break_longer, break_swapped]


@pytest.mark.parametrize("leg", ["dense", "bm25"])
@pytest.mark.parametrize("exact_rows", [20_000, 10])
@pytest.mark.parametrize("broken", BREAKS, ids=lambda function: function.__name__)
def test_a_lost_cache_costs_no_answer_and_is_rebuilt(folder: Path, leg: str, exact_rows: int, broken: object) -> None:
    plain = fill(folder)
    with SqliteStore.open(folder, write=True, exact_rows=exact_rows) as store:
        store.merge()
    broken(folder / f"{leg}{CACHE}")  # type: ignore[operator]
    with SqliteStore.open(folder, exact_rows=exact_rows) as reader:
        check_equal(reader, plain)
        assert [notice.partition(":")[0] for notice in reader.notices] == [
            f"the cache of leg {leg!r} is missing or damaged"
        ]
    state = "missing" if broken is break_missing else "damaged"
    with SqliteStore.open(folder, write=True, exact_rows=exact_rows) as store:
        assert store.notices == [f"the cache of leg {leg!r} was {state} and has been rebuilt"]
        check_equal(store, plain)
    with SqliteStore.open(folder, exact_rows=exact_rows) as reader:
        check_equal(reader, plain)
        assert reader.notices == []


def test_any_flipped_bit_of_a_cache_is_found(folder: Path) -> None:
    plain = fill(folder)
    path = folder / f"bm25{CACHE}"
    whole = path.read_bytes()
    for bit in np.random.default_rng(0).integers(0, 8 * len(whole), 60).tolist():
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        with SqliteStore.open(folder) as reader:
            assert top(reader, "bm25", QUERIES["bm25"][0], 9) == plain.top("bm25", QUERIES["bm25"][0], 9)
            assert len(reader.notices) == 1


def test_caches_of_another_history_are_not_believed(folder: Path, tmp_path: Path) -> None:
    """A database from a backup, beside caches that are ahead of it, which then goes its own way past them."""
    fill(folder)
    shutil.copytree(folder, tmp_path / "backup")
    with SqliteStore.open(folder, write=True) as store:
        store.upsert([entry(f"new{number}", number, chunks=2) for number in range(5)])
    shutil.copytree(folder, tmp_path / "ahead")
    shutil.copy(tmp_path / "backup" / DATABASE, folder / DATABASE)
    plain = PlainStore()
    plain.upsert([entry(f"doc{number}", number, chunks=3) for number in range(10)])
    with SqliteStore.open(folder) as reader:
        check_equal(reader, plain)
        assert len(reader.notices) == len(LEGS)
    with SqliteStore.open(folder, write=True) as store:
        assert len(store.notices) == len(LEGS)
        for target in (store, plain):
            target.upsert([entry(f"other{number}", 50 + number, chunks=4) for number in range(9)])
        check_equal(store, plain)
    # The old caches once more: the change that they name is now another one of the same number.
    for leg in LEGS:
        shutil.copy(tmp_path / "ahead" / f"{leg}{CACHE}", folder)
    with SqliteStore.open(folder) as reader:
        check_equal(reader, plain)
        assert len(reader.notices) == len(LEGS)


@pytest.mark.parametrize("write", [False, True])
@pytest.mark.parametrize("broken", [break_empty, break_truncated, break_garbage], ids=lambda f: f.__name__)
def test_a_damaged_database_is_an_error_with_its_remedy(folder: Path, broken: object, write: bool) -> None:
    fill(folder)
    broken(folder / DATABASE)  # type: ignore[operator]
    with pytest.raises(StoreError, match=r"damaged.*--rebuild|is no index") as error:
        SqliteStore.open(folder, write=write)
    assert str(folder) in str(error.value)


def test_damage_within_the_database_is_an_error_with_its_remedy(folder: Path) -> None:
    fill(folder, documents=300)
    with (folder / DATABASE).open("r+b") as file:
        file.seek(8192 * 8)
        file.write(b"\xff" * ((folder / DATABASE).stat().st_size - 8192 * 8))
    with SqliteStore.open(folder) as store, pytest.raises(StoreError, match=r"damaged.*--rebuild"):
        store.fetch(np.arange(900))


# File systems


@pytest.mark.parametrize("exact_rows", [20_000, 20])
def test_a_full_disk_is_an_error_and_loses_nothing(disk: Path, exact_rows: int) -> None:
    plain, room = PlainStore(), disk / "ballast"
    room.write_bytes(bytes(1_000_000))
    with SqliteStore.create(disk / "index", manifest(), exact_rows=exact_rows, tail_rows=50) as store:

        def grow() -> None:
            for number in range(10_000):
                batch = [entry(f"doc{number}-{n}", n, chunks=4) for n in range(4)]
                store.upsert(batch)
                plain.upsert(batch)

        with pytest.raises(StoreError, match=r"disk of the index .* is full: nothing of this step was stored"):
            grow()
        assert plain.count()[0] > 10
        with SqliteStore.open(disk / "index", exact_rows=exact_rows) as reader:
            check_equal(reader, plain, ks=(3,))
        with pytest.raises(StoreError, match="full"):
            store.upsert([entry(f"more{n}", n, chunks=4) for n in range(1000)])
        check_equal(store, plain, ks=(3,))
        room.unlink()
        for target in (store, plain):
            target.upsert([entry("after", 1, chunks=4)])
        store.merge()
        check_equal(store, plain, ks=(3,))
    with SqliteStore.open(disk / "index", exact_rows=exact_rows) as reader:
        check_equal(reader, plain, ks=(3,))
        assert reader.notices == []


def test_an_index_is_not_half_made_on_a_full_disk(disk: Path) -> None:
    with suppress(OSError), (disk / "ballast").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    with pytest.raises(StoreError, match="is full"):
        SqliteStore.create(disk / "index", manifest())
    (disk / "ballast").unlink()
    SqliteStore.create(disk / "index", manifest()).close()


def test_an_index_on_a_read_only_file_system_is_read(disk: Path) -> None:
    plain = fill(disk / "index")
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    with SqliteStore.open(disk / "index") as reader:
        check_equal(reader, plain)
        assert reader.notices == []
    with pytest.raises(StoreError, match="Read-only"):
        SqliteStore.open(disk / "index", write=True)


def test_an_unclosed_index_on_a_read_only_file_system_says_what_to_do(disk: Path) -> None:
    fill(disk / "index")
    writer = start(disk / "index", 0)
    assert writer.stdout is not None
    writer.stdout.readline()
    writer.kill()
    writer.communicate()
    (disk / "index" / f"{DATABASE}-shm").unlink()
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    with pytest.raises(StoreError, match="was not closed and cannot be written to: open it once"):
        SqliteStore.open(disk / "index")


def test_few_rows_are_looked_up_and_not_searched_for(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page of a listing, new chunks, what has expired: each cost as much as the whole index once."""
    fill(folder)
    asked: list[tuple[str, tuple[object, ...]]] = []

    class Spy:
        def __init__(self, connection: sqlite3.Connection) -> None:
            self._connection = connection

        def execute(self, sql: str, parameters: tuple[object, ...] = ()) -> sqlite3.Cursor:
            asked.append((sql, parameters))
            return self._connection.execute(sql, parameters)

    where = parse("seed>2 name:ü type:pdf")
    with closing(connect(folder / DATABASE, write=False)) as connection:
        reading = Reading(Spy(connection), 5.0)  # type: ignore[arg-type]
        reading.documents(None, "", where)
        reading.passing(where, 12)
        reading.expired()
        plans = [[row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", values)] for sql, values in asked]
    assert len(plans) == 3
    for plan in plans:
        assert not [step for step in plan if step.startswith("SCAN") or "fact_" in step], plan


def test_growth_is_what_came_less_what_went_in_the_time_that_is_asked_for(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1_000_000_000.0
    monkeypatch.setattr(time, "time", lambda: now)
    documents = [entry(name, seed, chunks=seed) for seed, name in enumerate("abc", 1)]
    sizes = [one.document.size for one in documents]
    with SqliteStore.create(folder, manifest()) as store:
        store.upsert(documents)
        now += 2 * 3600
        store.upsert([entry("a", 1, chunks=5)])
        store.delete(["b", "nowhere"])
        store.merge()  # which forgets the history of changes
    with SqliteStore.open(folder) as store:
        assert store.growth(3600) == Growth(-1, 5 - 1 - 2, entry("a", 1, chunks=5).document.size - sizes[0] - sizes[1])
        assert (store.growth(86_400).documents, store.growth(86_400).chunks) == store.count() == (2, 8)
        now += 3600
        assert store.growth(3600) == Growth()
        now -= 86_400  # a clock that is set back
        assert store.growth(3600) == Growth()
        now += 20 * 86_400
    with SqliteStore.open(folder, write=True) as store:
        store.upsert([entry("d", 4)])
    with closing(sqlite3.connect(folder / DATABASE)) as connection:
        assert connection.execute("SELECT count(*) FROM growth").fetchone() == (1,), "what is old is forgotten"


def test_the_names_of_many_fields_are_looked_up_and_not_searched_for(folder: Path) -> None:
    """Thirty thousand took a minute."""
    fill(folder)
    names = [f"name{number:04}" for number in range(2000)]
    with closing(connect(folder / DATABASE, write=True)) as connection:
        rows = [(1, blob(key_of(name)), b"1", None) for name in names]
        connection.executemany("INSERT INTO fact VALUES (?, ?, ?, ?)", rows)
        steps = []
        connection.set_progress_handler(lambda: steps.append(1) and None, 100)
        assert set(Reading(connection, 5.0).fields()) > set(names)
    assert len(steps) < len(names)
