"""An index that is searched where it is held: what `beige.Index` is."""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Self, cast

from beige.documents import walk
from beige.documents.chunk import Document
from beige.index import Index as Documents
from beige.index.encoders import Models
from beige.index.expression import parse, resolve
from beige.index.filter import Filter, with_paths
from beige.index.place import Server, Where, place_of
from beige.index.store import Stored
from beige.search.any_index import AnyIndex
from beige.search.hit import Hit, Results
from beige.search.request import Request
from beige.search.reranking import Reads
from beige.search.searcher import Searcher


class Index(Documents, AnyIndex):
    """Documents with their chunks and vectors, and the search over them; safe to use from several threads.

    What `beige.index.Index` and `AnyIndex` say of it holds.
    """

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._beginning = threading.Lock()
        self._searcher: Searcher | None = None
        self._rerankers: dict[str, Reads] = {}

    @classmethod
    def open(
        cls,
        path: Where = None,
        embedder: Models = None,
        *,
        legs: Sequence[str] | None = None,
        dimensions: int | None = None,
        untrained: bool = False,
        language: str | None = None,
    ) -> Self:
        """Open an index, or make an empty one; see `beige.index.Index.open`.

        The address of a server, such as "http://host:8000", gives a `RemoteIndex`: what `AnyIndex` names is done by the
        server, and nothing else can be done with it from here. Its models and legs are the server's.
        """
        place = place_of(path)
        if isinstance(place, Server):
            from beige.search.remote import RemoteIndex

            chosen = {"embedder": embedder, "legs": legs, "dimensions": dimensions, "language": language}
            return cast("Self", RemoteIndex.open(place, [name for name, one in chosen.items() if one is not None]))
        return super().open(place, embedder, legs=legs, dimensions=dimensions, untrained=untrained, language=language)

    @property
    def searcher(self) -> Searcher:
        """What searches it, with its own models; made at the first use, and closed with the index."""
        with self._beginning:
            if self._searcher is None:
                self._searcher = Searcher(self)
            return self._searcher

    def run(self, request: Request, reranker: Reads | str | None = None, *, from_here: bool = False) -> Results:
        """See `AnyIndex.run`; a reranker that is named is loaded at its first use, and kept until the index is closed.

        Raises:
            UsageError: the request asks for what is not there.
            FingerprintError: a model has changed since the index was made.
        """
        reads = self._reranker(reranker) if isinstance(reranker, str) else reranker
        if not from_here:
            return self.searcher.run(request, reads)
        base = self.base
        if isinstance(where := request.filter, str):
            where = parse(where, self.store.fields())
        if where is not None:
            where = with_paths(where, lambda glob: walk.glob_from_here(glob, base))
        found = self.searcher.run(replace(request, filter=where), reads)
        return replace(found, hits=tuple(map(self._here, found.hits)))

    def tuned_reranker(self, request: Request) -> str | None:
        """See `AnyIndex.tuned_reranker`."""
        choice = self.manifest.choice
        return choice.rerank if choice is not None and request.open else None

    def document(self, source: str) -> Document | None:
        """See `AnyIndex.document`."""
        return self.store.document(source)

    def documents(self, prefix: str = "", where: Filter | str | None = None, after: str = "") -> Iterator[Stored]:
        """See `AnyIndex.documents`."""
        return self.store.documents(prefix, resolve(where, self.store.fields()), after or None)

    def named_here(self, source: str) -> str:
        """See `AnyIndex.named_here`."""
        return walk.from_here(source, self.base)

    def close(self) -> None:
        """Let go of its files and threads; embedders and rerankers that were given stay usable."""
        with self._beginning:
            searcher, self._searcher = self._searcher, None
            self._rerankers.clear()
        if searcher is not None:
            searcher.close()
        super().close()

    def _here(self, hit: Hit) -> Hit:
        """The hit with its source as the current folder names it."""
        named = hit.source if hit.given else self.named_here(hit.source)
        return replace(hit, source=named, others=tuple(map(self._here, hit.others)))

    def _reranker(self, name: str) -> Reads:
        from beige.reranker import Reranker

        with self._beginning:
            if name not in self._rerankers:
                self._rerankers[name] = Reranker(name)
            return self._rerankers[name]


def open_index(where: Where = None) -> AnyIndex:
    """An index wherever it is, as what can be done with all of them; see `Index.open`."""
    return Index.open(where)
