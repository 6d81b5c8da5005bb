"""Replacing documents in a collection, so that nobody ever sees half of one and a cut-off writer leaves no trace."""

import secrets
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from beige.documents.chunk import Document
from beige.errors import StoreError
from beige.index.codec import decode_dense, decode_multi, decode_sparse, encode_dense, encode_multi, encode_sparse
from beige.index.manifest import Leg
from beige.index.qdrant.address import Address
from beige.index.qdrant.conditions import among, documents, equal, every, expired
from beige.index.qdrant.connection import calling, scrolled
from beige.index.qdrant.points import (
    CHUNK,
    DOCUMENT,
    chunk_payload,
    document_id,
    document_payload,
    packed,
)
from beige.index.store import Entry, Part, Vectors, parts_of

if TYPE_CHECKING:
    from qdrant_client import QdrantClient, models

SLICE = 128
"""Chunks that are uploaded in one request: a few megabytes."""

UPLOADS = 4
"""Requests of an upload that are under way at once."""

DOCUMENTS = 500
"""Documents that are shown, or removed, in one request."""


@dataclass(frozen=True, eq=False, slots=True)
class _Version:
    """A document and the name of this version of it."""

    document: Document
    name: str
    first: int  # its first chunk's id, on which the others' follow


def _version(document: Document) -> _Version:
    return _Version(document, secrets.token_hex(8), secrets.randbits(62))


