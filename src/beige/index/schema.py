"""The database's tables, and how an older index becomes one of today.

A new index is made by running every migration, so that it cannot differ from one that was migrated.
"""

import sqlite3
from collections.abc import Callable, Sequence

from beige.errors import StoreError

APPLICATION = 0x42454947
"""SQLite's application id of an index: "BEIG"."""

Migration = Callable[[sqlite3.Connection], None]


def leg_table(number: int) -> str:
    """The table of the manifest's leg of this number: a table a leg, so that scanning one reads nothing else."""
    return f"leg_{number:d}"


def _first(connection: sqlite3.Connection) -> None:
    for statement in (
        "CREATE TABLE manifest (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
        # Texts are UTF-8 blobs: a file's name or text may hold lone surrogates, which SQLite's TEXT may not, and
        # blobs compare in the order of code points as Python's strings do.
        """CREATE TABLE document (
            id INTEGER PRIMARY KEY, source BLOB NOT NULL UNIQUE, digest TEXT NOT NULL, size INTEGER NOT NULL,
            modified REAL NOT NULL, media TEXT NOT NULL, fields TEXT NOT NULL, chunks INTEGER NOT NULL)""",
        # AUTOINCREMENT: a chunk's id is never given again, so that what a cache knows of an id stays true.
        """CREATE TABLE chunk (
            id INTEGER PRIMARY KEY AUTOINCREMENT, document INTEGER NOT NULL REFERENCES document (id),
            position INTEGER NOT NULL, text BLOB NOT NULL, key BLOB NOT NULL, start INTEGER NOT NULL,
            "end" INTEGER NOT NULL, line_start INTEGER NOT NULL, line_end INTEGER NOT NULL, page INTEGER,
            headings TEXT NOT NULL)""",
        "CREATE INDEX chunk_document ON chunk (document)",
        "CREATE INDEX chunk_key ON chunk (key)",
        "CREATE TABLE removal (number INTEGER PRIMARY KEY AUTOINCREMENT, chunk INTEGER NOT NULL)",
        # One row a transaction: how far chunks and removals had come. The stamp tells this history from another one,
        # of a restored backup for example, in which the same numbers mean other rows.
        """CREATE TABLE change (
            number INTEGER PRIMARY KEY AUTOINCREMENT, added INTEGER NOT NULL, removed INTEGER NOT NULL,
            stamp INTEGER NOT NULL)""",
        "INSERT INTO change (added, removed, stamp) VALUES (0, 0, random())",
        # Of each dense leg, the sum of its vectors as float64.
        "CREATE TABLE total (leg INTEGER PRIMARY KEY, chunks INTEGER NOT NULL, vector BLOB NOT NULL)",
    ):
        connection.execute(statement)


MIGRATIONS: tuple[Migration, ...] = (_first,)
"""The function at place n takes a database of schema version n to n + 1."""


def add_legs(connection: sqlite3.Connection, count: int) -> None:
    """Make the tables of a new index's legs."""
    for number in range(count):
        connection.execute(f"CREATE TABLE {leg_table(number)} (chunk INTEGER PRIMARY KEY, vector BLOB NOT NULL)")


def version(connection: sqlite3.Connection) -> int:
    """The schema version of an open database."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def migrate(connection: sqlite3.Connection, migrations: Sequence[Migration] = MIGRATIONS) -> None:
    """Bring a database, which may be empty, to the newest version, within a transaction that the caller has begun."""
    for migration in migrations[version(connection) :]:
        migration(connection)
    connection.execute(f"PRAGMA application_id = {APPLICATION:d}")
    connection.execute(f"PRAGMA user_version = {len(migrations):d}")


def prepare(
    connection: sqlite3.Connection, name: str, *, write: bool, migrations: Sequence[Migration] = MIGRATIONS
) -> None:
    """Make sure that an index that has been opened can be used, by upgrading it if need be and if it may be written.

    Args:
        connection: to its database.
        name: of its folder, for errors.
        write: whether it may be written.
        migrations: what takes it to the newest version.

    Raises:
        StoreError: the database is not an index's, is newer than this Beige, or older and only to be read.
    """
    if int(connection.execute("PRAGMA application_id").fetchone()[0]) != APPLICATION:
        raise StoreError(f"the database in {name} is no index of Beige's: name another folder with --index")
    found, newest = version(connection), len(migrations)
    if found > newest:
        raise StoreError(f"the index {name} was made by a newer Beige (schema {found}, here {newest}): update Beige")
    if found < newest:
        if not write:
            raise StoreError(
                f"the index {name} was made by an older Beige: beige index --index {name} PATH upgrades it"
            )
        connection.execute("BEGIN IMMEDIATE")
        try:
            migrate(connection, migrations)
            connection.execute("COMMIT")
        except BaseException:
            connection.rollback()
            raise
