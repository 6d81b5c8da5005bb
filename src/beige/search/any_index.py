"""What can be done with an index wherever it is: in a folder, in a collection, behind a server."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Self, Unpack

from beige.documents.chunk import Document, Failure
from beige.documents.text import Text
from beige.documents.upload import Upload
from beige.index.filter import Filter
from beige.index.place import Place
from beige.index.report import Change, Report
from beige.index.status import Status
from beige.index.store import Passage, Stored
from beige.search.hit import Hit, Results
from beige.search.request import Options, Request
from beige.search.reranking import Reads


class AnyIndex(ABC):
    """Documents, and the search over them; safe to use from several threads.

    `asearch`, `aadd` and `adelete` do in a thread what the methods without an `a` do, so that an event loop goes on
    meanwhile. Where one is cancelled, its caller is free at once and the thread still does what it began: an `add` goes
    on to its end, or until its `tell` raises.
    """

    @property
    @abstractmethod
    def place(self) -> Place:
        """Where it is."""

    @abstractmethod
    def run(self, request: Request, reranker: Reads | str | None = None, *, from_here: bool = False) -> Results:
        """The answer to a request: its hits, and what was left out.

        Args:
            request: what is searched, and how.
            reranker: that reads the best candidates: its name, or a `beige.Reranker`, which a server does not take;
                None for none.
            from_here: whether files are named, in the filter and in hits, by paths in the current folder, and not as
                they are stored. A server's files stay as they are.

        Raises:
            UsageError: it asks for what is not there: a leg, a field, a reranker.
            BeigeError: the index cannot be searched.
        """

    @abstractmethod
    def tuned_reranker(self, request: Request) -> str | None:
        """The name of the reranker that the index was tuned to, for a request that leaves open how it is searched.

        A server reads with its own without being told, so that none is named.
        """

    @abstractmethod
    def add(
        self,
        *what: str | Path | Text | Upload | Iterable[Text | Failure],
        ttl: str | float | timedelta | None = None,
        tell: Callable[[Change], None] | None = None,
    ) -> Report:
        """Bring the index up to date with files and folders, and with texts that have names.

        Args:
            what: files and folders; files with names (`Upload`); texts, or iterables of them.
            ttl: how long all these documents are found, from now on: seconds, a `timedelta`, "30d" (s, m, h, d, w) or
                "never". Without it each keeps the time that it has, and a new one has none.
            tell: called with each change once it is durable, from one thread at a time.

        Raises:
            InputError: a path does not exist, or something is neither a path nor a text.
            UsageError: the time to live is none.
            BeigeError: the index cannot be written.
        """

    @abstractmethod
    def delete(
        self,
        *sources: str,
        prefix: bool = False,
        from_here: bool = False,
        tell: Callable[[Change], None] | None = None,
    ) -> Report:
        """Remove documents.

        Args:
            sources: as hits name them.
            prefix: whether all documents are meant whose source begins with one of these.
            from_here: as for `run`.
            tell: called with each removal once it is durable.

        Returns:
            What was removed; a source that is not there is among the failures.

        Raises:
            UsageError: an empty prefix, which would mean everything.
            BeigeError: the index cannot be written.
        """

    @abstractmethod
    def document(self, source: str) -> Document | None:
        """A document with its chunks, as it was stored; None where it is not."""

    @abstractmethod
    def documents(self, prefix: str = "", where: Filter | str | None = None, after: str = "") -> Iterator[Stored]:
        """Every document whose source begins with the prefix and stands behind another one, by source.

        Args:
            prefix: the beginning of their sources.
            where: which of them: those with a chunk that passes.
            after: a source.
        """

    @abstractmethod
    def passages(self) -> Iterator[Passage]:
        """Every stored chunk once, in no order; behind a server their ids mean nothing."""

    @abstractmethod
    def named_here(self, source: str) -> str:
        """How the current folder names a file that the index has by this name; as it is where a server has it."""

    @abstractmethod
    def count(self) -> tuple[int, int]:
        """How many documents and chunks it holds."""

    @abstractmethod
    def status(self) -> Status:
        """What it holds, and how its files are."""

    @abstractmethod
    def close(self) -> None:
        """Let go of what it holds."""

    def search(
        self, query: str, limit: int = 10, *, reranker: Reads | str | None = None, **options: Unpack[Options]
    ) -> list[Hit]:
        """The passages that answer a query best.

        Args:
            query: a question or some words.
            limit: the most hits, from 1 to 1000.
            reranker: as for `run`.
            options: what to search and how (legs, filter, rerank, group, …); see `beige.search.Request`.

        Returns:
            Hits, best first, ties by source and position.

        Raises:
            UsageError: the request makes no sense; see `beige.search.Request`.
            BeigeError: the index cannot be searched.
        """
        return list(self.run(Request.of(query, limit, options), reranker).hits)

    async def asearch(
        self, query: str, limit: int = 10, *, reranker: Reads | str | None = None, **options: Unpack[Options]
    ) -> list[Hit]:
        """`search`, in a thread."""
        return await asyncio.to_thread(self.search, query, limit, reranker=reranker, **options)

    async def aadd(
        self,
        *what: str | Path | Text | Upload | Iterable[Text | Failure],
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

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
