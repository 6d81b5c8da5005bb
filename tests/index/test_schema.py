import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from beige.errors import StoreError
from beige.index import schema
from beige.index.expression import parse
from beige.index.manifest import Encoder, Leg
from beige.index.sqlite_store import DATABASE, SqliteStore
from beige.index.store import Entry
from tests.index.samples import PlainStore, check_equal, check_filtered, entry, manifest


def add_colour(connection: sqlite3.Connection) -> None:
    connection.execute("ALTER TABLE document ADD COLUMN colour TEXT NOT NULL DEFAULT 'grey'")


def fail(connection: sqlite3.Connection) -> None:
    add_colour(connection)
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
    future = (*schema.MIGRATIONS, add_colour)
    with pytest.raises(StoreError, match="the index old was made by an older Beige: beige index --index old"):
        schema.prepare(database, "old", write=False, migrations=future)
    schema.prepare(database, "old", write=True, migrations=future)
    assert schema.version(database) == len(future)
    assert database.execute("SELECT source, colour FROM document").fetchall() == [(b"a", "grey")]
    schema.prepare(database, "old", write=False, migrations=future)


def test_a_migration_that_fails_changes_nothing(tmp_path: Path, database: sqlite3.Connection) -> None:
    with pytest.raises(sqlite3.OperationalError, match="nowhere"):
        schema.prepare(database, "old", write=True, migrations=(*schema.MIGRATIONS, fail))
    plain = PlainStore()
    plain.upsert([entry("a", 1, chunks=2)])
    with SqliteStore.open(tmp_path / "index") as store:
        check_equal(store, plain)


OLD_MANIFEST = {
    "model": "bge-small-en-v1.5",
    "fingerprint": "0" * 64,
    "precision": "bf16",
    "query_template": "for: {text}",
    "document_template": "{text}",
    "dimension": 2,
    "legs": [
        {"name": "dense", "kind": "dense", "dimension": 2, "idf": False},
        {"name": "bm25", "kind": "sparse", "dimension": None, "idf": True},
    ],
    "chunk_tokens": 256,
    "analyser": "words-1/english",
    "average_length": 3.5,
    "base": "..",
    "created": "2026-01-01T00:00:00+00:00",
}
"""What an index said of itself when it had one model: schema version 1."""


@pytest.mark.parametrize("write", [False, True])
def test_an_index_of_one_model_becomes_one_of_a_list_of_models(tmp_path: Path, write: bool) -> None:
    with closing(sqlite3.connect(tmp_path / DATABASE, isolation_level=None)) as old:
        old.execute("PRAGMA journal_mode = WAL")
        old.execute("BEGIN")
        schema.migrate(old, schema.MIGRATIONS[:1])
        schema.add_legs(old, 2)
        rows = [(name, json.dumps(value)) for name, value in OLD_MANIFEST.items()]
        old.executemany("INSERT INTO manifest VALUES (?, ?)", rows)
        old.execute("COMMIT")
    with SqliteStore.open(tmp_path, write=write) as store:
        made = store.manifest
    assert made.encoders == (Encoder("bge-small-en-v1.5", "0" * 64, "bf16", "for: {text}", "{text}"),)
    assert made.legs[0] == Leg("dense", "dense", 2, encoder="bge-small-en-v1.5")
    assert made.legs[1] == Leg("bm25", "sparse", idf=True)
    assert (made.average_length, made.created) == (3.5, "2026-01-01T00:00:00+00:00")


@pytest.mark.parametrize("write", [False, True])
def test_a_newer_index_is_refused(tmp_path: Path, database: sqlite3.Connection, write: bool) -> None:
    database.execute(f"PRAGMA user_version = {len(schema.MIGRATIONS) + 1}")
    with pytest.raises(StoreError, match=r"made by a newer Beige .*: update Beige"):
        SqliteStore.open(tmp_path / "index", write=write)


def test_an_index_from_before_filters_can_be_filtered(tmp_path: Path) -> None:
    plain = PlainStore()
    with SqliteStore.create(tmp_path / "index", manifest()) as store:
        for target in (store, plain):
            target.upsert([entry(f"doc{seed}", seed) for seed in range(30)])
            target.upsert(
                [replaced(entry("rows.csv#1", 7), "record", 5.0), replaced(entry("rows.csv#a#b", 8), "record", 5.0)]
            )
    older = schema.MIGRATIONS.index(schema._facts)
    with closing(sqlite3.connect(tmp_path / "index" / DATABASE, isolation_level=None)) as connection:
        # As it was: the time of all but the last of a file's records, and of what may still change, was 0.
        connection.execute("UPDATE document SET modified = 0 WHERE source = CAST('rows.csv#1' AS BLOB) OR NOT settled")
        for statement in ("TABLE fact", "INDEX chunk_page"):
            connection.execute(f"DROP {statement}")
        for column in ("language", "settled"):
            connection.execute(f"ALTER TABLE document DROP COLUMN {column}")
        connection.execute(f"PRAGMA user_version = {older}")
        schema.prepare(connection, "old", write=True, migrations=schema.MIGRATIONS[: older + 1])
        connection.execute(f"PRAGMA user_version = {len(schema.MIGRATIONS)}")
    for source, one in plain.entries.items():
        document = one.document
        modified = document.modified if document.settled or source == "rows.csv#1" else 0.0
        plain.entries[source] = Entry(replace(document, language="", modified=modified), one.vectors)
    with SqliteStore.open(tmp_path / "index") as store:
        for where in WHERE:
            check_filtered(store, plain, parse(where), 50)
        assert [s.source for s in store.documents(where=parse("path:rows.csv modified<1971"))] == [
            "rows.csv#1",
            "rows.csv#a#b",
        ]
        assert dict(store.facet("tags")) == plain.facet("tags")
        assert [s.settled for s in store.documents("doc")] == [bool(s.modified) for s in store.documents("doc")]


WHERE = ("type:pdf", "tags:draft", "seed<12", "half>=3.5 heading:1", "page>1", "modified>1970-09", '"some field":1000')


def replaced(one: Entry, media: str, modified: float) -> Entry:
    return Entry(
        replace(one.document, media=media, modified=modified, settled="#a" in one.document.source), one.vectors
    )


def test_an_index_from_before_times_to_live_keeps_its_documents(tmp_path: Path, database: sqlite3.Connection) -> None:
    database.execute("DROP INDEX document_expires")
    database.execute("DROP TABLE growth")
    for column in ("given", "expires", "origin"):
        database.execute(f"ALTER TABLE document DROP COLUMN {column}")
    database.execute(f"PRAGMA user_version = {schema.MIGRATIONS.index(schema._given_and_expires)}")
    plain = PlainStore()
    plain.upsert([entry("a", 1, chunks=2)])
    with SqliteStore.open(tmp_path / "index", write=True) as store:
        check_equal(store, plain)
        assert [(stored.given, stored.expires) for stored in store.documents()] == [(False, None)]
