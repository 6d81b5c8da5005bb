"""What filters and facets see of a document: the values of its fields, the same for every store."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePosixPath

from beige.documents.chunk import Plain
from beige.documents.formats import file_of
from beige.index.filter import key_of

KEPT = 200
"""Characters of a text that count: what is longer is no value to filter by, and would be kept twice."""


def text_of(value: Plain) -> str:
    """What a value reads as."""
    return ("true" if value else "false") if isinstance(value, bool) else str(value)[:KEPT]


def title_key(title: str) -> str:
    """A heading's title without what does not count in it: letter case, and how much space there is."""
    return " ".join(title.split()).casefold()[:KEPT]


def facts(
    source: str, media: str, language: str, fields: Mapping[str, Plain | list[Plain]]
) -> Iterator[tuple[str, Plain]]:
    """What a document says of itself: a field's `key_of` and one of its values each time.

    Not its path and time, which filters take as they are stored, nor what is its chunks'.
    """
    yield "type", media.lower()
    if ending := PurePosixPath(file_of(source, media)).suffix[1:]:
        yield "type", ending.lower()
    if language:
        yield "language", language
    for name, value in fields.items():
        for each in value if isinstance(value, list) else (value,):
            yield key_of(f"record.{name}"), each


def titles(headings: Iterable[str]) -> Iterator[tuple[str, Plain]]:
    """The titles above a document's chunks, by the field's name, as they are compared."""
    for title in headings:
        yield "heading", title_key(title)
