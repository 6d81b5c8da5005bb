"""Backups: of a moment, verified, restored whole or not at all."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
from pathlib import Path

import pytest

from beige.errors import InputError, LockedError, StoreError
from beige.index import snapshot
from beige.index.snapshot import backup, restore
from beige.index.sqlite_store import SqliteStore
from tests.index.samples import PlainStore, check_equal, entry, manifest
from tests.index.test_kill import ROOT

NAMES = pytest.mark.parametrize("name", ["backup.tar", "backup"])


@pytest.fixture
def plain(tmp_path: Path) -> PlainStore:
    """What the index in `tmp_path/index` holds."""
    plain = PlainStore()
    with SqliteStore.create(tmp_path / "index", manifest()) as store:
        for seed in range(12):
            plain.upsert([entry(f"doc{seed}", seed)])
        store.upsert(list(plain.entries.values()))
        store.delete(["doc3"])
        plain.delete(["doc3"])
    return plain


@NAMES
def test_what_is_restored_is_what_was_backed_up(tmp_path: Path, plain: PlainStore, name: str) -> None:
    made = backup(tmp_path / "index", tmp_path / "kept" / name)
    assert (made.documents, made.chunks) == plain.count()
    assert made.models == {encoder.model: encoder.fingerprint for encoder in manifest().encoders}
    assert sorted(path.name for path in (tmp_path / "kept").iterdir()) == [name]
    assert restore(tmp_path / "kept" / name, tmp_path / "new" / "index") == made
    with SqliteStore.open(tmp_path / "new" / "index") as store:
        assert set(store.caches().values()) == {"current"}
        check_equal(store, plain)
        assert store.notices == []
    with SqliteStore.open(tmp_path / "new" / "index", write=True) as store:
        store.upsert([entry("more", 99)])
        plain.upsert([entry("more", 99)])
        check_equal(store, plain)


@NAMES
def test_a_backup_while_others_write_is_of_one_moment(tmp_path: Path, plain: PlainStore, name: str) -> None:
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():  # always both or none
            store.upsert([entry("left", number, chunks=2), entry("right", number, chunks=2)])
            number += 1

    with SqliteStore.open(tmp_path / "index", write=True) as store:
        store.upsert([entry("left", 0, chunks=2), entry("right", 0, chunks=2)])
        thread = threading.Thread(target=write)
        thread.start()
        try:
            for _ in range(3):
                backup(tmp_path / "index", tmp_path / name, force=True)
                restore(tmp_path / name, tmp_path / "new", force=True)
                with SqliteStore.open(tmp_path / "new") as restored:
                    both = restored.stored(["left", "right"])
                    assert both["left"].digest == both["right"].digest
                    assert restored.count()[0] == 13
        finally:
            stop.set()
            thread.join()


def test_an_older_reader_and_an_older_cache_are_not_taken_for_the_restored_index(
    tmp_path: Path, plain: PlainStore
) -> None:
    backup(tmp_path / "index", tmp_path / "backup")
    other = PlainStore(dict(plain.entries))
    with SqliteStore.open(tmp_path / "index", write=True) as store:
        store.upsert([entry("a", 70, chunks=4)])
        store.merge()
        check_equal(store, PlainStore(other.entries | {"a": entry("a", 70, chunks=4)}))
    caches = {path.name: path.read_bytes() for path in (tmp_path / "index").glob("*.cache")}
    restore(tmp_path / "backup", tmp_path / "index", force=True)
    with SqliteStore.open(tmp_path / "index", write=True) as store:
        store.upsert([entry("b", 71, chunks=4)])  # the same numbers as of "a"
    other.upsert([entry("b", 71, chunks=4)])
    for name, content in caches.items():
        (tmp_path / "index" / name).write_bytes(content)
    with SqliteStore.open(tmp_path / "index") as store:
        check_equal(store, other)


@NAMES
def test_nothing_is_overwritten_unless_told(tmp_path: Path, plain: PlainStore, name: str) -> None:
    backup(tmp_path / "index", tmp_path / name)
    with pytest.raises(InputError, match=f"{name} is there already: .*--force"):
        backup(tmp_path / "index", tmp_path / name)
    with pytest.raises(InputError, match=r"there is an index in .*--force"):
        restore(tmp_path / name, tmp_path / "index")
    for wrong in ("file", "folder"):
        shutil.rmtree(tmp_path / "wrong", ignore_errors=True)
        (tmp_path / "wrong").mkdir() if wrong == "folder" else (tmp_path / "wrong").write_text("precious")
        with pytest.raises(InputError, match="wrong is no backup"):
            backup(tmp_path / "index", tmp_path / "wrong", force=True)
        with pytest.raises(InputError, match="wrong is no backup"):
            restore(tmp_path / "wrong", tmp_path / "new")
        assert (tmp_path / "wrong").exists()
        if wrong == "file":
            (tmp_path / "wrong").unlink()
    with pytest.raises(StoreError, match="there is no index in"):
        backup(tmp_path / "nowhere", tmp_path / "x")
    with pytest.raises(InputError, match="nowhere is no backup"):
        restore(tmp_path / "nowhere", tmp_path / "new")
    assert not (tmp_path / "new").exists()
    with SqliteStore.open(tmp_path / "index", write=True), pytest.raises(LockedError):
        restore(tmp_path / name, tmp_path / "index", force=True)
    with SqliteStore.open(tmp_path / "index") as store:
        check_equal(store, plain)


@NAMES
@pytest.mark.parametrize("harm", ["flip", "cut", "description", "newer"])
def test_a_damaged_backup_is_refused_and_changes_nothing(
    tmp_path: Path, plain: PlainStore, name: str, harm: str
) -> None:
    path = tmp_path / name
    backup(tmp_path / "index", path)
    folder = tmp_path / "unpacked"
    if path.is_dir():
        folder = path
    else:
        with tarfile.open(path) as tar:
            tar.extractall(folder, filter="data")
    database, description = folder / "index.sqlite", folder / "backup.json"
    match harm:
        case "flip":
            data = bytearray(database.read_bytes())
            data[len(data) // 2] ^= 1
            database.write_bytes(data)
        case "cut":
            os.truncate(database, database.stat().st_size - 1)
        case "description":
            description.write_text("{}")
        case "newer":
            description.write_text(json.dumps(json.loads(description.read_text()) | {"format": 99}))
    if not path.is_dir():
        with tarfile.open(path, "w") as tar:
            for one in (description, database):
                tar.add(one, arcname=one.name)
    with pytest.raises(StoreError, match=r"damaged|newer Beige"):
        restore(path, tmp_path / "index", force=True)
    with SqliteStore.open(tmp_path / "index") as store:
        check_equal(store, plain)
        assert set(store.caches().values()) == {"current"}


KILLED = """
import os, signal, sys
from pathlib import Path
from beige.index import folder_generations, replacement, snapshot
from beige.index.snapshot import backup, restore

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

