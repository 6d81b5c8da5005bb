"""How an index comes to be: as a whole, or not at all."""

from pathlib import Path

from beige.analyser import Analyser
from beige.index import schema
from beige.index.cache_file import sync_folder
from beige.index.connection import PAGE, connect
from beige.index.manifest import Manifest
from beige.index.plan import Plan
from beige.index.writing import Writing


def create(database: Path, manifest: Manifest) -> None:
    """Make an empty database, durable when this returns.

    It is made under another name and renamed: there is no moment with a database that is not whole.
    """
    made = database.with_name(database.name + ".new")
    for end in ("", "-wal", "-shm"):
        made.with_name(made.name + end).unlink(missing_ok=True)
    made.touch()
    connection = connect(made, write=True)
    try:
        connection.execute(f"PRAGMA page_size = {PAGE:d}")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("BEGIN IMMEDIATE")
        schema.migrate(connection)
        schema.add_legs(connection, len(manifest.legs))
        Writing(connection).describe(manifest)
        connection.execute("COMMIT")
    finally:
        # The last connection that closes writes its log into the database and removes it.
        connection.close()
    made.replace(database)
    sync_folder(database.parent)
    sync_folder(database.parent.parent)


def manifest_of(plan: Plan, language: str, base: str) -> Manifest:
    """The manifest of a new index.

    Args:
        plan: its models and legs.
        language: of the words that BM25 stems.
        base: what it says of the folder that relative sources are relative to.

    Raises:
        UsageError: there is no stemmer for the language.
    """
    from beige.documents.splitter import CHUNK_TOKENS

    return Manifest(
        encoders=plan.encoders,
        legs=plan.legs,
        chunk_tokens=min(CHUNK_TOKENS, *(embedder.checkpoint.max_tokens for embedder in plan.embedders)),
        analyser=Analyser(language).name,
        base=base,
    )