class Upload:
    """Changes a collection, for the one writer that has its lease.

    Args:
        client: of the server.
        address: of the collection.
        legs: of the index.
    """

    def __init__(self, client: "QdrantClient", address: Address, legs: Sequence[Leg]) -> None:
        self._client = client
        self._address = address
        self._legs = legs

    def store(self, entries: Sequence[Entry]) -> None:
        """Replace documents, whose sources differ.

        Raises:
            StoreError: vectors that do not fit, or a server that fails.
        """
        versions = [_version(entry.document) for entry in entries]
        made = [  # all are checked before one is sent
            point
            for version, entry in zip(versions, entries, strict=True)
            for points in self._points(version, [entry.vectors])
            for point in points
        ]
        self._send(made)
        for start in range(0, len(versions), DOCUMENTS):
            self._show(versions[start : start + DOCUMENTS])

    def store_in_parts(self, document: Document, parts: Iterable[Part]) -> None:
        """Replace a document whose vectors come part by part, in the order of its chunks.

        Raises:
            StoreError: as for `store`; what was sent stays unseen, until the next writer removes it.
        """
        version = _version(document)
        for points in self._points(version, parts):
            self._send(points)
        self._show([version])

    def delete(self, sources: Sequence[str]) -> int:
        """Forget documents; returns how many there were."""
        gone = 0
        names = list(map(packed, sources))
        for start in range(0, len(names), DOCUMENTS):
            mine = among("source", names[start : start + DOCUMENTS])
            counted = self._call(self._client.count, count_filter=documents(mine), exact=True)
            gone += counted.count
            self._update(self._drop(every(mine)))
        return gone

    def expire(self, sources: Sequence[str], when: float | None) -> None:
        """Set when documents expire."""
        from qdrant_client import models

        names = list(map(packed, sources))
        for start in range(0, len(names), DOCUMENTS):
            mine = every(among("source", names[start : start + DOCUMENTS]))
            set_payload = models.SetPayload(payload={"expires": when}, filter=mine)
            self._update(models.SetPayloadOperation(set_payload=set_payload))

    def remove_expired(self) -> int:
        """Forget what has expired; returns how many documents it was."""
        gone = self._call(self._client.count, count_filter=every(equal("kind", DOCUMENT), expired()), exact=True).count
        if gone:
            self._update(self._drop(every(expired())))
        return int(gone)

    def recover(self) -> str:
        """Finish what a writer had begun to show, and remove what it had not; says how much there was, or nothing."""
        which = every(equal("kind", DOCUMENT), equal("shown", False))
        found = scrolled(self._client, self._address, which, with_payload=["source", "version"])
        half = [point.payload or {} for point in found]
        for start in range(0, len(half), DOCUMENTS):
            some = half[start : start + DOCUMENTS]
            self._update(*self._showing([one["source"] for one in some], [one["version"] for one in some]))
        unseen = every(equal("kind", CHUNK), equal("live", False))
        left = self._call(self._client.count, count_filter=unseen, exact=True).count
        if left:
            self._update(self._drop(unseen))
        parts = [f"{len(half)} documents were finished"] * bool(half) + [f"{left} chunks were removed"] * bool(left)
        return " and ".join(parts)

    def _points(self, version: _Version, parts: Iterable[Part]) -> "Iterator[list[models.PointStruct]]":
        """The chunks of each part."""
        from qdrant_client import models

        document = version.document
        for first, part in parts_of(document, parts, [leg.name for leg in self._legs]):
            rows = {leg.name: _rounded(leg, part[leg.name], document.source) for leg in self._legs}
            yield [
                models.PointStruct(
                    id=version.first + position,
                    vector={name: vector for name, vector in zip(rows, vectors, strict=True) if vector != []},
                    payload=chunk_payload(document, position, document.chunks[position], version.name),
                )
                for position, vectors in enumerate(zip(*rows.values(), strict=True), start=first)
            ]

    def _send(self, points: "list[models.PointStruct]") -> None:
        """Upload chunks that are not seen yet."""

        def send(some: "list[models.PointStruct]") -> None:
            # Their order does not matter, and that all replicas have them is asked when they are shown.
            self._call(self._client.upsert, points=some, wait=True)

        with ThreadPoolExecutor(UPLOADS, thread_name_prefix="beige-upload") as pool:
            list(pool.map(send, (points[start : start + SLICE] for start in range(0, len(points), SLICE))))

    def _show(self, versions: Sequence[_Version]) -> None:
        from qdrant_client import models

        documents = [version.document for version in versions]
        names = [version.name for version in versions]
        heads = [
            models.PointStruct(id=document_id(document.source), vector={}, payload=document_payload(document, version))
            for document, version in zip(documents, names, strict=True)
        ]
        self._update(
            models.UpsertOperation(upsert=models.PointsList(points=heads)),
            *self._showing([packed(document.source) for document in documents], names),
        )

    def _showing(self, sources: Sequence[str], versions: Sequence[str]) -> "list[Any]":
        """From documents' points to what is seen of them; doing it again does nothing."""
        from qdrant_client import models

        mine, theirs = among("source", sources), among("version", versions)
        return [
            models.SetPayloadOperation(
                set_payload=models.SetPayload(payload={"live": True}, filter=every(equal("kind", CHUNK), theirs))
            ),
            self._drop(every(equal("kind", CHUNK), mine, but=[theirs])),
            models.SetPayloadOperation(
                set_payload=models.SetPayload(payload={"shown": True}, filter=every(equal("kind", DOCUMENT), theirs))
            ),
        ]

    def _drop(self, which: "models.Filter") -> Any:
        from qdrant_client import models

        return models.DeleteOperation(delete=models.FilterSelector(filter=which))

    def _update(self, *operations: Any) -> None:
        """Several changes in one request: a writer that is killed has sent all of them, or none."""
        from qdrant_client import models

        self._call(
            self._client.batch_update_points,
            update_operations=list(operations),
            wait=True,
            ordering=models.WriteOrdering.STRONG,
        )

    def _call(self, call: Any, **options: Any) -> Any:
        from qdrant_client import models

        done = calling(self._address, call, self._address.target, **options)
        for result in done if isinstance(done, list) else [done]:
            status = getattr(result, "status", models.UpdateStatus.COMPLETED)
            if status != models.UpdateStatus.COMPLETED:
                raise StoreError(
                    f"the server at {self._address.url} took too long to store what it was sent ({status.value}): "
                    "nothing is lost, run it again"
                )
        return done


def _rounded(leg: Leg, vectors: Vectors, source: str) -> "list[Any]":
    """A document's vectors in the precision that they are stored in, one a chunk, as a server takes them.

    Raises:
        StoreError: they do not fit the leg.
    """
    from qdrant_client import models

    place = f"leg {leg.name!r} of {source}"
    if leg.kind == "dense":
        assert leg.dimension is not None
        blobs = list(enumerate(encode_dense(vectors, leg.dimension, place)))
        return [row.tolist() for row in decode_dense(blobs, leg.dimension).vectors]
    if leg.kind == "multi":
        assert leg.dimension is not None
        return [decode_multi(blob, leg.dimension).tolist() for blob in encode_multi(vectors, leg.dimension, place)]
    rows = decode_sparse(list(enumerate(encode_sparse(vectors, place))))
    ends = np.cumsum(rows.lengths)[:-1]
    return [
        models.SparseVector(indices=terms.tolist(), values=weights.tolist())
        for terms, weights in zip(np.split(rows.terms, ends), np.split(rows.weights, ends), strict=True)
    ][: len(rows.ids)]
