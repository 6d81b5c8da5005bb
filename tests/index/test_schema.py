import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from beige.errors import StoreError
from beige.index import schema
from beige.index.sqlite_store import DATABASE, SqliteStore
from tests.index.samples import PlainStore, check_equal, entry, manifest


def add_language(connection: sqlite3.Connection) -> None:
    connection.execute("ALTER TABLE document ADD COLUMN language TEXT NOT NULL DEFAULT 'en'")


def fail(connection: sqlite3.Connection) -> None:
    add_language(connection)
    connection.execute("INSERT INTO nowhere VALUES (1)")


@pytest.fixture
def database(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """The database of an index of today's version."""
    with SqliteStore.create(tmp_path / "index", manifest()) as store:
        store.upsert([entry("a", 1, chunks=2)])
    with closing(sqlite3.connect(tmp_path / "index" / DATABASE, isolation_level=None)) as connection:
        yield connection


def test_a_database_of_version_0_becomes_one_of_today() -> None:
    """What every new index does too."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.execute(f"PRAGMA application_id = {schema.APPLICATION}")
        schema.prepare(connection, "old", write=True)
        assert schema.version(connection) == len(schema.MIGRATIONS)
        assert connection.execute("SELECT count(*) FROM document").fetchone() == (0,)


def test_an_older_index_is_upgraded_by_a_writer_with_its_documents(database: sqlite3.Connection) -> None:
    future = (*schema.MIGRATIONS, add_language)
    with pytest.raises(StoreError, match="the index old was made by an older Beige: beige index --index old"):
        schema.prepare(database, "old", write=False, migrations=future)
    schema.prepare(database, "old", write=True, migrations=future)
    assert schema.version(database) == len(future)
    assert database.execute("SELECT source, language FROM document").fetchall() == [(b"a", "en")]
    schema.prepare(database, "old", write=False, migrations=future)


def test_a_migration_that_fails_changes_nothing(tmp_path: Path, database: sqlite3.Connection) -> None:
    with pytest.raises(sqlite3.OperationalError, match="nowhere"):
        schema.prepare(database, "old", write=True, migrations=(*schema.MIGRATIONS, fail))
    plain = PlainStore()
    plain.upsert([entry("a", 1, chunks=2)])
    with SqliteStore.open(tmp_path / "index") as store:
        check_equal(store, plain)


@pytest.mark.parametrize("write", [False, True])
def test_a_newer_index_is_refused(tmp_path: Path, database: sqlite3.Connection, write: bool) -> None:
    database.execute(f"PRAGMA user_version = {len(schema.MIGRATIONS) + 1}")
    with pytest.raises(StoreError, match=r"made by a newer Beige .*: update Beige"):
        SqliteStore.open(tmp_path / "index", write=write)
