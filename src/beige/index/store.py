"""The store contract: what an index needs of the place where its vectors live.

One contract suite in the tests runs over every store. A store knows nothing of models, templates, fusion or files: it
is given documents with their vectors and gives back chunk ids with scores. Legs are named; each is dense (unit vectors,
scored by dot product), sparse (scored by the sum over shared ids, times the id's live IDF where the leg says so) or
multi (a vector for each token, scored by the mean over the query's of each one's largest dot product). A multi leg has
no best chunks: it only scores chunks that others found.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from beige.documents.chunk import Document, Fields, Locator
from beige.errors import StoreError
from beige.index.filter import Filter
from beige.index.manifest import Manifest
from beige.values import Floats, Sparse

Ids = NDArray[np.int64]
"""Chunk ids: stable while the chunk's document is unchanged, never reused within an index."""

Vector = Floats | Sparse
"""What one leg holds of a chunk, or reads of a query: float32 (d,) of a dense leg, (t, d) of a multi leg; or sparse."""

Vectors = Floats | tuple[Sparse, ...] | tuple[Floats, ...]
"""One leg's vectors of a document's chunks: float32 (chunks, d) of a dense leg, else what it holds of each chunk."""


@dataclass(frozen=True)
class Entry:
    """A document ready to be stored: its chunks and, for each leg, one vector a chunk."""

    document: Document
    vectors: Mapping[str, Vectors]


Part = Mapping[str, Vectors]
"""By leg, one vector for each of some chunks that follow each other in a document."""


def parts_of(document: Document, parts: Iterable[Part], legs: Collection[str]) -> Iterator[tuple[int, Part]]:
    """The parts of a document's vectors, each with the position of its first chunk.

    Raises:
        StoreError: the document has not one vector a chunk in each leg, and in no other.
    """
    source, chunks, done = document.source, len(document.chunks), 0
    unfit = StoreError(f"{source} has {chunks} chunks and needs as many vectors in each leg")
    for part in parts:
        if set(part) != set(legs):
            raise StoreError(f"{source} has vectors for {sorted(part)}, the index needs {sorted(legs)}")
        counts = {len(vectors) for vectors in part.values()}
        if len(counts) > 1 or done + max(counts) > chunks:
            raise unfit
        yield done, part
        done += max(counts)
    if done != chunks:
        raise unfit


@dataclass(frozen=True, eq=False)
class Ranking:
    """A leg's answer: chunk ids, best first, and their scores."""

    ids: Ids  # (k,)
    scores: Floats  # (k,)


@dataclass(frozen=True, slots=True)
class Passage:
    """A stored chunk: `position` is its place among its document's chunks."""

    id: int
    source: str
    position: int
    text: str
    locator: Locator
    media: str
    fields: Fields = field(default_factory=dict)
    language: str = ""
    given: bool = False


@dataclass(frozen=True, slots=True)
class Stored:
    """A stored document without its chunks: enough to tell whether the file has changed; see `Document`."""

    source: str
    digest: str
    size: int
    modified: float
    chunks: int
    settled: bool
    given: bool = False
    expires: float | None = None
    origin: str = ""


