"""The stores that must keep the contract: each makes an empty one, open for writing, in a folder of its own."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from beige.index.manifest import Manifest, Storage
from beige.index.sqlite_store import SqliteStore
from beige.index.store import Store


def kept_as(manifest: Manifest, storage: Storage) -> Manifest:
    """The manifest with another storage of its dense legs."""
    return replace(
        manifest, legs=tuple(replace(leg, storage=storage) if leg.kind == "dense" else leg for leg in manifest.legs)
    )


BACKENDS: dict[str, Callable[[Path, Manifest], Store]] = {
    "sqlite": SqliteStore.create,
    "sqlite, always merging": lambda folder, manifest: SqliteStore.create(folder, manifest, tail_rows=0),
    "sqlite, by graph": lambda folder, manifest: SqliteStore.create(folder, manifest, exact_rows=4, tail_rows=3),
    "sqlite, int8": lambda folder, manifest: SqliteStore.create(
        folder, kept_as(manifest, "int8"), exact_rows=4, tail_rows=3
    ),
    "sqlite, binary": lambda folder, manifest: SqliteStore.create(
        folder, kept_as(manifest, "binary"), exact_rows=4, tail_rows=3
    ),
}
