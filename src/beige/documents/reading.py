"""One file, or one text, to documents: opened, checked, parsed, split. Files are read in the worker processes."""

import hashlib
import json
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from beige.documents import formats, parsers
from beige.documents.chunk import OWN_TEXT, Document, Failure
from beige.documents.content import Content, Heading, storable
from beige.documents.prose import outline
from beige.documents.records import Broken, Names, NoRecordsError, plain
from beige.documents.splitter import Splitter
from beige.documents.text import Text
from beige.documents.walk import Found
from beige.errors import InputError
from beige.language import detect

_REASON = 300
"""Most characters of a failure's reason."""


@dataclass(frozen=True)
class Recipe:
    """How documents are made: the splitter, and what the fields of records mean."""

    splitter: Splitter
    names: Names = field(default_factory=Names)


def read(found: Found, recipe: Recipe) -> Iterator[Document | Failure]:
    """A file's documents: one, or one for each record; failures are named, never raised.

    A record that fails is named `source:number`, by its line (JSON lines) or row (the others).
    """
    kind = formats.kind_of(found.path)
    try:
        if kind in parsers.RECORDS:
            yield from _records(found, kind, recipe)
        else:
            yield _document(found, kind, recipe)
    except InputError as error:
        yield failure(found.source, error)
    except OSError as error:
        yield failure(found.source, f"it cannot be read: {error.strerror or error}")


def failure(source: str, reason: object) -> Failure:
    """A failure with its reason as one line of reasonable length, whatever a parser had to say."""
    line = " ".join(storable(str(reason)).split())
    return Failure(source, line if len(line) <= _REASON else line[: _REASON - 1] + "…")


def document_of(given: Text, recipe: Recipe, now: float) -> Document:
    """The document of a text.

    Args:
        given: the text with its name.
        recipe: how it is split; the text says itself what its fields are.
        now: when it changed, in seconds since the epoch, unless the text says so.
    """
    text = storable(given.text)
    content = outline(text) if given.media == "markdown" else Content(text)
    if title := " ".join(storable(given.title).split()):
        content = Content(text, (Heading(0, 0, 0, title), *content.headings), content.pages, content.solid)
    fields = {storable(name): held for name, value in given.fields.items() if (held := plain(value)) is not None}
    return Document(
        source=given.source,
        chunks=recipe.splitter.split(content, code=given.media == "code"),
        digest=_digest(content, fields, given.media),
        size=len(text.encode()),
        modified=now if given.modified is None else given.modified,
        media=given.media,
        fields=fields,
        given=True,
        language="" if given.media == "code" else detect(text),
    )


def _document(found: Found, kind: str, recipe: Recipe) -> Document:
    data, status = _bytes(found.path)
    content = parsers.CONTENTS[kind](data)
    if kind not in OWN_TEXT and not content.text.strip():
        hint = "; if its pages are scanned, run text recognition on it first" if kind == "pdf" else ""
        raise InputError(f"no text found{hint}")
    return Document(
        source=found.source,
        chunks=recipe.splitter.split(content, code=kind == "code"),
        digest=hashlib.sha256(data).hexdigest(),
        size=status.st_size,
        modified=status.st_mtime,
        media=kind,
        language="" if kind == "code" else detect(content.text),
    )


def _records(found: Found, kind: str, recipe: Recipe) -> Iterator[Document | Failure]:
    names: set[str] = set()
    with _open(found.path) as file:
        before = os.fstat(file.fileno())
        number = 0
        try:
            for record in parsers.RECORDS[kind](file, recipe.names):
                number += 1
                if isinstance(record, Broken):
                    yield failure(f"{found.source}:{record.number}", record.reason)
                elif record.name in names:
                    yield failure(f"{found.source}:{number}", f"another record has the id {record.name!r} too")
                else:
                    names.add(record.name)
                    yield Document(
                        source=f"{found.source}#{record.name}",
                        chunks=recipe.splitter.split(record.content),
                        digest=_digest(record.content, record.fields),
                        size=before.st_size,
                        modified=before.st_mtime,
                        media="record",
                        fields=record.fields,
                        language=detect(record.content.text),
                    )
        except NoRecordsError:
            yield _document(found, "code", recipe)
            return
        if not _same(before, os.fstat(file.fileno())):
            raise InputError("it changed while it was read; index it again when nothing writes to it")


def _open(path: Path) -> BinaryIO:
    """Open a regular file; O_NONBLOCK, since a pipe may have taken its place and would wait for a writer."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise InputError("it is not a file but a pipe, socket or device, which is never opened")
    return os.fdopen(descriptor, "rb")


def _bytes(path: Path) -> tuple[bytes, os.stat_result]:
    """The whole file, and its status while it was so; read once more where it changed meanwhile.

    Raises:
        InputError: it changed again.
    """
    for _ in range(2):
        with _open(path) as file:
            before = os.fstat(file.fileno())
            data = file.read()
            if len(data) == before.st_size and _same(before, os.fstat(file.fileno())):
                return data, before
    raise InputError("it changes while it is read; index it again when nothing writes to it")


def _same(before: os.stat_result, after: os.stat_result) -> bool:
    return (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns)


def _digest(content: Content, fields: Mapping[str, object], *more: str) -> str:
    titles = [heading.title for heading in content.headings]
    return hashlib.sha256(json.dumps([titles, content.text, fields, *more], sort_keys=True).encode()).hexdigest()
