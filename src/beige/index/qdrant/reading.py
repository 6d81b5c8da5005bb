"""Questions to a collection: its documents and chunks, and which of them a filter lets through.

What has expired is in no answer.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from beige.documents.chunk import Document
from beige.index.filter import OF_CHUNKS, Filter, check_facet, checked, key_of, of_chunks
from beige.index.qdrant.address import Address
from beige.index.qdrant.conditions import among, documents, equal, every, expired, live
from beige.index.qdrant.connection import PAGE, calling, scrolled
from beige.index.qdrant.points import STORED, document, hidden, packed, passage, stored, unpacked
from beige.index.qdrant.where import conditions_of
from beige.index.store import Ids, Passage, Stored

if TYPE_CHECKING:
    from qdrant_client import QdrantClient, models

MOST_VALUES = 10_000
"""Values of a field that are told apart in a facet."""

T = TypeVar("T")


class Reading:
    """What a collection holds; safe to use from several threads.

    Args:
        client: of the server.
        address: of the collection.

    Attributes:
        client: of the server.
    """

    def __init__(self, client: "QdrantClient", address: Address) -> None:
        self.client = client
        self._address = address

    def call(self, call: Callable[..., T], **options: Any) -> T:
        """The answer to a request on the collection.

        Raises:
            StoreError: as for `calling`.
        """
        return calling(self._address, call, self._address.target, **options)

    def points(
        self, which: "models.Filter", *, with_payload: bool | list[str] = False, with_vectors: bool | list[str] = False
    ) -> "Iterator[models.Record]":
        """The points of a filter, by id."""
        return scrolled(self.client, self._address, which, with_payload=with_payload, with_vectors=with_vectors)

    def passing(self, where: Filter | None) -> "list[models.Filter]":
        """The filter as conditions on chunks, or on documents where it says nothing of chunks."""
        if where is None:
            return []
        fields = ["source", "media", "version", "texts"]
        return [conditions_of(checked(where), lambda: self._payloads(documents(), fields))]

    def overdue(self) -> bool:
        """Whether something has expired that no writer has removed yet."""
        return bool(self.call(self.client.count, count_filter=every(expired()), exact=True).count)

    def fetch(self, ids: Ids) -> list[Passage]:
        """These chunks, in the order asked for; one that is gone is left out."""
        chosen = live(with_ids(ids))
        found = {int(point.id): point.payload or {} for point in self.points(chosen, with_payload=True)}
        return [passage(chunk, found[chunk]) for chunk in ids.tolist() if chunk in found]

    def documents(self, prefix: str = "", where: Filter | None = None, after: str | None = None) -> Iterator[Stored]:
        """Every document whose source begins with the prefix, by source; those that there are when it begins."""
        found = (stored(payload) for payload in self._documents(where, STORED))
        wanted = (one for one in found if one.source.startswith(prefix) and (after is None or one.source > after))
        yield from sorted(wanted, key=lambda one: one.source)

    def facet(self, field: str, where: Filter | None = None) -> Mapping[str, int]:
        """How many of the documents that pass the filter have each value of a field, the most frequent first."""
        check_facet(field)
        if field in OF_CHUNKS:
            counts = self._facet_of_chunks(field, where)
        else:
            held = "media" if field == "type" else f"texts.{hidden(key_of(field))}"
            named = [among("version", versions)] if (versions := self._versions(where)) is not None else []
            answer = self.call(
                self.client.facet,
                key=held,
                facet_filter=documents(*named, *(() if named else self.passing(where))),
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
                passage(int(point.id), point.payload or {}) for point in self.points(live(version), with_payload=True)
            ]
            for payload in self._payloads(documents(mine, version), True):
                if payload["chunks"] == len(chunks):  # else a writer is just at it
                    return document(payload, sorted(chunks, key=lambda chunk: chunk.position))

    def scan(self) -> Iterator[Passage]:
        """Every stored chunk, in no order; what is stored meanwhile may or may not be among them."""
        for point in self.points(live(), with_payload=True):
            yield passage(int(point.id), point.payload or {})

    def count(self) -> tuple[int, int]:
        """How many documents and chunks are stored."""
        found, chunks = (
            self.call(self.client.count, count_filter=which, exact=True).count for which in (documents(), live())
        )
        return found, chunks

    def _versions(self, where: Filter | None) -> list[str] | None:
        """The versions of the documents that pass a filter on chunks; None of one that says nothing of chunks."""
        if where is None or not of_chunks(where):
            return None
        passing = self.passing(where)
        empty = documents(equal("chunks", 0), *passing)
        return list(
            {found["version"] for which in (live(*passing), empty) for found in self._payloads(which, ["version"])}
        )

    def _documents(self, where: Filter | None, fields: list[str]) -> "Iterator[dict[str, Any]]":
        """The payloads of the documents that pass."""
        versions = self._versions(where)
        if versions is None:
            yield from self._payloads(documents(*self.passing(where)), fields)
            return
        for start in range(0, len(versions), PAGE):
            named = among("version", versions[start : start + PAGE])
            yield from self._payloads(documents(named), fields)

    def _facet_of_chunks(self, field: str, where: Filter | None) -> Mapping[str, int]:
        held = {"page": "page", "heading": "headings"}[field]
        pairs = {
            (found["version"], value)
            for found in self._payloads(live(*self.passing(where)), ["version", held])
            for value in (map(unpacked, found[held]) if field == "heading" else _pages(found[held]))
        }
        return Counter(value for _, value in pairs)

    def _values(self, field: str) -> list[str]:
        """The values that documents have in a field of their payloads."""
        found = self.call(self.client.facet, key=field, facet_filter=documents(), limit=MOST_VALUES, exact=True)
        return [unpacked(str(hit.value)) for hit in found.hits]

    def _payloads(self, which: "models.Filter", fields: "list[str] | bool") -> "Iterator[dict[str, Any]]":
        return (point.payload or {} for point in self.points(which, with_payload=fields))


def with_ids(ids: Ids) -> "models.HasIdCondition":
    """Points of these ids."""
    from qdrant_client import models

    return models.HasIdCondition(has_id=ids.tolist())


def _pages(page: int | None) -> list[str]:
    return [] if page is None else [str(page)]
