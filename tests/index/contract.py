"""The stores that must keep the contract: each makes an empty one, open for writing, in a folder of its own."""

import os
import secrets
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from qdrant_client import QdrantClient

from beige.index.manifest import Manifest
from beige.index.qdrant.address import Address, parse
from beige.index.qdrant.connection import connect
from beige.index.qdrant.store import QdrantStore
from beige.index.sqlite_store import SqliteStore
from beige.index.store import Store

SERVER = "BEIGE_QDRANT_URL"
"""Names a real server, over which the contract is checked too."""


class OneAtATime:
    """qdrant-client's in-process collections, which several threads may not use at once as they may a server.

    They outlive whoever closes them, as a server does its clients.
    """

    def __init__(self) -> None:
        self._client = QdrantClient(":memory:")
        self._lock = threading.Lock()

    def close(self) -> None:
        """Nothing."""

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)

        def alone(*arguments: Any, **options: Any) -> Any:
            with self._lock:
                return method(*arguments, **options)

        return alone


def in_process(folder: Path, manifest: Manifest) -> QdrantStore:
    return QdrantStore.create(Address("http://in-process", folder.name), manifest, OneAtATime())  # type: ignore[arg-type]


def on_server(folder: Path, manifest: Manifest) -> QdrantStore:
    """A collection of its own on the server that `BEIGE_QDRANT_URL` names, removed when the store is closed."""
    address = parse(f"qdrant+{os.environ[SERVER].rstrip('/')}/beige-test-{secrets.token_hex(6)}")
    client = connect(address)

    class Temporary(QdrantStore):
        def close(self) -> None:
            client.delete_collection(self.address.target)
            super().close()

    return Temporary.create(address, manifest, client)


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
    "qdrant, in process": in_process,
    **({"qdrant, server": on_server} if os.environ.get(SERVER) else {}),
}
