"""What the other rooms see of documents: a document, its chunks, and where each chunk stands."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

Plain = str | int | float | bool

Fields = Mapping[str, Plain | list[Plain]]
"""What else a record says, by name."""

OWN_TEXT = frozenset({"text", "markdown", "code"})
"""Media whose text is the file's own, so that locators hold in the file; an empty one is an empty document. Of any
other, no text is a failure."""


@dataclass(frozen=True, slots=True)
class Locator:
    """Where a passage stands in its document.

    Attributes:
        start: first character, from 0, in the document's text: the file's own, decoded, for the media of `OWN_TEXT`;
            what their parser gives for the others.
        end: one past the last character.
        line_start: first line of that text, from 1; lines end with a newline character.
        line_end: last line, inclusive.
        page: page, slide or sheet, from 1; None where the format has none.
        headings: titles from the outermost heading to the nearest one; the outermost are left out where the path would
            take more than half of a chunk.
    """

    start: int
    end: int
    line_start: int
    line_end: int
    page: int | None = None
    headings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Chunk:
    """A passage as it is shown; `embedded_text` is what the model and BM25 see."""

    text: str
    locator: Locator

    @property
    def embedded_text(self) -> str:
        """The passage below its heading path, without the headings that stand in the passage itself."""
        shown = {line.strip("# \t") for line in self.text.splitlines()}
        path = " > ".join(title for title in self.locator.headings if title not in shown)
        return f"{path}\n{self.text}" if path else self.text

    @property
    def key(self) -> str:
        """Identifies the embedded text: hex sha256. Chunks of the same key have the same vectors."""
        return hashlib.sha256(self.embedded_text.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True, slots=True)
class Document:
    """One file, record or text, read and split.

    Attributes:
        source: the name shown in hits: the path as given on the command line, path#record, or the name that a text was
            given.
        chunks: its passages in reading order.
        digest: hex sha256 of the bytes that were read (of the record's fields, for records).
        size: bytes on disk.
        modified: mtime in seconds since the epoch; 0 where it is not known.
        media: "text", "markdown", "html", "pdf", "docx", "pptx", "xlsx", "epub", "email", "code" or "record".
        fields: what filters and facets can name.
        language: of its text, ISO 639-1; empty where it is not known.
        settled: whether its whole file is stored as it was at that time, so that it need not be read again until then.
        given: whether it was given as a text with a name, and not read from a file: no run over paths removes it.
        expires: seconds since the epoch from which on it is not found any more; None for never.
        origin: names the folder of another machine that it was sent from as a file; empty where it was not.
    """

    source: str
    chunks: tuple[Chunk, ...]
    digest: str
    size: int
    modified: float
    media: str
    fields: Fields = field(default_factory=dict)
    language: str = ""
    settled: bool = True
    given: bool = False
    expires: float | None = None
    origin: str = ""


@dataclass(frozen=True, slots=True)
class Failure:
    """A file that could not be read: which, and one sentence why."""

    source: str
    reason: str
