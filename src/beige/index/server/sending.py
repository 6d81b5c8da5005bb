"""Documents on their way to a server: sent in jobs, a few of which are under way at a time, and waited for."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import quote_plus

from beige.documents.chunk import Failure
from beige.documents.content import storable
from beige.documents.records import plain
from beige.documents.text import Text
from beige.documents.upload import Upload
from beige.errors import InputError, UsageError
from beige.index.lease import lease
from beige.index.report import Change, Report
from beige.index.server.connection import Connection
from beige.index.server.job import Job
from beige.index.server.listing import ROUTE

TOGETHER = 100
"""The most texts of a job, and the most documents that are deleted in one: a job names as many failures."""

CHARACTERS = 1 << 20
"""From so many characters on, texts are another job's."""

UNDER_WAY = 32
"""Jobs that are waited for at a time."""

ADDRESS = 1 << 14
"""Bytes that the names in an address take at most."""

LARGEST = 1 << 28
"""Bytes; no server takes a larger file."""


def spelled(ttl: str | float | timedelta | None) -> str | None:
    """A time to live as a server reads it.

    Raises:
        UsageError: it is none.
    """
    lease(ttl, 0)
    if ttl is None or isinstance(ttl, str):
        return ttl
    seconds = ttl.total_seconds() if isinstance(ttl, timedelta) else ttl
    return f"{seconds:f}s"


@dataclass(eq=False, slots=True)
class Sending:
    """A run that tells a server what to add and to delete.

    Attributes:
        connection: to the server.
        ttl: how long what is added is found; as `spelled` says it.
        tell: called with each change once it is durable.
        report: what was done so far.
    """

    connection: Connection
    ttl: str | None
    tell: Callable[[Change], None]
    report: Report = field(default_factory=Report)
    _jobs: deque[Job] = field(default_factory=deque)
    _began: float = field(default_factory=time.monotonic)

    def texts(self, texts: Iterable[Text | Failure]) -> None:
        """Add texts, which are taken as they are needed."""
        for batch in self._batches(texts):
            self._texts(batch)

    def upload(self, upload: Upload) -> None:
        """Add a file under its name; one that cannot be read fails by itself."""
        try:
            if upload.path.stat().st_size > LARGEST:
                raise InputError(f"it has more than {LARGEST >> 20} MiB, which no server takes: send it in parts")
            content = upload.path.read_bytes()
        except OSError as error:
            self.fail(upload.source, f"it cannot be read: {error.strerror or error}")
            return
        except InputError as error:
            self.fail(upload.source, str(error))
            return
        suffix = upload.path.suffix
        modified = None if upload.modified is None else repr(upload.modified)
        beside = {"source": upload.source, "ttl": self.ttl, "modified": modified, "origin": upload.origin}
        form = {name: value for name, value in beside.items() if value}
        try:
            said = self.connection.send(ROUTE, form, (f"file{suffix if suffix.isascii() else ''}", content))
        except (UsageError, InputError) as error:
            self.fail(upload.source, str(error))
        else:
            self._begin(said, [upload.source])

    def delete(self, sources: Sequence[str], *, prefix: bool = False) -> None:
        """Remove documents by name, or by the beginning of their names."""
        for page in _pages([storable(source) for source in sources]):
            asked = [*(("source", name) for name in page), *([("prefix", "true")] if prefix else [])]
            self._begin(self.connection.delete(ROUTE, asked), page)

    def fail(self, source: str, reason: str) -> None:
        """Count and tell what cannot be sent."""
        self.say(Change("failed", source, reason=reason))

    def say(self, change: Change) -> None:
        """Count and tell what needs no sending."""
        self.report.count(change)
        self.tell(change)

    def end(self) -> Report:
        """Wait for all that was sent; returns what was done."""
        while self._jobs:
            self._finish()
        self.report.seconds = time.monotonic() - self._began
        return self.report

    def _texts(self, batch: Sequence[Text]) -> None:
        """Send texts, in halves where the server does not take them together."""
        try:
            said = self.connection.post(ROUTE, [self._record(text) for text in batch])
        except (UsageError, InputError) as error:
            if len(batch) == 1:
                self.fail(batch[0].source, str(error))
                return
            middle = len(batch) // 2
            self._texts(batch[:middle])
            self._texts(batch[middle:])
        else:
            self._begin(said, [text.source for text in batch])

    def _record(self, text: Text) -> dict[str, Any]:
        said = {"source": text.source, "text": storable(text.text), "title": storable(text.title), "media": text.media}
        fields = {storable(name): held for name, value in text.fields.items() if (held := plain(value)) is not None}
        more = {"ttl": self.ttl, "modified": text.modified}
        return said | {"fields": fields} | {name: value for name, value in more.items() if value is not None}

    def _batches(self, texts: Iterable[Text | Failure]) -> Iterator[list[Text]]:
        """Texts of different names, few and short enough for one request."""
        batch: dict[str, Text] = {}
        size = 0
        for text in texts:
            if isinstance(text, Failure):
                self.fail(text.source, text.reason)
                continue
            if not isinstance(text, Text):
                raise InputError(f"only paths and texts can be added, not {type(text).__name__}: make a beige.Text")
            if batch and (text.source in batch or len(batch) == TOGETHER or size + len(text.text) > CHARACTERS):
                yield list(batch.values())
                batch, size = {}, 0
            batch[text.source] = text
            size += len(text.text)
        if batch:
            yield list(batch.values())

    def _begin(self, said: Any, names: Sequence[str]) -> None:
        with self.connection.understood():
            self._jobs.append(Job(str(said["id"]), names))
        if len(self._jobs) > UNDER_WAY:
            self._finish()

    def _finish(self) -> None:
        self.report.include(self._jobs.popleft().finish(self.connection, self.tell))


def _pages(names: Sequence[str]) -> Iterator[list[str]]:
    """Names, few and short enough to be told in an address."""
    page: list[str] = []
    room = ADDRESS
    for name in names:
        size = len(quote_plus(name)) + len("&source=")
        if page and (size > room or len(page) == TOGETHER):
            yield page
            page, room = [], ADDRESS
        page.append(name)
        room -= size
    if page:
        yield page
