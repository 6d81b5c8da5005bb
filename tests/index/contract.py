"""The stores that must keep the contract: each makes an empty one, open for writing, in a folder of its own."""

from collections.abc import Callable
from pathlib import Path

from beige.index.manifest import Manifest
from beige.index.sqlite_store import SqliteStore
from beige.index.store import Store

BACKENDS: dict[str, Callable[[Path, Manifest], Store]] = {
    "sqlite": SqliteStore.create,
    "sqlite, always merging": lambda folder, manifest: SqliteStore.create(folder, manifest, tail_rows=0),
    "sqlite, by graph": lambda folder, manifest: SqliteStore.create(folder, manifest, exact_rows=4, tail_rows=3),
    "sqlite, int8": lambda folder, manifest: SqliteStore.create(
        folder, manifest.kept_as("int8"), exact_rows=4, tail_rows=3
    ),
    "sqlite, binary": lambda folder, manifest: SqliteStore.create(
        folder, manifest.kept_as("binary"), exact_rows=4, tail_rows=3
    ),
}
