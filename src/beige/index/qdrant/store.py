"""The store on a Qdrant server or cluster."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

from beige.documents.chunk import Document
from beige.errors import GoneError, StoreError
from beige.index.filter import Filter
from beige.index.manifest import Manifest
from beige.index.qdrant import collection
from beige.index.qdrant.address import Address
from beige.index.qdrant.alias import resolved
from beige.index.qdrant.connection import connect
from beige.index.qdrant.lease import Lease, leased
from beige.index.qdrant.legs import Legs
from beige.index.qdrant.reading import Reading
from beige.index.qdrant.upload import Upload
from beige.index.store import Entry, Ids, Part, Passage, Ranking, Stored, Vector
from beige.values import Floats, Sparse

if TYPE_CHECKING:
    from qdrant_client import QdrantClient


class QdrantStore:
    """An index in a collection; one process writes, any number read, several threads use one object.

    Attributes:
        address: where it is, with the collection that its name stood for when it was opened.
        replaced: whether that name stands for another one by now, as far as `reload_manifest` has found out.
        manifest: what it says of itself.
        notices: sentences on what was found half-done, and what was done about it.
    """

    def __init__(self, client: "QdrantClient", address: Address, *, write: bool) -> None:
        """Use `create` or `open`; the client is closed by `close`, or when this fails."""
        self.replaced = False
        self.notices: list[str] = []
        self._client = client
        self._lease: Lease | None = None
        self._upload: Upload | None = None
        try:
            if write:
                self.address, self._lease = leased(client, address)
            else:
                self.address = resolved(client, address)
            self.manifest = collection.manifest_of(client, self.address)
            self._reading = Reading(client, self.address)
            self._legs = Legs(self._reading, self.manifest)
            if write:
                self._upload = Upload(client, self.address, self.manifest.legs)
                if found := self._upload.recover():
                    self.notices.append(f"a writer was cut off before it had finished: {found}")
                self._upload.remove_expired()
        except BaseException:
            self.close()
            raise

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
            self._legs.forget()

    def upsert_in_parts(self, document: Document, parts: Iterable[Part]) -> None:
        """Store a document whose vectors come part by part, in the order of its chunks; shown when all are there.

        Raises:
            StoreError: as for `upsert`.
        """
        self._writing().store_in_parts(document, parts)
        self._legs.forget()

    def delete(self, sources: Sequence[str]) -> int:
        """Forget these documents; returns how many there were."""
        if not sources:
            return 0
        gone = self._writing().delete(sources)
        self._legs.forget()
        return gone

    def expire(self, sources: Sequence[str], when: float | None) -> None:
        """Set from when on these documents are in no answer, in seconds since the epoch; None for never."""
        if sources:
            self._writing().expire(sources, when)
            self._legs.forget()

    def remove_expired(self) -> int:
        """Remove what has expired, as every writer does when it opens and when it closes; returns how much it was."""
        return self._writing().remove_expired()

    def overdue(self) -> bool:
        """Whether something has expired that no writer has removed yet."""
        return self._reading.overdue()

    def top(self, leg: str, query: Vector, k: int, where: Filter | None = None) -> Ranking:
        """The leg's k best chunks, best first, ties by source and position; of those that pass the filter."""
        return self._legs.top(leg, query, k, where)

    def scores(self, leg: str, query: Vector, ids: Ids) -> Floats:
        """The leg's score of each of these chunks, 0 where a sparse leg shares nothing, NaN where the chunk is gone."""
        return self._legs.scores(leg, query, ids)

    def idf(self, leg: str, query: Sparse) -> Floats:
        """What a sparse leg multiplies each of the query's weights by, (k,): the live IDF, or 1 where it has none."""
        return self._legs.idf(leg, query)

    def fetch(self, ids: Ids) -> list[Passage]:
        """These chunks, in the order asked for; one that is gone is left out."""
        return self._reading.fetch(ids)

    def known(self, leg: str, keys: Sequence[str]) -> Mapping[str, Vector]:
        """The leg's vector of some stored chunk of each of these keys (`Chunk.key`), for those that are stored."""
        return self._legs.known(leg, keys)

    def vectors(self, leg: str, ids: Ids) -> Mapping[int, Vector]:
        """What the leg holds of these chunks, by id; one that is gone is left out."""
        return self._legs.vectors(leg, ids)

    def sample(self, leg: str, count: int) -> Floats:
        """A dense leg's vectors of that many chunks, or of all where there are fewer, (n, d); see `Legs.sample`."""
        return self._legs.sample(leg, count)

    def centroid(self, leg: str) -> Floats:
        """The mean of a dense leg's vectors, (d,); zeros of an empty index. See `Legs.centroid`."""
        return self._legs.centroid(leg)

    def documents(self, prefix: str = "", where: Filter | None = None, after: str | None = None) -> Iterator[Stored]:
        """Every document whose source begins with the prefix, by source; those that there are when it begins."""
        return self._reading.documents(prefix, where, after)

    def facet(self, field: str, where: Filter | None = None) -> Mapping[str, int]:
        """How many of the documents that pass the filter have each value of a field, the most frequent first."""
        return self._reading.facet(field, where)

    def fields(self) -> list[str]:
        """The names of the fields that stored records have, sorted."""
        return self._reading.fields()

    def languages(self) -> list[str]:
        """The languages that stored documents have, sorted."""
        return self._reading.languages()

    def stored(self, sources: Sequence[str]) -> Mapping[str, Stored]:
        """Those of these documents that are stored, by source."""
        return self._reading.stored(sources)

    def document(self, source: str) -> Document | None:
        """A document with its chunks, as it was stored; None where it is not."""
        return self._reading.document(source)

    def scan(self) -> Iterator[Passage]:
        """Every stored chunk, in no order; what is stored meanwhile may or may not be among them."""
        return self._reading.scan()

    def count(self) -> tuple[int, int]:
        """How many documents and chunks are stored."""
        return self._reading.count()

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
        """Read the manifest again, of which another process or object may have updated values.

        Raises:
            GoneError: the name stands for another collection, or for none.
        """
        if resolved(self._client, self.address) != self.address:
            self.replaced = True
            raise GoneError(f"another collection has taken the place of {self.address}: open it again")
        self.manifest = collection.manifest_of(self._client, self.address)
        self._legs.forget()

    def merge(self) -> None:
        """Nothing: a server keeps its indexes by itself."""

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
