"""What an index holds, and how its files are."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from beige.index.connection import named
from beige.index.database import Growth
from beige.index.manifest import Manifest
from beige.index.sqlite_store import DATABASE, SqliteStore
from beige.index.store import Store


@dataclass(frozen=True, slots=True)
class Status:
    """What an index holds, and how its files are.

    Attributes:
        path: its folder, or its collection.
        documents: how many.
        chunks: how many they have.
        bytes: of its files on disk; None of a collection, whose files are the server's.
        changed: when it last changed, ISO 8601 in UTC; None of a collection.
        caches: by leg, "current", "behind", "missing" or "damaged"; all but the first cost searches time, nothing else.
            A collection has none.
        manifest: what it says of itself.
        growth: how much more it holds than an hour, a day and a week ago, by "hour", "day" and "week"; the index knows
            of what it was told itself, so not of what is older than a move or a migration. A collection knows nothing.
        generations: models of those that do not serve: of the "previous" one, which is kept, and of the "next" one,
            which is being made.
    """

    path: str
    documents: int
    chunks: int
    bytes: int | None
    changed: str | None
    caches: Mapping[str, str]
    manifest: Manifest
    growth: Mapping[str, Growth]
    generations: Mapping[str, str]


SPANS = {"hour": 3600, "day": 24 * 3600, "week": 7 * 24 * 3600}
"""Seconds over which growth is told."""


def of_folder(folder: Path, store: SqliteStore, generations: Mapping[str, str]) -> Status:
    """The state of the index in a folder, whose store is open."""
    files = [path.stat() for path in folder.iterdir() if path.is_file()]
    changed = max(path.stat().st_mtime for path in folder.glob(f"{DATABASE}*") if not path.name.endswith("-shm"))
    documents, chunks = store.count()
    return Status(
        path=named(folder),
        documents=documents,
        chunks=chunks,
        bytes=sum(file.st_size for file in files),
        changed=datetime.fromtimestamp(changed, UTC).isoformat(timespec="seconds"),
        caches=store.caches(),
        manifest=store.manifest,
        growth={name: store.growth(seconds) for name, seconds in SPANS.items()},
        generations=generations,
    )


def of_collection(address: str, store: Store, generations: Mapping[str, str]) -> Status:
    """The state of the index in a collection, whose store is open."""
    documents, chunks = store.count()
    return Status(address, documents, chunks, None, None, {}, store.manifest, {}, generations)


def status_of(said: Mapping[str, Any]) -> Status:
    """A status as a server says it in JSON; what a newer Beige says besides is passed over.

    Raises:
        StoreError: its manifest cannot be understood.
        KeyError: something is missing.
    """
    parts = {
        "manifest": Manifest.from_rows({name: json.dumps(value) for name, value in said["manifest"].items()}),
        "growth": {name: Growth(**more) for name, more in said["growth"].items()},
    }
    return Status(**{one.name: said[one.name] for one in fields(Status)} | parts)
