"""Where a run's documents come from: files beneath paths, files or texts with names of their own, another store."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Protocol

from beige.documents.chunk import Document, Failure
from beige.documents.reader import Reader
from beige.documents.reading import Recipe, document_of
from beige.documents.splitter import Splitter
from beige.documents.text import Text
from beige.documents.upload import Upload
from beige.documents.walk import Found, Within, find
from beige.index.files import Files, Step, step
from beige.index.given import text_of
from beige.index.lease import Lease
from beige.index.report import Change
from beige.index.store import Store, Stored

Tell = Callable[[Change], None]

PAGE = 1000
"""Documents of two stores that are compared at a time."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What holds for all documents of a run.

    Attributes:
        tokenizer: the checkpoint's `tokenizer.json`.
        chunk_tokens: the most tokens of a chunk.
        lease: until when they are found.
        now: when the run begins, in seconds since the epoch.
    """

    tokenizer: Path
    chunk_tokens: int
    lease: Lease
    now: float


class Origin(Protocol):
    """Says step by step what is to become of the store."""

    def steps(self, tell: Tell) -> Iterator[Step]:
        """The steps, in an order in which they may be done; what needs none is told directly."""

    def close(self) -> None:
        """Break off; from another thread too."""


class FromPaths:
    """The files at and beneath some paths, and the removal of what has vanished from there.

    Args:
        paths: files and folders.
        skip: a folder that is not entered, the index's own; None where it has none.
        store: what is stored.
        base: the folder that relative sources are relative to.
        terms: what holds for the run.
        within: absolute paths, where it is known that nothing else has changed; None for everywhere.

    Raises:
        InputError: a path does not exist.
    """

    def __init__(
        self,
        paths: Sequence[str | Path],
        skip: Path | None,
        store: Store,
        base: str,
        terms: Terms,
        *,
        within: Collection[Path] | None = None,
    ) -> None:
        self._changed = paths if within is None else within
        self._found = find(paths, skip, base, None if within is None else Within(within))
        self._files = Files(store, base, terms.lease)
        self._reader = Reader(terms.tokenizer, chunk_tokens=terms.chunk_tokens)

    def steps(self, tell: Tell) -> Iterator[Step]:
        """A step for each document whose file has changed, then one for each whose file is gone."""
        with self._reader:
            yield from self._files.steps(self._reader.read(self._files.to_read(self._found, tell)))
        for source in self._files.vanished(self._changed):
            yield None, Change("removed", source)

    def close(self) -> None:
        """End the processes that read."""
        self._reader.close()


class FromTexts:
    """Texts that were given, split here: they are neither large nor hostile as files may be.

    Args:
        texts: what is given; a failure among them is told.
        store: what is stored.
        terms: what holds for the run.
    """

    def __init__(self, texts: Iterable[Text | Failure], store: Store, terms: Terms) -> None:
        self._texts = texts
        self._store = store
        self._terms = terms
        self._closed = False

    def steps(self, tell: Tell) -> Iterator[Step]:
        """A step for each text that is new or has changed."""
        recipe: Recipe | None = None
        for item in self._texts:
            if self._closed:
                return
            if isinstance(item, Failure):
                yield None, Change("failed", item.source, reason=item.reason)
                continue
            text = text_of(item)
            recipe = recipe or Recipe(Splitter(self._terms.tokenizer, self._terms.chunk_tokens))
            stored = self._store.stored([text.source]).get(text.source)
            document = document_of(text, recipe, self._terms.now)
            if stored and stored.given and stored.digest == document.digest and text.modified is None:
                document = replace(document, modified=stored.modified)  # it has not changed since
            yield step(document, stored, self._terms.lease)

    def close(self) -> None:
        """Take no more of the texts."""
        self._closed = True


class FromUploads:
    """Files that were given with their names, and the removal of the records that a file of this name had before.

    Args:
        uploads: no two of one name.
        store: what is stored.
        terms: what holds for the run.
    """

    def __init__(self, uploads: Sequence[Upload], store: Store, terms: Terms) -> None:
        self._uploads = {upload.source: upload for upload in uploads}
        self._store = store
        self._lease = terms.lease
        self._reader = Reader(terms.tokenizer, chunk_tokens=terms.chunk_tokens)

    def steps(self, tell: Tell) -> Iterator[Step]:
        """A step for each document that is new or has changed, then one for each record that is gone."""
        come: set[str] = set()
        failed: set[str] = set()
        last: dict[str, Document] = {}  # by file of records, the last that came
        with self._reader:
            for item in self._reader.read(map(_found, self._uploads.values())):
                name = self._upload_of(item.source)
                if isinstance(item, Failure):
                    failed.add(name)
                    yield None, Change("failed", item.source, reason=item.reason)
                    continue
                come.add(item.source)
                if item.source == name:
                    yield self._step(item, self._uploads[name], whole=True)
                else:
                    if name in last:
                        yield self._step(last[name], self._uploads[name], whole=False)
                    last[name] = item
        for name, item in last.items():
            yield self._step(item, self._uploads[name], whole=name not in failed)
        for name in (name for name in self._uploads if name not in failed):  # what failed keeps what it had
            for before in [*self._store.stored([name]).values(), *self._store.documents(f"{name}#")]:
                if before.given and before.source not in come:
                    yield None, Change("removed", before.source)

    def _step(self, read: Document, upload: Upload, *, whole: bool) -> Step:
        """What to do for a document of an upload.

        Args:
            read: it.
            upload: the file.
            whole: whether all of the file is stored when this is.
        """
        stored = self._store.stored([read.source]).get(read.source)
        document = replace(read, given=True, origin=upload.origin, settled=whole or not upload.origin)
        if upload.modified is not None:
            document = replace(document, modified=upload.modified)
        elif stored and stored.given and stored.digest == read.digest:
            document = replace(document, modified=stored.modified, size=stored.size)  # what changed is elsewhere
        return step(document, stored, self._lease)

    def _upload_of(self, source: str) -> str:
        """The name of the upload that a document, a record (`name#record`) or a broken one (`name:line`) is from."""
        name = source
        while name and name not in self._uploads:
            name = name[: max(name.rfind("#"), name.rfind(":"), 0)]
        return name

    def close(self) -> None:
        """End the processes that read."""
        self._reader.close()


class FromStore:
    """The documents of another store: what is not stored as it is there, and the removal of what is not there.

    Args:
        source: whose documents are wanted.
        store: what is stored.
        again: whether this was done before, so that what is unchanged has been told.
    """

    def __init__(self, source: Store, store: Store, *, again: bool = False) -> None:
        self._source = source
        self._store = store
        self._again = again
        self._closed = False

    def steps(self, tell: Tell) -> Iterator[Step]:
        """A step for each document that differs."""
        for page in _pages(self._source.documents()):
            stored = self._store.stored([wanted.source for wanted in page])
            for wanted in page:
                if self._closed:
                    return
                known = stored.get(wanted.source)
                if known == wanted:
                    if not self._again:
                        tell(Change("unchanged", wanted.source))
                elif (document := self._source.document(wanted.source)) is not None:
                    yield document, Change("updated" if known else "added", wanted.source)
        for page in _pages(self._store.documents()):
            wanted_ones = self._source.stored([known.source for known in page])
            for known in page:
                if known.source not in wanted_ones:
                    yield None, Change("removed", known.source)

    def close(self) -> None:
        """Read no more documents."""
        self._closed = True


def _found(upload: Upload) -> Found | Failure:
    try:
        status = upload.path.stat()
    except OSError as error:
        return Failure(upload.source, f"it cannot be read: {error.strerror or error}")
    return Found(upload.path, upload.source, status.st_size, status.st_mtime)


def _pages(documents: Iterator[Stored]) -> Iterator[list[Stored]]:
    while page := list(islice(documents, PAGE)):
        yield page
