"""Texts that a program or a person gives with a name of their own, as documents that are not files."""

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from beige.documents.chunk import Failure, Fields, Plain
from beige.documents.content import storable
from beige.documents.records import Broken, Names, json_lines
from beige.errors import InputError

MEDIA = ("text", "markdown", "code")

LONGEST = 4096
"""Characters of a name: every hit and every list repeats it."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


@dataclass(frozen=True, slots=True)
class Text:
    """A text with a name.

    Attributes:
        source: its name in hits, any that is not empty; the text replaces what has this name.
        text: what is searched; lone surrogates and NULs become U+FFFD.
        title: stands above every chunk.
        fields: what filters can name: strings, finite numbers and truth values by name, or lists of them.
        media: "markdown" finds headings, "code" splits as code, "text" is prose.
        modified: seconds since the epoch; None for the time at which it is added.

    Raises:
        InputError: one of these is not what it should be.
    """

    source: str
    text: str
    title: str = ""
    fields: Fields = field(default_factory=dict)
    media: str = "text"
    modified: float | None = None

    def __post_init__(self) -> None:
        _check_kinds(self.source, self.text, self.title, self.fields)
        check_name(self.source)
        if self.media not in MEDIA:
            raise InputError(f"{self.source} cannot be of the media {self.media!r}: choose {', '.join(MEDIA)}")


def check_name(source: str) -> None:
    """Refuse what cannot name a document.

    Raises:
        InputError: the name is empty or too long, or has characters that no name can have.
    """
    if not source.strip():
        raise InputError("a text needs a name: give it a source that is not empty")
    if len(source) > LONGEST:
        raise InputError(f"the source {source[:50]!r}... has {len(source):,} characters and may have {LONGEST:,}")
    if storable(source) != source or _CONTROL.search(source):
        raise InputError(f"the source {source!r} has characters that no name can have")


def _check_kinds(source: object, text: object, title: object, fields: object) -> None:
    """Refuse what no type checker has looked at."""
    if not isinstance(source, str) or not isinstance(text, str) or not isinstance(title, str):
        raise InputError(f"source, text and title of {source} must be strings")
    if not isinstance(fields, Mapping):
        raise InputError(f"the fields of {source} must be values by name")
    for name, value in fields.items():
        if not isinstance(name, str) or not name.strip():
            raise InputError(f"{source} has a field without a name")
        for one in value if isinstance(value, list) else [value]:
            if not isinstance(one, Plain) or (isinstance(one, float) and not math.isfinite(one)):
                raise InputError(
                    f"the field {name!r} of {source} must be a string, a finite number, true, false, or a list of such"
                )


def texts_of(lines: Iterable[bytes], names: Names | None = None) -> Iterator[Text | Failure]:
    """Records as texts, each named by its id.

    Args:
        lines: JSON objects, one a line.
        names: which of their fields are text, title and id.
    """
    for number, record in enumerate(json_lines(lines, names or Names(), numbered=False), 1):
        if isinstance(record, Broken):
            yield Failure(f"line {record.number}", record.reason)
            continue
        try:
            title = "".join(heading.title for heading in record.content.headings)
            yield Text(record.name, record.content.text, title, record.fields)
        except InputError as error:
            yield Failure(f"record {number}", str(error))
