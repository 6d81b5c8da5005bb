"""The database's tables, and how an older index becomes one of today.

A new index is made by running every migration, so that it cannot differ from one that was migrated.
"""

import json
import sqlite3
from collections.abc import Callable, Iterable, Sequence

from beige.documents.chunk import Plain
from beige.documents.formats import file_of
from beige.errors import StoreError
from beige.index.facts import facts, text_of, titles
from beige.index.filter import number_of

APPLICATION = 0x42454947
"""SQLite's application id of an index: "BEIG"."""


class OutdatedError(StoreError):
    """The database is of an older version, and was opened only to be read."""


Migration = Callable[[sqlite3.Connection], None]


def text(blob: bytes) -> str:
    """A text that the database holds."""
    return blob.decode("utf-8", "surrogatepass")


def blob(text: str) -> bytes:
    """A text as the database holds it."""
    return text.encode("utf-8", "surrogatepass")


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


def _facts(connection: sqlite3.Connection) -> None:
    """What filters and facets look at; a document's time of change becomes true where 0 said that it is not settled."""
    for statement in (
        "ALTER TABLE document ADD COLUMN language TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE document ADD COLUMN settled INTEGER NOT NULL DEFAULT 1",
        "UPDATE document SET settled = modified != 0",
        # By document, so that one is added and deleted at one place; and by value, for filters and facets. What a
        # document says never changes while its id lives: it is replaced by another one.
        """CREATE TABLE fact (
            document INTEGER NOT NULL REFERENCES document (id), field BLOB NOT NULL, text BLOB NOT NULL, number,
            PRIMARY KEY (document, field, text)) WITHOUT ROWID""",
        "CREATE INDEX fact_text ON fact (field, text)",
        "CREATE INDEX fact_number ON fact (field, number) WHERE number IS NOT NULL",
        "CREATE INDEX chunk_page ON chunk (page, document) WHERE page IS NOT NULL",
    ):
        connection.execute(statement)
    times: dict[bytes, float] = {}  # of the files of records
    for source, modified in connection.execute("SELECT source, modified FROM document WHERE media = 'record'"):
        file = blob(file_of(text(source), "record"))
        times[file] = max(modified, times.get(file, 0.0))
    connection.executemany(
        "UPDATE document SET modified = ? WHERE media = 'record' AND NOT settled AND source > ? AND source < ?",
        ((modified, file + b"#", file + b"$") for file, modified in times.items() if modified),
    )
    for number, source, media, fields in connection.execute("SELECT id, source, media, fields FROM document"):
        add_facts(connection, number, facts(text(source), media, "", json.loads(fields)))
    for number, headings in connection.execute("SELECT DISTINCT document, headings FROM chunk"):
        add_facts(connection, number, titles(json.loads(headings)))


def _given_and_expires(connection: sqlite3.Connection) -> None:
    for statement in (
        "ALTER TABLE document ADD COLUMN given INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE document ADD COLUMN expires REAL",
        "CREATE INDEX document_expires ON document (expires) WHERE expires IS NOT NULL",
    ):
        connection.execute(statement)


def _encoders(connection: sqlite3.Connection) -> None:
    """One index may hold vectors of several models: what it says of its model becomes the first of a list."""
    rows = {name: json.loads(value) for name, value in connection.execute("SELECT name, value FROM manifest")}
    if "model" not in rows:  # a new database has no manifest yet
        return
    names = ("model", "fingerprint", "precision", "query_template", "document_template")
    encoder = {name: rows[name] for name in names}
    for leg in rows["legs"]:
        leg["encoder"] = rows["model"] if leg["kind"] == "dense" else None
    connection.executemany("DELETE FROM manifest WHERE name = ?", [(name,) for name in (*names, "dimension")])
    connection.executemany(
        "INSERT OR REPLACE INTO manifest VALUES (?, ?)",
        [("encoders", json.dumps([encoder])), ("legs", json.dumps(rows["legs"]))],
    )


def _growth(connection: sqlite3.Connection) -> None:
    # How documents, chunks and bytes became more or fewer, by the time of the change: seconds since the epoch.
    connection.execute(
        """CREATE TABLE growth (
            began INTEGER PRIMARY KEY, documents INTEGER NOT NULL, chunks INTEGER NOT NULL, bytes INTEGER NOT NULL)"""
    )


def _origin(connection: sqlite3.Connection) -> None:
    connection.execute("ALTER TABLE document ADD COLUMN origin TEXT NOT NULL DEFAULT ''")


MIGRATIONS: tuple[Migration, ...] = (_first, _facts, _given_and_expires, _encoders, _growth, _origin)
"""The function at place n takes a database of schema version n to n + 1."""


def add_legs(connection: sqlite3.Connection, count: int) -> None:
    """Make the tables of a new index's legs."""
    for number in range(count):
        connection.execute(f"CREATE TABLE {leg_table(number)} (chunk INTEGER PRIMARY KEY, vector BLOB NOT NULL)")


def add_facts(connection: sqlite3.Connection, document: int, facts: Iterable[tuple[str, Plain]]) -> None:
    """Note what a document says of itself, each of it once."""
    connection.executemany(
        "INSERT OR IGNORE INTO fact VALUES (?, ?, ?, ?)",
        ((document, blob(field), blob(text_of(value)), number_of(value)) for field, value in facts),
    )


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
        StoreError: the database is not an index's, or is newer than this Beige.
        OutdatedError: it is older and only to be read.
    """
    if int(connection.execute("PRAGMA application_id").fetchone()[0]) != APPLICATION:
        raise StoreError(f"the database in {name} is no index of Beige's: name another folder with --index")
    found, newest = version(connection), len(migrations)
    if found > newest:
        raise StoreError(f"the index {name} was made by a newer Beige (schema {found}, here {newest}): update Beige")
    if found < newest:
        if not write:
            raise OutdatedError(
                f"the index {name} was made by an older Beige: beige index --index {name} PATH upgrades it"
            )
        connection.execute("BEGIN IMMEDIATE")
        try:
            migrate(connection, migrations)
            connection.execute("COMMIT")
        except BaseException:
            connection.rollback()
            raise
