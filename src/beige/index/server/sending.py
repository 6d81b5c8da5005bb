"""Documents on their way to a server: sent in jobs, a few of which are under way at a time, and waited for."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar
from urllib.parse import quote_plus

from beige.documents.chunk import Failure
from beige.documents.content import storable
from beige.documents.records import plain
from beige.documents.text import Text
from beige.documents.upload import Upload
from beige.errors import InputError, UsageError
from beige.index.given import text_of
from beige.index.lease import lease
from beige.index.removal import check_names
from beige.index.report import Change, Report
from beige.index.server.connection import Connection
from beige.index.server.job import Job
from beige.index.server.listing import ROUTE

TOGETHER = 100
"""The most texts or files of a job, and the most documents that are deleted in one: it names as many failures."""

CHARACTERS, BYTES = 1 << 20, 1 << 22
"""The most characters of a job's texts, and bytes of its files, unless a single one has more."""

UNDER_WAY = 32
"""Jobs that are waited for at a time."""

ADDRESS = 1 << 14
"""Bytes that the names in an address take at most."""

_MORE = len("&source=")

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


T = TypeVar("T")


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
        named = ((text.source, text) for text in self._given(texts))
        for batch in _batches(named, lambda text: len(text.text), CHARACTERS):
            self._send(batch, self._records)

    def uploads(self, uploads: Iterable[Upload]) -> None:
        """Add files under their names, which are taken as they are needed; one that cannot be read fails by itself."""
        read = ((upload, content) for upload in uploads if (content := self._content(upload)) is not None)
        for batch in _batches(((one[0].source, one) for one in read), lambda one: len(one[1]), BYTES):
            self._send(batch, self._files)

    def delete(self, sources: Sequence[str], *, prefix: bool = False) -> None:
        """Remove documents by name, or by the beginning of their names."""
        check_names(sources)
        named = ((name, name) for name in dict.fromkeys(map(storable, sources)))
        for batch in _batches(named, lambda name: len(quote_plus(name)) + _MORE, ADDRESS):
            page = [name for name, _ in batch]
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

    def _send(self, batch: Sequence[tuple[str, T]], send: Callable[[Sequence[T]], Any]) -> None:
        """Send things by their names, in halves where the server does not take them together."""
        try:
            said = send([thing for _, thing in batch])
        except (UsageError, InputError) as error:
            if len(batch) == 1:
                self.fail(batch[0][0], str(error))
                return
            middle = len(batch) // 2
            self._send(batch[:middle], send)
            self._send(batch[middle:], send)
        else:
            self._begin(said, [name for name, _ in batch])

    def _records(self, texts: Sequence[Text]) -> Any:
        return self.connection.post(ROUTE, [self._record(text) for text in texts])

    def _record(self, text: Text) -> dict[str, Any]:
        said = {"source": text.source, "text": storable(text.text), "title": storable(text.title), "media": text.media}
        fields = {storable(name): held for name, value in text.fields.items() if (held := plain(value)) is not None}
        more = {"ttl": self.ttl, "modified": text.modified}
        return said | {"fields": fields} | {name: value for name, value in more.items() if value is not None}

    def _files(self, uploads: Sequence[tuple[Upload, bytes]]) -> Any:
        form = {
            "source": [upload.source for upload, _ in uploads],
            "modified": ["" if upload.modified is None else repr(upload.modified) for upload, _ in uploads],
            "ttl": [self.ttl or ""],
            "origin": [uploads[0][0].origin],
        }
        suffixes = [upload.path.suffix if upload.path.suffix.isascii() else "" for upload, _ in uploads]
        files = [(f"file{suffix}", content) for suffix, (_, content) in zip(suffixes, uploads, strict=True)]
        return self.connection.send(ROUTE, form, files)

    def _content(self, upload: Upload) -> bytes | None:
        """What a file holds; None where it failed."""
        try:
            if upload.path.stat().st_size <= LARGEST:
                return upload.path.read_bytes()
            reason = f"it has more than {LARGEST >> 20} MiB, which no server takes: send it in parts"
        except OSError as error:
            reason = f"it cannot be read: {error.strerror or error}"
        self.fail(upload.source, reason)
        return None

    def _given(self, texts: Iterable[Text | Failure]) -> Iterator[Text]:
        """The texts; failures among them are told."""
        for text in texts:
            if isinstance(text, Failure):
                self.fail(text.source, text.reason)
            else:
                yield text_of(text)

    def _begin(self, said: Any, names: Sequence[str]) -> None:
        with self.connection.understood():
            self._jobs.append(Job(str(said["id"]), names))
        if len(self._jobs) > UNDER_WAY:
            self._finish()

    def _finish(self) -> None:
        self.report.include(self._jobs.popleft().finish(self.connection, self.tell))


def _batches(
    named: Iterable[tuple[str, T]], size: Callable[[T], int], largest: int
) -> Iterator[Sequence[tuple[str, T]]]:
    """Things of different names, few and small enough for one request."""
    batch: dict[str, T] = {}
    room = largest
    for name, thing in named:
        if batch and (name in batch or len(batch) == TOGETHER or size(thing) > room):
            yield list(batch.items())
            batch, room = {}, largest
        batch[name] = thing
        room -= size(thing)
    if batch:
        yield list(batch.items())
