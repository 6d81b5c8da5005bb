"""An index that is searched where it is held: what `beige.Index` is."""

import asyncio
import threading
from collections.abc import Callable, Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any, Unpack

from beige.documents.chunk import Failure
from beige.documents.text import Text
from beige.index import Index as Documents
from beige.index.report import Change, Report
from beige.search.hit import Hit
from beige.search.request import Options
from beige.search.reranking import Reads
from beige.search.searcher import Searcher


class Index(Documents):
    """Documents with their chunks and vectors, and the search over them; safe to use from several threads.

    What `beige.index.Index` says of it holds. `asearch`, `aadd` and `adelete` do in a thread what the methods without
    an `a` do, so that an event loop goes on meanwhile. Where one is cancelled, its caller is free at once and the
    thread still does what it began: an `add` goes on to its end, or until its `tell` raises.
    """

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._beginning = threading.Lock()
        self._searcher: Searcher | None = None

    @property
    def searcher(self) -> Searcher:
        """What searches it, with its own models; made at the first use, and closed with the index."""
        with self._beginning:
            if self._searcher is None:
                self._searcher = Searcher(self)
            return self._searcher

    def search(
        self, query: str, limit: int = 10, *, reranker: Reads | None = None, **options: Unpack[Options]
    ) -> list[Hit]:
        """The passages that answer a query best.

        Args:
            query: a question or some words.
            limit: the most hits, from 1 to 1000.
            reranker: a `beige.Reranker` that reads the best candidates; None for none.
            options: what to search and how (legs, filter, rerank, group, …); see `beige.search.Request`.

        Returns:
            Hits, best first, ties by source and position.

        Raises:
            UsageError: the request makes no sense; see `beige.search.Request`.
            FingerprintError: a model has changed since the index was made.
        """
        return self.searcher.search(query, limit, reranker=reranker, **options)

    async def asearch(
        self, query: str, limit: int = 10, *, reranker: Reads | None = None, **options: Unpack[Options]
    ) -> list[Hit]:
        """`search`, in a thread."""
        return await asyncio.to_thread(self.search, query, limit, reranker=reranker, **options)

    async def aadd(
        self,
        *what: str | Path | Text | Iterable[Text | Failure],
        ttl: str | float | timedelta | None = None,
        tell: Callable[[Change], None] | None = None,
    ) -> Report:
        """`add`, in a thread; iterables and `tell` are called in threads too."""
        return await asyncio.to_thread(self.add, *what, ttl=ttl, tell=tell)

    async def adelete(
        self,
        *sources: str,
        prefix: bool = False,
        from_here: bool = False,
        tell: Callable[[Change], None] | None = None,
    ) -> Report:
        """`delete`, in a thread."""
        return await asyncio.to_thread(self.delete, *sources, prefix=prefix, from_here=from_here, tell=tell)

    def close(self) -> None:
        """Let go of its files and threads; embedders and rerankers stay usable."""
        with self._beginning:
            searcher, self._searcher = self._searcher, None
        if searcher is not None:
            searcher.close()
        super().close()
