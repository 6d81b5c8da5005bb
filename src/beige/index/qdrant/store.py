"""The store on a Qdrant server or cluster."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self, TypeVar

import numpy as np

from beige.documents.chunk import Document
from beige.errors import StoreError
from beige.index.codec import check_sparse
from beige.index.filter import OF_CHUNKS, Filter, check_facet, checked, key_of, of_chunks
from beige.index.manifest import Leg, Manifest
from beige.index.postings import inverse_document_frequency
from beige.index.qdrant import collection
from beige.index.qdrant.address import Address
from beige.index.qdrant.conditions import among, documents, equal, every, expired, live
from beige.index.qdrant.connection import PAGE, calling, connect, scrolled
from beige.index.qdrant.lease import Lease
from beige.index.qdrant.points import STORED, document, hidden, packed, passage, stored, unpacked
from beige.index.qdrant.upload import Upload
from beige.index.qdrant.where import conditions_of
from beige.index.ranking import rank
from beige.index.schema import blob
from beige.index.store import Entry, Ids, Passage, Ranking, Stored, Vector
from beige.values import Floats, Sparse

if TYPE_CHECKING:
    from qdrant_client import QdrantClient, models

SPARE = 32
"""Hits asked for beyond those wanted, among which whoever ties with the last is looked for."""

SAMPLE = 2000
"""Chunks whose mean stands for that of all of them."""

FRESH = 30.0
"""Seconds for which such a mean is believed, while others may write."""

MOST_VALUES = 10_000
"""Values of a field that are told apart in a facet."""

T = TypeVar("T")


class QdrantStore:
    """An index in a collection; one process writes, any number read, several threads use one object.

    Attributes:
        address: where it is.
        manifest: what it says of itself.
        notices: sentences on what was found half-done, and what was done about it.
    """

    def __init__(self, client: "QdrantClient", address: Address, *, write: bool) -> None:
        """Use `create` or `open`; the client is closed by `close`, or when this fails."""
        self.address = address
        self.notices: list[str] = []
        self._client = client
        self._lease: Lease | None = None
        self._upload: Upload | None = None
        self._samples: dict[tuple[str, int], tuple[float, Floats]] = {}
        self._lock = threading.Lock()
        try:
            self.manifest = collection.manifest_of(client, address)
            if write:
                self._lease = Lease(client, address)
                self._upload = Upload(client, address, self.manifest.legs)
                if found := self._upload.recover():
                    self.notices.append(f"a writer was cut off before it had finished: {found}")
                self._upload.remove_expired()
        except BaseException:
            self.close()
            raise

    @property
    def replaced(self) -> bool:
        """Whether another index has taken this one's place: nothing takes a collection's."""
        return False

    @classmethod
    def create(cls, address: Address, manifest: Manifest, client: "QdrantClient | None" = None) -> Self:
        """Make an empty index and open it for writing.

        Args:
            address: where; its shards and replicas are those of the new collection.
            manifest: what the index says of itself.
            client: None for one of the address.

        Raises:
            StoreError: there is a collection already, or the server cannot be used.
        """
        client = client or connect(address)
        try:
            collection.create(client, address, manifest)
        except BaseException:
            client.close()
            raise
        return cls(client, address, write=True)

    @classmethod
    def open(cls, address: Address, *, write: bool = False, client: "QdrantClient | None" = None) -> Self:
        """Open the index of a collection.

        Raises:
            LockedError: to be written, and another process writes to it.
            StoreError: the server cannot be used, or there is no index.
        """
        return cls(client or connect(address), address, write=write)

    def upsert(self, entries: Sequence[Entry]) -> None:
        """Store the documents, each replacing the one of the same source; durable and visible when this returns.

        Raises:
            StoreError: vectors that do not fit the index, or a server that fails; of each document then either the old
                or the new version counts.
        """
        if entries:
            upload = self._writing()
            upload.store(list({entry.document.source: entry for entry in entries}.values()))
            self._changed()

    def delete(self, sources: Sequence[str]) -> int:
        """Forget these documents; returns how many there were."""
        if not sources:
            return 0
        gone = self._writing().delete(sources)
        self._changed()
        return gone

    def expire(self, sources: Sequence[str], when: float | None) -> None:
        """Set from when on these documents are in no answer, in seconds since the epoch; None for never."""
        if sources:
            self._writing().expire(sources, when)
            self._changed()

    def remove_expired(self) -> int:
        """Remove what has expired, as every writer does when it opens and when it closes; returns how much it was."""
        return self._writing().remove_expired()

    def overdue(self) -> bool:
        """Whether something has expired that no writer has removed yet."""
        return bool(self._call(self._client.count, count_filter=every(expired()), exact=True).count)

    def top(self, leg: str, query: Vector, k: int, where: Filter | None = None) -> Ranking:
        """The leg's k best chunks, best first, ties by source and position; of those that pass the filter."""
        if self.manifest.leg(leg).kind == "multi":
            raise StoreError(f"the leg {leg!r} finds nothing by itself: it scores what other legs found")
        asked, within = self._asked(leg, query), live(*self._passing(where))
        if asked is None:
            return Ranking(np.empty(0, np.int64), np.empty(0, np.float32))
        limit = k + SPARE
        while True:
            found = self._call(
                self._client.query_points,
                query=asked,
                using=leg,
                query_filter=within,
                limit=limit,
                with_payload=["source", "position"],
            ).points
            if isinstance(query, Sparse):
                found = [point for point in found if point.score > 0]
            if len(found) < limit or found[-1].score < found[k - 1].score:
                break
            limit *= 2
        places = {
            int(point.id): (blob(unpacked((point.payload or {})["source"])), (point.payload or {})["position"])
            for point in found
        }
        ids = np.array([int(point.id) for point in found], np.int64)  # (n,)
        scores = np.array([point.score for point in found], np.float32)  # (n,)
        return rank(ids, scores, k, lambda tied: {chunk: places[chunk] for chunk in tied.tolist()})

    def scores(self, leg: str, query: Vector, ids: Ids) -> Floats:
        """The leg's score of each of these chunks, 0 where a sparse leg shares nothing, NaN where the chunk is gone."""
        from qdrant_client import models

        asked = self._asked(leg, query)
        if not len(ids):
            return np.empty(0, np.float32)
        chosen = live(_with_ids(ids))
        scores = dict.fromkeys((int(point.id) for point in self._scrolled(chosen)), 0.0)
        if asked is not None:
            found = self._call(
                self._client.query_points,
                query=asked,
                using=leg,
                query_filter=chosen,
                limit=len(ids),
                search_params=models.SearchParams(exact=True),
                with_payload=False,
            ).points
            share = len(query) if self.manifest.leg(leg).kind == "multi" else 1  # a server adds up the maxima
            scores |= {int(point.id): point.score / share for point in found}
        return np.array([scores.get(chunk, np.nan) for chunk in ids.tolist()], np.float32)

    def idf(self, leg: str, query: Sparse) -> Floats:
        """What a sparse leg multiplies each of the query's weights by, (k,): the live IDF, or 1 where it has none.

        A server does not tell: it follows from the score and the weight of a chunk that a word alone finds.
        """
        from qdrant_client import models

        if (known := self.manifest.leg(leg)).kind != "sparse":
            raise StoreError(f"the leg {leg!r} has no IDF")
        check_sparse(query, f"the query of leg {leg!r}")
        if not known.idf or not len(query):
            return np.ones(len(query), np.float32)
        answers = self._call(
            self._client.query_batch_points,
            requests=[
                models.QueryRequest(
                    query=models.SparseVector(indices=[term], values=[1.0]),
                    using=leg,
                    filter=live(),
                    limit=1,
                    with_vector=[leg],
                )
                for term in query.ids.tolist()
            ],
        )
        unseen = float(inverse_document_frequency(self.count()[1], np.zeros(1, np.int64))[0])
        found = [answer.points[0] if answer.points else None for answer in answers]
        return np.array(
            [
                unseen if point is None or point.score <= 0 else point.score / _weight(point.vector, leg, term)
                for term, point in zip(query.ids.tolist(), found, strict=True)
            ],
            np.float32,
        )

    def fetch(self, ids: Ids) -> list[Passage]:
        """These chunks, in the order asked for; one that is gone is left out."""
        chosen = live(_with_ids(ids))
        found = {int(point.id): point.payload or {} for point in self._scrolled(chosen, with_payload=True)}
        return [passage(chunk, found[chunk]) for chunk in ids.tolist() if chunk in found]

    def known(self, leg: str, keys: Sequence[str]) -> Mapping[str, Vector]:
        """The leg's vector of some stored chunk of each of these keys (`Chunk.key`), for those that are stored."""
        described = self.manifest.leg(leg)
        vectors: dict[str, Vector] = {}
        for start in range(0, len(keys), PAGE):
            wanted = live(among("key", keys[start : start + PAGE]))
            for point in self._scrolled(wanted, with_payload=["key"], with_vectors=[leg]):
                vectors[(point.payload or {})["key"]] = _vector(point.vector, described)
        return vectors

    def vectors(self, leg: str, ids: Ids) -> Mapping[int, Vector]:
        """What the leg holds of these chunks, by id; one that is gone is left out."""
        described, chosen = self.manifest.leg(leg), live(_with_ids(ids))
        return {int(point.id): _vector(point.vector, described) for point in self._scrolled(chosen, with_vectors=[leg])}

    def sample(self, leg: str, count: int) -> Floats:
        """A dense leg's vectors of that many chunks, or of all where there are fewer, (n, d): the least keys' ones.

        It may be `FRESH` seconds old, while others write.
        """
        from qdrant_client import models

        dimension = self._dimension(leg)
        with self._lock:
            since, vectors = self._samples.get((leg, count), (-FRESH, np.empty((0, dimension), np.float32)))
        if time.monotonic() > since + FRESH:
            found, _ = self._call(
                self._client.scroll,
                scroll_filter=live(),
                limit=count,
                order_by=models.OrderBy(key="draw"),
                with_payload=False,
                with_vectors=[leg],
            )
            described = self.manifest.leg(leg)
            vectors = np.array([_vector(point.vector, described) for point in found], np.float32).reshape(-1, dimension)
            with self._lock:
                self._samples[leg, count] = time.monotonic(), vectors
        return vectors

    def centroid(self, leg: str) -> Floats:
        """The mean of a dense leg's vectors, (d,); zeros of an empty index. Of more than `SAMPLE`, that of a sample."""
        vectors = self.sample(leg, SAMPLE)
        mean: Floats = (vectors.sum(0, np.float64) / max(len(vectors), 1)).astype(np.float32)
        return mean

    def documents(self, prefix: str = "", where: Filter | None = None) -> Iterator[Stored]:
        """Every document whose source begins with the prefix, by source; those that there are when it begins."""
        found = [stored(payload) for payload in self._documents(where, STORED)]
        yield from sorted((one for one in found if one.source.startswith(prefix)), key=lambda one: one.source)

    def facet(self, field: str, where: Filter | None = None) -> Mapping[str, int]:
        """How many of the documents that pass the filter have each value of a field, the most frequent first."""
        check_facet(field)
        if field in OF_CHUNKS:
            counts = self._facet_of_chunks(field, where)
        else:
            held = "media" if field == "type" else f"texts.{hidden(key_of(field))}"
            named = [among("version", versions)] if (versions := self._versions(where)) is not None else []
            answer = self._call(
                self._client.facet,
                key=held,
                facet_filter=documents(*named, *(() if named else self._passing(where))),
                limit=MOST_VALUES,
                exact=True,
            )
            counts = {unpacked(str(hit.value)): hit.count for hit in answer.hits}
        return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))

    def fields(self) -> list[str]:
        """The names of the fields that stored records have, sorted."""
        return sorted(name[1:] for name in self._values("names") if name.startswith("."))

    def languages(self) -> list[str]:
        """The languages that stored documents have, sorted."""
        return sorted(filter(None, self._values("language")))

    def stored(self, sources: Sequence[str]) -> Mapping[str, Stored]:
        """Those of these documents that are stored, by source."""
        found: dict[str, Stored] = {}
        for start in range(0, len(sources), PAGE):
            mine = documents(among("source", list(map(packed, sources[start : start + PAGE]))))
            found |= {one.source: one for one in map(stored, self._payloads(mine, STORED))}
        return found

    def document(self, source: str) -> Document | None:
        """A document with its chunks, as it was stored; None where it is not."""
        mine = equal("source", packed(source))
        while True:
            found = next(self._payloads(documents(mine), ["version"]), None)
            if found is None:
                return None
            version = equal("version", found["version"])
            chunks = [
                passage(int(point.id), point.payload or {})
                for point in self._scrolled(live(version), with_payload=True)
            ]
            for payload in self._payloads(documents(mine, version), True):
                if payload["chunks"] == len(chunks):  # else a writer is just at it
                    return document(payload, sorted(chunks, key=lambda chunk: chunk.position))

    def scan(self) -> Iterator[Passage]:
        """Every stored chunk, in no order; what is stored meanwhile may or may not be among them."""
        for point in self._scrolled(live(), with_payload=True):
            yield passage(int(point.id), point.payload or {})

    def count(self) -> tuple[int, int]:
        """How many documents and chunks are stored."""
        found, chunks = (
            self._call(self._client.count, count_filter=which, exact=True).count for which in (documents(), live())
        )
        return found, chunks

    def update_manifest(self, **changes: Any) -> None:
        """Replace values of the manifest.

        Raises:
            StoreError: a name is unknown, or what the stored vectors depend on.
        """
        changed = self.manifest.changed(**changes)
        self._writing()
        if changed.storage != self.manifest.storage:
            collection.keep_as(self._client, self.address, changed)
        collection.describe(self._client, self.address, changed)
        self.manifest = changed

    def reload_manifest(self) -> None:
        """Read the manifest again, of which another process or object may have updated values."""
        self.manifest = collection.manifest_of(self._client, self.address)
        self._changed()

    def close(self, *, merge: bool = True) -> None:
        """Let go of the connection and the right to write; what was upserted is already durable.

        Args:
            merge: whether what has expired is removed; a server keeps its indexes by itself.
        """
        lease, self._lease = self._lease, None
        try:
            if lease is not None and self._upload is not None and merge:
                self._upload.remove_expired()
            if lease is not None:
                lease.release()
        finally:
            self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _writing(self) -> Upload:
        if self._upload is None or self._lease is None:
            raise StoreError(f"the index {self.address} is not open for writing")
        self._lease.renew()
        return self._upload

    def _changed(self) -> None:
        with self._lock:
            self._samples.clear()

    def _dimension(self, leg: str) -> int:
        described = self.manifest.leg(leg)
        dimension = described.dimension if described.kind == "dense" else None
        if dimension is None:
            raise StoreError(f"the leg {leg!r} has no dense vectors")
        return dimension

    def _passing(self, where: Filter | None) -> "list[models.Filter]":
        """The filter as conditions on chunks, or on documents where it says nothing of chunks."""
        if where is None:
            return []
        fields = ["source", "media", "version", "texts"]
        return [conditions_of(checked(where), lambda: self._payloads(documents(), fields))]

    def _versions(self, where: Filter | None) -> list[str] | None:
        """The versions of the documents that pass a filter on chunks; None of one that says nothing of chunks."""
        if where is None or not of_chunks(where):
            return None
        passing = self._passing(where)
        empty = documents(equal("chunks", 0), *passing)
        return list(
            {found["version"] for which in (live(*passing), empty) for found in self._payloads(which, ["version"])}
        )

    def _documents(self, where: Filter | None, fields: list[str]) -> "Iterator[dict[str, Any]]":
        """The payloads of the documents that pass."""
        versions = self._versions(where)
        if versions is None:
            yield from self._payloads(documents(*self._passing(where)), fields)
            return
        for start in range(0, len(versions), PAGE):
            named = among("version", versions[start : start + PAGE])
            yield from self._payloads(documents(named), fields)

    def _facet_of_chunks(self, field: str, where: Filter | None) -> Mapping[str, int]:
        held = {"page": "page", "heading": "headings"}[field]
        pairs = {
            (found["version"], value)
            for found in self._payloads(live(*self._passing(where)), ["version", held])
            for value in (map(unpacked, found[held]) if field == "heading" else _pages(found[held]))
        }
        return Counter(value for _, value in pairs)

    def _values(self, field: str) -> list[str]:
        """The values that documents have in a field of their payloads."""
        found = self._call(self._client.facet, key=field, facet_filter=documents(), limit=MOST_VALUES, exact=True)
        return [unpacked(str(hit.value)) for hit in found.hits]

    def _payloads(self, which: "models.Filter", fields: "list[str] | bool") -> "Iterator[dict[str, Any]]":
        return (point.payload or {} for point in self._scrolled(which, with_payload=fields))

    def _asked(self, leg: str, query: Vector) -> "Any":
        """The query as a server takes it; None where it has nothing to ask."""
        from qdrant_client import models

        known = self.manifest.leg(leg)
        if known.kind != "sparse":
            several, dimension = known.kind == "multi", known.dimension
            fits = isinstance(query, np.ndarray) and query.shape == (
                (len(query), dimension) if several else (dimension,)
            )
            if not fits or not np.isfinite(query).all():  # type: ignore[arg-type]
                kind = "vectors of " if several else ""
                raise StoreError(f"the leg {leg!r} needs a query of {kind}{dimension} finite values")
            return query.tolist() if len(query) else None  # type: ignore[union-attr]
        if not isinstance(query, Sparse):
            raise StoreError(f"the leg {leg!r} needs a sparse query")
        check_sparse(query, f"the query of leg {leg!r}")
        if not len(query):
            return None
        return models.SparseVector(indices=query.ids.tolist(), values=query.weights.tolist())

    def _scrolled(
        self, which: "models.Filter", *, with_payload: bool | list[str] = False, with_vectors: bool | list[str] = False
    ) -> "Iterator[models.Record]":
        return scrolled(self._client, self.address, which, with_payload=with_payload, with_vectors=with_vectors)

    def _call(self, call: Callable[..., T], **options: Any) -> T:
        return calling(self.address, call, self.address.collection, **options)


def _with_ids(ids: Ids) -> "models.HasIdCondition":
    from qdrant_client import models

    return models.HasIdCondition(has_id=ids.tolist())


def _pages(page: int | None) -> list[str]:
    return [] if page is None else [str(page)]


def _vector(vectors: Any, leg: Leg) -> Any:
    """A point's vector of this leg; without token vectors it has none of a multi leg."""
    vector = (vectors or {}).get(leg.name, [])
    if leg.kind == "multi":
        return np.array(vector, np.float32).reshape(-1, leg.dimension or 0)
    if leg.kind == "dense":
        return np.array(vector, np.float32)
    ids, weights = np.array(vector.indices, np.uint32), np.array(vector.values, np.float32)
    order = np.argsort(ids)
    return Sparse(ids[order], weights[order])


def _weight(vectors: Any, leg: str, term: int) -> float:
    vector = vectors[leg]
    return float(vector.values[vector.indices.index(term)])
