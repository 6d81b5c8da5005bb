"""What lies on disk against what is stored: which files to read, which documents are new, which are gone.

What has not changed is not read again. The last document of a file is settled, the others (the records before it) are
not: where one stands with the file's size and time, the whole file is stored.
"""

import os
import posixpath
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from beige.documents.chunk import Document, Failure
from beige.documents.walk import Found, source_of
from beige.index.lease import KEEP, Lease
from beige.index.report import Change
from beige.index.store import Stored

YOUNG = 2.0
"""A file changed so few seconds before the run may change again within its timestamp: it is read again next time."""

Step = tuple[Document | None, Change]
"""A document to store and what that is called; without a document, what to remove ("removed") or only to tell."""

PAGE = 1000
"""Documents whose time of expiry is changed in one transaction."""


_KEPT = ("size", "modified", "settled", "given", "expires", "origin")
"""What is stored of a document and can change while its content does not."""


def step(document: Document, stored: Stored | None, lease: Lease) -> Step:
    """What to do for a document that was read or given.

    Args:
        document: as it is now.
        stored: as it is stored; None where it is not.
        lease: until when it is found.
    """
    document = replace(document, expires=lease.expires(stored))
    if stored is None:
        return document, Change("added", document.source)
    if stored.digest != document.digest:
        return document, Change("updated", document.source)
    same = all(getattr(stored, name) == getattr(document, name) for name in _KEPT)
    return None if same else document, Change("unchanged", document.source)


def _lies_beneath(source: str, folder: str) -> bool:
    """Whether a name is that of a folder or of what lies in it, or of a file or its records."""
    return f"{source}/".startswith((f"{folder.rstrip('/')}/", f"{folder}#"))


class Known(Protocol):
    """What files are compared to: a store, or a list of what one has."""

    def documents(self, prefix: str = "") -> Iterator[Stored]:
        """See `Store.documents`."""

    def stored(self, sources: Sequence[str]) -> Mapping[str, Stored]:
        """See `Store.stored`."""

    def expire(self, sources: Sequence[str], when: float | None) -> None:
        """See `Store.expire`."""


class Files:
    """The files of one run.

    Args:
        store: what is stored; only times of expiry are changed in here.
        base: the folder that relative sources are relative to.
        lease: until when the documents are found.
    """

    def __init__(self, store: Known, base: str, lease: Lease = KEEP) -> None:
        self._store = store
        self._base = base
        self._lease = lease
        self._settled = time.time() - YOUNG
        self._seen: set[str] = set()
        self._failed: set[str] = set()
        self._before: dict[str, set[str]] = {}  # by file, its stored documents that have not come again
        self._last: dict[str, Document] = {}  # by file of records, the last that came

    def to_read(
        self, found: Iterable[Found | Failure], unchanged: Callable[[Change], None]
    ) -> Iterator[Found | Failure]:
        """The files that are not stored as they are now; of the others each document is told to be unchanged."""
        leased: list[str] = []  # unchanged but for the time of their expiry
        for file in found:
            self._seen.add(file.source)
            if isinstance(file, Found):
                stored = list(self._stored(file.source))
                if {(s.size, s.modified) for s in stored if s.settled} == {(file.size, file.modified)}:
                    for s in stored:
                        if self._lease.expires(s) != s.expires:
                            leased.append(s.source)
                        else:
                            unchanged(Change("unchanged", s.source))
                    if len(leased) >= PAGE:
                        self._renew(leased, unchanged)
                    continue
                if stored:
                    self._before[file.source] = {s.source for s in stored}
            yield file
        self._renew(leased, unchanged)

    def _renew(self, leased: list[str], unchanged: Callable[[Change], None]) -> None:
        self._store.expire(leased, self._lease.until)
        for source in leased:
            unchanged(Change("unchanged", source))
        leased.clear()

    def steps(self, items: Iterable[Document | Failure]) -> Iterator[Step]:
        """What to do for each document that was read, and at the end for the records that its file no longer has."""
        for item in items:
            file = self._file_of(item.source)
            if isinstance(item, Failure):
                self.fail(item)
                yield None, Change("failed", item.source, reason=item.reason)
                continue
            self._before.get(file, set()).discard(item.source)
            if item.source == file:
                yield self._step(item, whole=True)
            else:
                if file in self._last:
                    yield self._step(self._last[file], whole=False)
                self._last[file] = item
        for file, document in self._last.items():
            yield self._step(document, whole=file not in self._failed)
        for file, sources in self._before.items():
            if file not in self._failed:
                # A name with "#" may also be that of another file.
                gone = (s for s in sorted(sources) if s == file or not os.path.lexists(self._absolute(s)))
                yield from ((None, Change("removed", source)) for source in gone)

    def fail(self, failure: Failure) -> None:
        """Remember what could not be read: it has not vanished, nor has what lies beneath it."""
        self._failed.add(self._file_of(failure.source))

    def young(self, file: Found) -> bool:
        """Whether a file may still change within the time that it says it was changed at."""
        return file.modified >= self._settled

    def vanished(self, paths: Iterable[str | Path]) -> Iterator[str]:
        """Stored documents at and beneath these paths whose files were not found there; what failed is not gone."""
        failed = [self._absolute(source) for source in self._failed]
        told: set[str] = set()
        for path in paths:
            for stored in self._beneath(source_of(path, self._base)):
                source = self._absolute(stored.source)
                if (
                    not stored.given
                    and stored.source not in told
                    and self._file_of(stored.source) not in self._seen
                    and not any(_lies_beneath(source, folder) for folder in failed)
                ):
                    told.add(stored.source)
                    yield stored.source

    def _beneath(self, path: str) -> Iterator[Stored]:
        """What is stored of a file or a folder."""
        root = self._absolute(path)
        if _lies_beneath(self._base, root):  # relative sources lie beneath it too
            yield from (s for s in self._store.documents() if _lies_beneath(self._absolute(s.source), root))
            return
        yield from self._store.stored([path]).values()
        for end in "/#":
            yield from self._store.documents(f"{path}{end}")

    def _step(self, document: Document, *, whole: bool) -> Step:
        document = replace(document, settled=whole and document.modified < self._settled)
        return step(document, self._store.stored([document.source]).get(document.source), self._lease)

    def _absolute(self, source: str) -> str:
        return posixpath.normpath(posixpath.join(self._base, source))

    def _stored(self, file: str) -> Iterator[Stored]:
        """What is stored of a file: its document, or its records; not what was given a name like theirs."""
        for stored in self._store.documents(file):
            if stored.source == file or stored.source.startswith(f"{file}#"):
                if not stored.given:
                    yield stored
            elif stored.source > f"{file}#":
                return

    def _file_of(self, source: str) -> str:
        """The file of this run that a document, a record (`file#name`) or a broken record (`file:line`) is from."""
        name = source
        while name and name not in self._seen:
            name = name[: max(name.rfind("#"), name.rfind(":"), 0)]
        return name or source
