"""An index behind a Beige server, used as one that is here."""

import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import quote

from beige.documents.chunk import Chunk, Document, Failure, Locator
from beige.documents.content import storable
from beige.documents.text import Text
from beige.documents.upload import Upload
from beige.errors import UsageError
from beige.index.expression import write
from beige.index.filter import Filter
from beige.index.given import Given
from beige.index.place import Server
from beige.index.report import Change, Report, silent
from beige.index.server.connection import Connection, MissingError
from beige.index.server.listing import ROUTE, listed
from beige.index.server.paths import bring
from beige.index.server.sending import Sending, spelled
from beige.index.status import Status, status_of
from beige.index.store import Passage, Stored
from beige.search.any_index import AnyIndex
from beige.search.hit import Results
from beige.search.request import Request
from beige.search.reranking import Reads
from beige.search.wire import as_body, results_of


class ElsewhereError(UsageError, AttributeError):
    """What an index has where it is held, and not from afar."""


class RemoteIndex(AnyIndex):
    """An index behind a Beige server; safe to use from several threads.

    Made without asking the server: the first use says whether it is there.

    Args:
        place: the server. Its key is `BEIGE_API_KEY`.

    Raises:
        StoreError: `BEIGE_OFFLINE` is set, and the server is another machine.
    """

    def __init__(self, place: Server) -> None:
        self._place = place
        self._connection = Connection(place.address)

    @classmethod
    def open(cls, place: Server, chosen: Iterable[str]) -> "RemoteIndex":
        """The index behind a server.

        Args:
            place: the server.
            chosen: names of what was said of how the index is made, which cannot be chosen from here.

        Raises:
            UsageError: something was chosen.
        """
        for name in chosen:
            raise UsageError(f"{place} is a server, whose models and legs are its own: leave {name} out")
        return cls(place)

    @property
    def place(self) -> Server:
        """The server."""
        return self._place

    def run(self, request: Request, reranker: Reads | str | None = None, *, from_here: bool = False) -> Results:
        """See `AnyIndex.run`."""
        if reranker is not None and not isinstance(reranker, str):
            raise UsageError(f"{self._place} reads with its own rerankers: name one, or say how many candidates")
        body = as_body(request) | {"whole": True} | ({} if reranker is None else {"reranker": reranker})
        said = self._connection.post("/v1/search", body)
        with self._connection.understood():
            return results_of(said)

    def tuned_reranker(self, request: Request) -> str | None:
        """None: the server knows."""
        return None

    def add(
        self,
        *what: str | Path | Text | Upload | Iterable[Text | Failure],
        ttl: str | float | timedelta | None = None,
        tell: Callable[[Change], None] | None = None,
    ) -> Report:
        """See `AnyIndex.add`."""
        sending = Sending(self._connection, spelled(ttl), tell or silent)
        given = Given.of(what)
        if given.paths:
            bring(sending, given.paths, os.getcwd())  # noqa: PTH109  # names are strings here
        sending.uploads(given.uploads)
        sending.texts(given.texts)
        return sending.end()

    def delete(
        self,
        *sources: str,
        prefix: bool = False,
        from_here: bool = False,
        tell: Callable[[Change], None] | None = None,
    ) -> Report:
        """See `AnyIndex.delete`."""
        sending = Sending(self._connection, None, tell or silent)
        sending.delete(sources, prefix=prefix)
        return sending.end()

    def document(self, source: str) -> Document | None:
        """See `AnyIndex.document`."""
        name = quote(storable(source), safe="").replace(".", "%2E")  # no part of it means another folder
        try:
            said = self._connection.get(f"{ROUTE}/{name}")
        except MissingError:
            return None
        with self._connection.understood():
            chunks = tuple(Chunk(one["text"], _locator(one["locator"])) for one in said["chunks"])
            return Document(**{**said, "chunks": chunks})

    def documents(self, prefix: str = "", where: Filter | str | None = None, after: str = "") -> Iterator[Stored]:
        """See `AnyIndex.documents`."""
        asked = where if where is None or isinstance(where, str) else write(where)
        return listed(self._connection, storable(prefix), asked, storable(after))

    def passages(self) -> Iterator[Passage]:
        """See `AnyIndex.passages`; each document is asked for by itself."""
        ids = itertools.count()
        for stored in self.documents():
            if (document := self.document(stored.source)) is not None:  # it is there still
                for position, chunk in enumerate(document.chunks):
                    yield Passage(next(ids), document.source, position, chunk.text, chunk.locator, document.media)

    def named_here(self, source: str) -> str:
        """The same name: the server's folders are not here."""
        return source

    def count(self) -> tuple[int, int]:
        """How many documents and chunks it holds."""
        status = self.status()
        return status.documents, status.chunks

    def status(self) -> Status:
        """See `AnyIndex.status`; its path is the server's address."""
        said = self._connection.get("/v1/index")
        with self._connection.understood():
            return status_of({**said, "path": str(self._place)})

    def close(self) -> None:
        """Let go of the connections."""
        self._connection.close()

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("_"):
            raise AttributeError(name)
        raise ElsewhereError(f"{name} needs the index itself, and {self._place} is a server: do it where that runs")


def _locator(said: Mapping[str, Any]) -> Locator:
    return Locator(**{**said, "headings": tuple(said["headings"])})
