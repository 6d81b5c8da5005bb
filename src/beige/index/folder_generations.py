"""The generations of an index in a folder: how another database takes the place of the one that serves.

The names of an index's folder change in such an order that whoever opens it at any moment, also after a kill, finds one
database, whole, with its own caches or none.
"""

import os
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from beige.errors import LockedError, StoreError
from beige.index.cache_file import sync_folder
from beige.index.connection import connect, explained
from beige.index.generations import NEXT, PATIENCE, PREVIOUS, Swap
from beige.index.lock import WriteLock
from beige.index.sqlite_store import CACHE, DATABASE, LOCK
from beige.index.store import Store

MIGRATING = "migrating"
"""The lock file of whoever migrates: not that of writers, who go on."""

_LEAVING = "leaving.sqlite"
"""What the old database is called in its new folder until the new one has its place."""


class FolderGenerations:
    """See `Generations`; those beside are in folders of their names.

    Args:
        folder: of the index.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold a lock that is not that of writers, who go on."""
        with explained(self._folder):
            lock = WriteLock(self._folder / MIGRATING)
        with lock:
            with explained(self._folder):
                mend(self._folder)
            yield

    @contextmanager
    def locked_out(self) -> Iterator[Swap]:
        """Hold the lock of writers."""
        while True:
            try:
                with explained(self._folder):
                    lock = WriteLock(self._folder / LOCK)
                break
            except LockedError:
                time.sleep(PATIENCE)
        with lock:
            yield self._swap

    def drop(self, name: str) -> None:
        """Remove its folder."""
        with explained(self._folder):
            if (self._folder / name).exists():
                shutil.rmtree(self._folder / name)

    def _swap(self, name: str, store: Store) -> None:
        store.close()
        with explained(self._folder):
            swap(self._folder, self._folder / name, keep=self._folder / PREVIOUS)
        if name == NEXT:
            shutil.rmtree(self._folder / NEXT, ignore_errors=True)


def swap(folder: Path, new: Path, keep: Path | None = None) -> None:
    """Put a database in the place of a folder's. The caller keeps all writers out, and nothing holds the new one open.

    Args:
        folder: of the index.
        new: the folder of the database that comes, with its caches.
        keep: a folder for the one that goes, in place of what is there, `new` perhaps; None drops it.

    Raises:
        LockedError: a process does not let go of the old database.
        StoreError: the new one was not closed.
        OSError: something cannot be written.
    """
    if (log := _beside(new / DATABASE, "-wal")).exists() and log.stat().st_size:
        raise StoreError(f"the database in {new} was not closed: it has a log, which would be lost; try again")
    # What stands in the old log goes into the old database first, so that the log can go: it would be taken for the
    # new database's. The caches go too.
    _empty_log(folder / DATABASE)
    if keep is not None:
        keep.mkdir(exist_ok=True)
        (keep / _LEAVING).unlink(missing_ok=True)
        os.link(folder / DATABASE, keep / _LEAVING)
        sync_folder(keep)
    logs = [_beside(where / DATABASE, end) for where in (folder, new) for end in ("-wal", "-shm")]
    for path in [*folder.glob(f"*{CACHE}*"), *logs]:
        path.unlink(missing_ok=True)
    (new / DATABASE).replace(folder / DATABASE)
    sync_folder(folder)
    if keep is not None:
        _arrive(keep)
    for cache in new.glob(f"*{CACHE}"):
        cache.replace(folder / cache.name)
    sync_folder(folder)


def mend(folder: Path) -> None:
    """Finish what a kill has left of a `swap` that keeps the old database."""
    kept = folder / PREVIOUS
    if (kept / _LEAVING).exists():
        if (kept / _LEAVING).samefile(folder / DATABASE):
            (kept / _LEAVING).unlink()  # it has not left
        else:
            _arrive(kept)
    for beside in (folder / NEXT, kept):
        if beside.is_dir() and not (beside / DATABASE).exists():
            shutil.rmtree(beside)


def _arrive(kept: Path) -> None:
    (kept / _LEAVING).replace(kept / DATABASE)
    sync_folder(kept)


def _beside(database: Path, end: str) -> Path:
    return database.with_name(database.name + end)


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
