"""What the reader and its worker processes say to each other: JSON, one message a line, in ASCII.

JSON rather than pickle, so that nothing a parser was tricked into writing can run in the main process; lone surrogates
in file names (bytes that are not UTF-8) survive it.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from beige.documents.chunk import Chunk, Document, Failure, Locator
from beige.documents.walk import Found

READY = ["ready"]
"""A worker's word that it has started."""

END = ["end"]
"""A worker's word that a file is done."""

OUT_OF_MEMORY = 77
"""Exit code of a worker that reached its limit of memory."""


def patience(file: Found, seconds: float) -> float:
    """How many seconds a file may take: `seconds`, and one for each MiB of it (text alone needs a third of that)."""
    return seconds + file.size / (1 << 20)


def dump(value: Any) -> bytes:
    """One line."""
    return json.dumps(value, separators=(",", ":")).encode("ascii") + b"\n"


def pack_files(files: Sequence[Found]) -> bytes:
    """A batch of files to read."""
    return dump([[str(file.path), file.source, file.size, file.modified] for file in files])


def unpack_files(line: bytes) -> list[Found]:
    """The batch again."""
    return [Found(Path(path), source, size, modified) for path, source, size, modified in json.loads(line)]


def pack(result: Document | Failure) -> bytes:
    """What came of a file."""
    if isinstance(result, Failure):
        return dump(["failure", asdict(result)])
    chunks = [
        (chunk.text, place.start, place.end, place.line_start, place.line_end, place.page, place.headings)
        for chunk in result.chunks
        for place in (chunk.locator,)
    ]
    rest = {
        name: getattr(result, name) for name in ("source", "digest", "size", "modified", "media", "language", "settled")
    }
    return dump(["document", rest | {"fields": dict(result.fields)}, chunks])


def unpack(message: list[Any]) -> Document | Failure:
    """The same again."""
    if message[0] == "failure":
        return Failure(**message[1])
    chunks = tuple(
        Chunk(text, Locator(start, end, line_start, line_end, page, tuple(headings)))
        for text, start, end, line_start, line_end, page, headings in message[2]
    )
    return Document(chunks=chunks, **message[1])
