"""How an index stands in a collection: a point for each chunk, one for each document, and one for the manifest.

A chunk's point has a random number for an id, so that an even sample is to be had by taking the smallest ones. The
document's point is the truth of which version of it counts: chunks are stored unseen (`live` is false), then one
request names the new version, shows its chunks, drops the others', and says that they are shown.
"""

import base64
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from beige.documents.chunk import Chunk, Document, Locator, Plain
from beige.index.facts import facts, text_of, title_key
from beige.index.filter import number_of
from beige.index.schema import blob
from beige.index.store import Passage, Stored

CHUNK, DOCUMENT, MANIFEST, LEASE = "chunk", "document", "manifest", "lease"
"""What a point stands for, in its payload's `kind`."""

INDEXED: Mapping[str, str] = {
    "kind": "keyword",
    "live": "bool",
    "shown": "bool",
    "version": "keyword",
    "source": "keyword",
    "key": "keyword",
    "draw": "integer",
    "media": "keyword",
    "names": "keyword",
    "titles": "keyword",
    "page": "integer",
    "modified": "float",
    "expires": "float",
}
"""Payload fields that the server keeps an index of, each with its type."""

_SPACE = uuid.UUID("6f0b6a52-9b6e-4b0e-8a51-0f6a0a3f1d5e")

MANIFEST_ID = str(uuid.uuid5(_SPACE, "manifest"))
LEASE_ID = str(uuid.uuid5(_SPACE, "lease"))

_ESCAPE = "\ufdd0"
"""A character of no text: what begins with it is base64 of UTF-8 with lone surrogates, which JSON cannot carry."""


def document_id(source: str) -> str:
    """The id of a document's point."""
    return str(uuid.uuid5(_SPACE, "document:" + blob(source).hex()))


def packed(text: str) -> str:
    """A text as JSON can carry it."""
    try:
        text.encode("utf-8")
        plain = not text.startswith(_ESCAPE)
    except UnicodeEncodeError:
        plain = False
    return text if plain else _ESCAPE + base64.b64encode(blob(text)).decode("ascii")


def unpacked(text: str) -> str:
    """The inverse of `packed`."""
    return base64.b64decode(text[1:]).decode("utf-8", "surrogatepass") if text.startswith(_ESCAPE) else text


def hidden(key: str) -> str:
    """A field's `key_of` as a name that a path into a payload can have: letters and digits alone."""
    return "f" + blob(key).hex()


def _each(change: Callable[[str], str], value: Plain | list[Plain]) -> Any:
    if isinstance(value, list):
        return [_each(change, one) for one in value]
    return change(value) if isinstance(value, str) else value


def _described(document: Document, version: str) -> dict[str, Any]:
    """What chunks and documents have in common: by it both are filtered."""
    texts: dict[str, list[str]] = {}
    numbers: dict[str, list[int | float]] = {}
    for key, value in facts(document.source, document.media, document.language, document.fields):
        texts.setdefault(key, []).append(packed(text_of(value)))
        if (number := number_of(value)) is not None:
            numbers.setdefault(key, []).append(number)
    return {
        "version": version,
        "source": packed(document.source),
        "media": document.media,
        "language": document.language,
        "modified": document.modified,
        "given": document.given,
        "expires": document.expires,
        "fields": {packed(name): _each(packed, value) for name, value in document.fields.items()},
        "names": [*map(packed, texts), *(["modified"] if document.modified else [])],
        "texts": {hidden(key): sorted(set(values)) for key, values in texts.items()},
        "numbers": {hidden(key): values for key, values in numbers.items()},
    }


def chunk_payload(document: Document, position: int, chunk: Chunk, version: str) -> dict[str, Any]:
    """The payload of a chunk that is not seen yet."""
    locator, described = chunk.locator, _described(document, version)
    own = ["heading"] * bool(locator.headings) + ["page"] * (locator.page is not None)
    return {
        **described,
        "names": described["names"] + own,
        "titles": [packed(title_key(title)) for title in locator.headings],
        "draw": int(chunk.key[:12], 16),
        "kind": CHUNK,
        "live": False,
        "position": position,
        "text": packed(chunk.text),
        "key": chunk.key,
        "start": locator.start,
        "end": locator.end,
        "line_start": locator.line_start,
        "line_end": locator.line_end,
        "page": locator.page,
        "headings": [packed(title) for title in locator.headings],
    }


def document_payload(document: Document, version: str) -> dict[str, Any]:
    """The payload of a document whose chunks are about to be shown."""
    return {
        **_described(document, version),
        "kind": DOCUMENT,
        "shown": False,
        "settled": document.settled,
        "origin": document.origin,
        "digest": document.digest,
        "size": document.size,
        "chunks": len(document.chunks),
    }


def passage(chunk: int, payload: Mapping[str, Any]) -> Passage:
    """A stored chunk."""
    return Passage(
        id=chunk,
        source=unpacked(payload["source"]),
        position=payload["position"],
        text=unpacked(payload["text"]),
        locator=Locator(
            payload["start"],
            payload["end"],
            payload["line_start"],
            payload["line_end"],
            payload["page"],
            tuple(map(unpacked, payload["headings"])),
        ),
        media=payload["media"],
        fields=_fields(payload),
        language=payload["language"],
        given=payload["given"],
    )


def document(payload: Mapping[str, Any], passages: Sequence[Passage]) -> Document:
    """A stored document with its chunks, which are given in their order."""
    known = stored(payload)
    return Document(
        source=known.source,
        chunks=tuple(Chunk(passage.text, passage.locator) for passage in passages),
        digest=known.digest,
        size=known.size,
        modified=known.modified,
        media=payload["media"],
        fields=_fields(payload),
        language=payload["language"],
        settled=known.settled,
        given=known.given,
        expires=known.expires,
        origin=known.origin,
    )


def _fields(payload: Mapping[str, Any]) -> dict[str, Any]:
    return {unpacked(name): _each(unpacked, value) for name, value in payload["fields"].items()}


STORED = ["source", "digest", "size", "modified", "chunks", "settled", "given", "expires", "origin"]
"""What `stored` needs of a payload."""


def stored(payload: Mapping[str, Any]) -> Stored:
    """A stored document."""
    return Stored(
        unpacked(payload["source"]),
        payload["digest"],
        payload["size"],
        payload["modified"],
        payload["chunks"],
        payload["settled"],
        payload["given"],
        payload.get("expires"),
        payload.get("origin", ""),  # older collections have none
    )
