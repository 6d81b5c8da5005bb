"""What a parser gives to the splitter: a text with its headings and pages."""

import re
from dataclasses import dataclass, field

from beige.documents.chunk import Fields

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def storable(text: str) -> str:
    r"""The text with NUL and lone surrogates replaced by U+FFFD, which keeps every other character's place.

    No database, tokenizer or UTF-8 file takes them; JSON (`"\ud800"`) and broken PDFs do contain them.
    """
    return text if text.isascii() and "\x00" not in text else _UNSTORABLE.sub("\ufffd", text)


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading: its first character in the text, one past its last, its level (1 is the outermost) and its title.

    A title that is no part of the text (an e-mail's subject, a record's title) has start == end.
    """

    start: int
    end: int
    level: int
    title: str


@dataclass(frozen=True, slots=True)
class Content:
    """A text as its parser found it.

    Attributes:
        text: the whole text.
        headings: in the order of the text.
        pages: where each page, slide or sheet begins, the first at 0; empty where the format has none.
        solid: (start, end) of passages that are better not cut: fenced code.
    """

    text: str
    headings: tuple[Heading, ...] = ()
    pages: tuple[int, ...] = ()
    solid: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Record:
    """One record of a file of records: its name within the file, what is searched, and what filters can name."""

    name: str
    content: Content
    fields: Fields = field(default_factory=dict)


class Blocks:
    """Puts a text together from blocks, one below the other, noting where headings and pages begin."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._length = 0
        self._headings: list[Heading] = []
        self._pages: list[int] = []

    def add(self, text: str, level: int = 0) -> None:
        """Add a paragraph, or a heading where the level is above 0; blank text adds nothing."""
        text = storable(text).strip()
        if not text:
            return
        if level:
            title = " ".join(text.split())
            self._headings.append(Heading(self._length, self._length + len(text), level, title))
        self._parts += (text, "\n\n")
        self._length += len(text) + 2

    def title(self, title: str, level: int = 1) -> None:
        """Add a heading that is no part of the text."""
        if title := " ".join(storable(title).split()):
            self._headings.append(Heading(self._length, self._length, level, title))

    def page(self) -> None:
        """Begin a page."""
        self._pages.append(self._length)

    def append(self, content: Content, level: int = 0) -> None:
        """Add a whole content, its headings `level` levels further in."""
        self._headings += (
            Heading(self._length + h.start, self._length + h.end, level + h.level, h.title) for h in content.headings
        )
        self._parts += (content.text, "\n\n")
        self._length += len(content.text) + 2

    def content(self) -> Content:
        """What was put together."""
        return Content("".join(self._parts), tuple(self._headings), tuple(self._pages))