class Store(Protocol):
    """Documents with their chunks and vectors, durable, searchable leg by leg.

    A document that has expired is in no answer.

    Attributes:
        manifest: what the index says of itself.
        notices: sentences on what was found half-done or damaged, and what was done about it.
    """

    manifest: Manifest
    notices: list[str]

    @property
    def replaced(self) -> bool:
        """Whether another index has taken this one's place."""

    def upsert(self, entries: Sequence[Entry]) -> None:
        """Store the documents, each replacing the one of the same source; durable and visible when this returns."""

    def upsert_in_parts(self, document: Document, parts: Iterable[Part]) -> None:
        """Store a document whose vectors come part by part, in the order of its chunks, as `upsert` does.

        Nothing is seen of it before all are there; if `parts` raises, what was stored before goes on to count.
        """

    def delete(self, sources: Sequence[str]) -> int:
        """Forget these documents; returns how many there were."""

    def expire(self, sources: Sequence[str], when: float | None) -> None:
        """Set from when on these documents are in no answer, in seconds since the epoch; None for never."""

    def top(self, leg: str, query: Vector, k: int, where: Filter | None = None) -> Ranking:
        """The leg's k best chunks, best first, ties by source and position; of those that pass the filter.

        A filter changes no score: the IDF stays that of the whole index. A multi leg is refused.
        """

    def scores(self, leg: str, query: Vector, ids: Ids) -> Floats:
        """The leg's score of each of these chunks, 0 where a sparse leg shares nothing, NaN where the chunk is gone."""

    def idf(self, leg: str, query: Sparse) -> Floats:
        """What a sparse leg multiplies each of the query's weights by, (k,): the live IDF, or 1 where it has none."""

    def fetch(self, ids: Ids) -> list[Passage]:
        """These chunks, in the order asked for; one that is gone is left out."""

    def known(self, leg: str, keys: Sequence[str]) -> Mapping[str, Vector]:
        """The leg's vector of some stored chunk of each of these keys (`Chunk.key`), for those that are stored."""

    def vectors(self, leg: str, ids: Ids) -> Mapping[int, Vector]:
        """What the leg holds of these chunks, by id; one that is gone is left out."""

    def sample(self, leg: str, count: int) -> Floats:
        """A dense leg's vectors of that many chunks, or of all where there are fewer, (n, d).

        The choice is random as far as any query goes, but depends on nothing but what is stored: the same chunks after
        any history.
        """

    def centroid(self, leg: str) -> Floats:
        """The mean of a dense leg's vectors, (d,), the same after any history; zeros of an empty index.

        Its dot product with a query is the mean of the query's scores: what an unrelated chunk gets.
        """

    def documents(self, prefix: str = "", where: Filter | None = None, after: str | None = None) -> Iterator[Stored]:
        """Every stored document whose source begins with the prefix, by source; of those that pass the filter.

        A document passes with any of its chunks; without chunks, it has no heading and no page.

        Args:
            prefix: of sources.
            where: as for `top`.
            after: a source: only what comes after it.
        """

    def facet(self, field: str, where: Filter | None = None) -> Mapping[str, int]:
        """How many of the documents that pass the filter have each value of a field, the most frequent first.

        Args:
            field: as in a `Condition`; not `path` or `modified`, which are almost as many as the documents.
            where: as for `documents`; of `heading` and `page`, the values of the chunks that pass.

        Returns:
            Counts by what a value reads as (`facts.text_of`), ties by value; of `type` the media, of `heading` titles
            as they are written.

        Raises:
            UsageError: the field has no facets.
        """

    def fields(self) -> Sequence[str]:
        """The names of the fields that stored records have, sorted."""

    def languages(self) -> Sequence[str]:
        """The languages that stored documents have, sorted."""

    def stored(self, sources: Sequence[str]) -> Mapping[str, Stored]:
        """Those of these documents that are stored, by source."""

    def scan(self) -> Iterator[Passage]:
        """Every stored chunk once, in an order that is the store's; what is stored meanwhile may be among them."""

    def count(self) -> tuple[int, int]:
        """How many documents and chunks are stored."""

    def document(self, source: str) -> Document | None:
        """A document with its chunks, as it was stored; None where it is not."""

    def overdue(self) -> bool:
        """Whether something has expired that no writer has removed yet."""

    def update_manifest(self, **changes: Any) -> None:
        """Replace values of the manifest.

        Raises:
            StoreError: a name is unknown, or what the stored vectors depend on.
        """

    def reload_manifest(self) -> None:
        """Read the manifest again, of which another process or object may have updated values.

        A store that has to ask a server for it finds out by this, and by nothing else, whether it was `replaced`.

        Raises:
            GoneError: it was replaced, or removed.
        """

    def merge(self) -> None:
        """Bring caches up to date, where there are any; searches go on meanwhile."""

    def close(self, *, merge: bool = True) -> None:
        """Let go of files, connections and locks; what was upserted is already durable.

        Args:
            merge: whether a writer tidies up before: removes what has expired, and brings caches up to date.
        """

    def __enter__(self) -> Self:
        """The store, closed when the block ends."""

    def __exit__(self, *_: object) -> None: ...
