"""Connections to an index's database: how they are opened, shared among threads, and what their errors mean."""

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from beige.errors import LockedError, StoreError

PAGE = 8192
"""Bytes; holds ten float16 vectors of 384 dimensions or three of 1024, where 4096 would waste half on the latter."""

REMEDY = "make it anew from the documents with beige index --rebuild"

_DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT}
_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


def explain(error: sqlite3.Error, folder: Path) -> StoreError:
    """SQLite's error as one sentence that names the index and the remedy."""
    # The low byte is the primary code; errors that Python raises by itself carry none.
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in _DAMAGE:
        return StoreError(f"the database of the index {folder} is damaged ({error}): {REMEDY}")
    if code == sqlite3.SQLITE_FULL:
        return StoreError(f"the disk of the index {folder} is full: nothing of this step was stored; make room first")
    if code in _BUSY:
        return LockedError(f"another process keeps the database of the index {folder} busy: try again when it is done")
    return StoreError(f"the database of the index {folder} cannot be used: {error}")


@contextmanager
def explained(folder: Path) -> Iterator[None]:
    """Turn SQLite's errors within into `StoreError`s."""
    try:
        yield
    except sqlite3.Error as error:
        raise explain(error, folder) from error


def connect(path: Path, *, write: bool) -> sqlite3.Connection:
    """Open the database; transactions are begun by hand.

    A reader of a folder where nothing can be written opens the file as immutable, which needs no files beside it. It
    does so only where no log lies beside the database, for it would not see what the log holds.
    """
    modes = ("mode=rw",) if write else ("mode=ro", "mode=ro&immutable=1")
    for mode in modes:
        connection = sqlite3.connect(
            f"file:{quote(os.fsencode(path.absolute()))}?{mode}",
            uri=True,
            isolation_level=None,
            timeout=30,
            check_same_thread=False,
            cached_statements=64,
        )
        try:
            # Neither memory-mapped files nor double-quoted strings: the first turn a truncated file into SIGBUS.
            connection.execute("PRAGMA mmap_size = 0")
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA cache_size = -16000")
            connection.execute("PRAGMA journal_size_limit = 67108864")
            connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        except sqlite3.OperationalError as error:
            connection.close()
            log = path.with_name(path.name + "-wal")
            blocked = error.sqlite_errorcode & 0xFF in {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY}
            if mode == modes[-1] or not blocked or (log.exists() and log.stat().st_size):
                raise
        except sqlite3.DatabaseError:
            connection.close()
            raise
        else:
            return connection
    raise AssertionError("unreachable: the last mode returns or raises")


class Pool:
    """Reading connections of one process: each is used by one thread at a time, none belongs to a thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = _inode(path)
        self._idle: list[sqlite3.Connection] = []
        self._closed = False
        self._lock = threading.Lock()

    @contextmanager
    def connection(self) -> Iterator[sqlite3.Connection]:
        """A connection for the time of the block.

        Raises:
            StoreError: the index was closed, or replaced by a new one.
        """
        if _inode(self._path) != self._file:
            raise StoreError(f"the index {self._path.parent} has been replaced by a new one: open it again")
        with self._lock:
            if self._closed:
                raise StoreError(f"the index {self._path.parent} is closed")
            connection = self._idle.pop() if self._idle else None
        if connection is None:
            connection = connect(self._path, write=False)
        try:
            yield connection
        finally:
            if connection.in_transaction:
                connection.rollback()
            with self._lock:
                if not self._closed:
                    self._idle.append(connection)
                    connection = None
            if connection is not None:
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
