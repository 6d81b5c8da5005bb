"""A new index beside the old one, which takes its place as a whole."""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from beige.errors import LockedError
from beige.index.cache_file import sync_folder
from beige.index.connection import connect, explained
from beige.index.lock import WriteLock
from beige.index.sqlite_store import CACHE, DATABASE, LOCK

BESIDE = "rebuild"
"""The folder, within the old index's, of the new one."""


@contextmanager
def replacement(folder: Path) -> Iterator[Path]:
    """A folder for a new index, moved over the one in `folder` when the block ends without an error.

    Processes that search the old index are told that it was replaced; no moment has half of each.

    Raises:
        LockedError: another process writes to the old index.
        StoreError: the folder cannot be written.
    """
    beside = folder / BESIDE
    with explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = WriteLock(folder / LOCK)
    with lock:
        shutil.rmtree(beside, ignore_errors=True)  # of one that was killed
        try:
            yield beside
            with explained(folder):
                _swap(beside, folder)
        finally:
            shutil.rmtree(beside, ignore_errors=True)


def _swap(new: Path, folder: Path) -> None:
    # What stands in the old log goes into the old database first, so that the log can go: it would be taken for the
    # new database's. The caches go too: whenever this ends, there is one database, whole, with its own caches or none.
    _empty_log(folder / DATABASE)
    for path in [*folder.glob(f"*{CACHE}*"), *(folder / f"{DATABASE}{end}" for end in ("-wal", "-shm"))]:
        path.unlink(missing_ok=True)
    (new / DATABASE).replace(folder / DATABASE)
    for cache in new.glob(f"*{CACHE}"):
        cache.replace(folder / cache.name)
    sync_folder(folder)


def _empty_log(database: Path) -> None:
    if not database.exists():
        return
    try:
        with closing(connect(database, write=True)) as connection:
            busy, *_ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    except sqlite3.DatabaseError:
        return  # damaged, and about to be replaced
    if busy:
        raise LockedError(f"another process keeps the index {database.parent} busy: stop it and try again")
