"""Connections to an index's database: how they are opened, shared among threads, and what their errors mean."""

import errno
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from beige.documents.walk import from_here
from beige.errors import GoneError, LockedError, StoreError
from beige.index.database import Reading
from beige.index.where import add_functions

PAGE = 8192
"""Bytes; holds ten float16 vectors of 384 dimensions or three of 1024, where 4096 would waste half on the latter."""

REMEDY = "make it anew from the documents with beige index --rebuild"

PATIENCE = 30.0
"""Seconds to wait for another process's short lock; readers and the writer do not lock each other out."""

_PRAGMAS = (
    "synchronous = FULL",  # a commit is on the disk
    "foreign_keys = ON",
    "mmap_size = 0",  # a truncated file is an error, not a SIGBUS
    "cache_size = -16000",
    "journal_size_limit = 67108864",
    "wal_autocheckpoint = 8192",  # pages, as much: a page of the index of keys is changed again and again
)

_FULL = "the disk of the index {} is full: nothing of this step was stored; make room and try again"

_DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT}
_BARRED = {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY}
_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


def named(folder: Path) -> str:
    """How the current folder names the folder of an index, which may have been opened from another one."""
    return from_here(os.fspath(folder.absolute()), "/")


def explain(error: sqlite3.Error, path: Path) -> StoreError:
    """SQLite's error as one sentence that names the index by its folder, and the remedy."""
    folder = named(path)
    # The low byte is the primary code; errors that Python raises by itself carry none.
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in _DAMAGE:
        return StoreError(f"the database of the index {folder} is damaged ({error}): {REMEDY}")
    if code == sqlite3.SQLITE_FULL:
        return StoreError(_FULL.format(folder))
    if code in _BUSY:
        return LockedError(f"another process keeps the database of the index {folder} busy: try again when it is done")
    return StoreError(f"the database of the index {folder} cannot be used: {error}")


@contextmanager
def explained(folder: Path) -> Iterator[None]:
    """Turn the errors of SQLite and of the file system within into `StoreError`s that name the index's folder."""
    try:
        yield
    except sqlite3.Error as error:
        raise explain(error, folder) from error
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise StoreError(_FULL.format(named(folder))) from error
        raise StoreError(f"the index {named(folder)} cannot be used: {error}") from error


def connect(path: Path, *, write: bool) -> sqlite3.Connection:
    """Open the database; transactions are begun by hand.

    A reader in a folder where nothing can be written opens the file as immutable, which needs no files beside it.

    Raises:
        StoreError: nothing can be written there, and a log lies beside the database, which needs that to be read.
        sqlite3.Error: what else SQLite says.
    """
    if write:
        return _connect(path, "mode=rw")
    try:
        return _connect(path, "mode=ro")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF not in _BARRED:
            raise
        log = path.with_name(path.name + "-wal")
        if log.exists() and log.stat().st_size:
            raise StoreError(
                f"the index {named(path.parent)} was not closed and cannot be written to: open it once where it can "
                f"be, with beige status --index {named(path.parent)}"
            ) from error
        return _connect(path, "mode=ro&immutable=1")


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"file:{quote(os.fsencode(path.absolute()))}?{mode}",
        uri=True,
        isolation_level=None,
        timeout=PATIENCE,
        check_same_thread=False,
    )
    try:
        add_functions(connection)
        for pragma in _PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")
        # SQLite opens the file when it is first asked something.
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection


class Pool:
    """Reading connections of one process: each is used by one thread at a time, none belongs to a thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = _inode(path)
        self._idle: list[sqlite3.Connection] = []
        self._closed = False
        self._lock = threading.Lock()

    @property
    def replaced(self) -> bool:
        """Whether another database has taken this one's place; an open one's inode is not given again."""
        return _inode(self._path) != self._file

    @contextmanager
    def reading(self) -> Iterator[Reading]:
        """A transaction that reads; what it sees is fixed by its first question.

        Raises:
            GoneError: it was replaced by a new one.
            StoreError: the index was closed.
        """
        if self.replaced:
            raise GoneError(f"the index {named(self._path.parent)} has been replaced by a new one: open it again")
        with self._lock:
            if self._closed:
                raise StoreError(f"the index {named(self._path.parent)} is closed")
            connection = self._idle.pop() if self._idle else None
        if connection is None:
            connection = connect(self._path, write=False)
        try:
            connection.execute("BEGIN")
            yield Reading(connection, time.time())
        finally:
            connection.rollback()
            with self._lock:
                keep = not self._closed
                if keep:
                    self._idle.append(connection)
            if not keep:
                connection.close()

    def close(self) -> None:
        """Close the idle connections now, and those in use when they come back."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()


def _inode(path: Path) -> int:
    try:
        return path.stat().st_ino
    except OSError:
        return -1
