import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from beige.errors import LockedError, StoreError
from beige.index.connection import connect, explained
from beige.index.sqlite_store import DATABASE, SqliteStore
from tests.index.samples import manifest


def test_a_commit_is_on_the_disk_and_readers_do_not_wait(tmp_path: Path) -> None:
    SqliteStore.create(tmp_path / "index", manifest()).close()
    with closing(connect(tmp_path / "index" / DATABASE, write=True)) as connection:
        pragmas = {name: connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("synchronous", "journal_mode")}
    assert pragmas == {"synchronous": 2, "journal_mode": "wal"}  # 2 is FULL


@pytest.mark.parametrize(
    ("code", "kind", "sentence"),
    [
        (sqlite3.SQLITE_CORRUPT, StoreError, r"damaged .*--rebuild"),
        (sqlite3.SQLITE_NOTADB, StoreError, r"damaged .*--rebuild"),
        (sqlite3.SQLITE_CORRUPT | 2 << 8, StoreError, r"damaged .*--rebuild"),
        (sqlite3.SQLITE_FULL, StoreError, "full"),
        (sqlite3.SQLITE_BUSY | 1 << 8, LockedError, "busy"),
        (sqlite3.SQLITE_IOERR, StoreError, "said"),
    ],
)
def test_every_error_names_the_index(code: int, kind: type[StoreError], sentence: str) -> None:
    error = sqlite3.OperationalError("said")
    error.sqlite_errorcode = code
    with pytest.raises(kind, match=sentence) as told, explained(Path("folder")):
        raise error
    assert "folder" in str(told.value)