index, path, moment = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
match moment:
    case "backup, copied":
        snapshot._verify = die
    case "backup, verified":
        snapshot._remove = (lambda remove: lambda p: die() if p.name.endswith(".old") else remove(p))(snapshot._remove)
    case "backup, moved aside":
        move = Path.replace
        Path.replace = lambda self, target: (move(self, target), target.name.endswith(".old") and die())
    case "backup, named":
        snapshot.sync_folder = die
    case "restore, copied":
        snapshot._compare = (lambda compare, seen=[]: lambda *a: die() if seen else (compare(*a), seen.append(1)))(
            snapshot._compare
        )
    case "restore, before it takes its place":
        replacement.swap = die
    case "restore, before the caches":
        folder_generations.sync_folder = die
if moment.startswith("backup"):
    backup(index, path, force=True)
else:
    restore(path, index, force=True)
"""


@pytest.mark.parametrize(
    "moment",
    [
        "backup, copied",
        "backup, verified",
        "backup, moved aside",
        "backup, named",
        "restore, copied",
        "restore, before it takes its place",
        "restore, before the caches",
    ],
)
@NAMES
def test_kills(tmp_path: Path, plain: PlainStore, moment: str, name: str) -> None:
    index, path = tmp_path / "index", tmp_path / name
    backup(index, path)
    with SqliteStore.open(index, write=True) as store:
        store.upsert([entry("later", 50)])
    later = PlainStore(plain.entries | {"later": entry("later", 50)})
    done = subprocess.run([sys.executable, "-c", KILLED, index, path, moment], cwd=ROOT, check=False)
    if done.returncode != -signal.SIGKILL:
        assert (done.returncode, moment, name) == (0, "backup, moved aside", "backup.tar"), "it has no such moment"
        return
    with SqliteStore.open(index) as store:
        check_equal(store, plain if moment == "restore, before the caches" else later)
    if not path.exists():  # between two renames: what was there, and what was to come, are both there and whole
        (tmp_path / f"{name}.old").rename(path)
    restore(path, tmp_path / "restored")
    with SqliteStore.open(tmp_path / "restored") as store:
        new = moment == "backup, named" or (moment, name) == ("backup, verified", "backup.tar")
        check_equal(store, later if new else plain)
    backup(index, path, force=True)
    assert not list(tmp_path.glob("*.part"))
    restore(path, index, force=True)
    assert not list(index.glob("re*"))


def test_a_backup_of_a_damaged_index_is_refused(tmp_path: Path, plain: PlainStore) -> None:
    database = tmp_path / "index" / "index.sqlite"
    data = bytearray(database.read_bytes())
    data[9000:60000] = os.urandom(51000)
    database.write_bytes(data)
    with pytest.raises(StoreError, match="damaged"):
        backup(tmp_path / "index", tmp_path / "backup")
    assert not list(tmp_path.glob("backup*"))
    assert snapshot.FORMAT == 1
