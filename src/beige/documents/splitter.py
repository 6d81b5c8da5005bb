"""Cuts a text into chunks: at headings and pages always, then at good breaks near an even share of what is left.

A section (what stands between two headings, or two borders of pages) that is longer than a chunk is cut into pieces of
about the same size. A cut looks at the breaks between a part of that size and the most that a chunk may hold, and takes
the nearest to it of the strongest kind that is there: paragraphs before list items before sentences before lines before
words; for code, units at the left margin before blank lines before lines. Sizes are the model's own tokens, counted
once for the whole text.

Every character that is not whitespace lies in exactly one chunk, and the same text always gives the same chunks.
"""

import re
import unicodedata
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from beige.documents.chunk import Chunk, Locator
from beige.documents.content import Content
from beige.errors import CheckpointError, UsageError

CHUNK_TOKENS = 256
"""Tokens of a chunk with its heading path and the model's special tokens; `docs/` has the measurements."""

_CHARACTERS = 16
"""Most characters for each token: a megabyte without a space is one unknown token to a WordPiece tokenizer."""

_PIECE = 1 << 16
"""Characters given to the tokenizer at once; its memory is some hundred times that."""

_SENTENCES = 2000
"""Characters given to the sentence splitter at once: it takes quadratic time on a long Chinese paragraph."""

Breaks = Callable[[str, int, int], Iterator[int]]
"""Finds places to cut in text[start:end]."""


def _after(pattern: str) -> Breaks:
    """Breaks behind what the pattern matches."""
    matches = re.compile(pattern, re.MULTILINE).finditer

    def find(text: str, start: int, end: int) -> Iterator[int]:
        return (match.end() for match in matches(text, start, end))

    return find


def _sentences(text: str, start: int, end: int) -> Iterator[int]:
    from sentencex import get_sentence_boundaries

    begin = max(start, end - _SENTENCES)
    ends = (begin + sentence["end_index"] for sentence in get_sentence_boundaries("en", text[begin:end]))
    return (
        place for place in ends if place < end
    )  # the last one ends where the window does, not where a sentence does


_BLANK_LINE = r"\n[ \t\r]*\n"
_LINE = _after(r"\n")
_WORD = _after(r"\s+")
_MARK = _after(r"[,;:.!?)}\]>|/、，；：。！？）」』】]")

PROSE: tuple[tuple[float, Breaks], ...] = (
    (0.75, _after(_BLANK_LINE)),
    (0.75, _after(r"\n(?=[ \t]*(?:[-*+•|]|\d{1,3}[.)])[ \t])")),
    (0.25, _sentences),  # a short chunk is better than half a sentence
    (0.75, _LINE),
    (0.75, _WORD),
    (0.75, _MARK),
)
"""Kinds of breaks, the strongest first, each with the least share of an even piece that it may leave."""

CODE: tuple[tuple[float, Breaks], ...] = (
    (0.5, _after(r"\n[ \t\r]*\n(?=[^\s)\]}])")),
    (0.5, _after(r"\n(?=[^\s)\]}])")),
    (0.75, _after(_BLANK_LINE)),
    (0.75, _LINE),
    (0.75, _WORD),
    (0.75, _MARK),
)
"""The same for source code."""


@dataclass(frozen=True, slots=True)
class _Section:
    """What stands under one heading, on one page."""

    start: int
    end: int
    page: int | None
    headings: tuple[str, ...]


class Splitter:
    """Splits contents for one model.

    Args:
        tokenizer: the checkpoint's `tokenizer.json`.
        chunk_tokens: most tokens of a chunk, with its heading path and the special tokens.

    Raises:
        CheckpointError: the tokenizer cannot be read.
        UsageError: `chunk_tokens` leaves no room for a text.
    """

    def __init__(self, tokenizer: Path, chunk_tokens: int = CHUNK_TOKENS) -> None:
        from tokenizers import Tokenizer

        try:
            self._tokenizer = Tokenizer.from_file(str(tokenizer))
        except Exception as error:  # the library raises nothing narrower
            raise CheckpointError(f"the tokenizer {tokenizer} cannot be read: {error}; pull the model again") from None
        self._tokenizer.no_truncation()  # with it on, a text of any length counts as one chunk
        self._tokenizer.no_padding()
        self._room = chunk_tokens - self._tokenizer.num_special_tokens_to_add(False)
        if self._room < 8:
            raise UsageError(f"chunks of {chunk_tokens} tokens leave no room for text; take 32 or more")
        self._cost = lru_cache(maxsize=1024)(self._count)

    def split(self, content: Content, code: bool = False) -> tuple[Chunk, ...]:
        """The content's chunks, in the order of the text.

        Args:
            content: a text with its headings and pages.
            code: cut along the structure of source code rather than of prose.
        """
        text = content.text
        cutter = _Cutter(content, self._starts(text), code)
        chunks = []
        line, counted = 1, 0
        for section in _sections(content):
            headings = self._path(section.headings)
            room = self._room - (self._cost(" > ".join(headings)) if headings else 0)
            for start, end in cutter.cut(section, room):
                line += text.count("\n", counted, start)
                last = line + text.count("\n", start, end)
                chunks.append(Chunk(text[start:end], Locator(start, end, line, last, section.page, headings)))
                line, counted = last, end
        return tuple(chunks)

    def _count(self, text: str) -> int:
        return len(self._tokenizer.encode(text, add_special_tokens=False))

    def _starts(self, text: str) -> "array[int]":
        """Where each token begins, in characters."""
        starts = array("q")
        begin = 0
        while begin < len(text):
            end = min(begin + _PIECE, len(text))
            if end < len(text):
                end = max(text.rfind(" ", begin, end), text.rfind("\n", begin, end)) + 1 or end
            encoding = self._tokenizer.encode(text[begin:end], add_special_tokens=False)
            starts.extend([begin + start for start, _ in encoding.offsets])
            begin = end
        return starts

    def _path(self, titles: tuple[str, ...]) -> tuple[str, ...]:
        """The heading path as chunks carry it: at most half a chunk; the outermost titles go first."""
        path, most = titles, self._room // 2
        while len(path) > 1 and self._cost(" > ".join(path)) > most:
            path = path[1:]
        if path and self._cost(path[0]) > most:
            title = path[0]
            path = (title[: self._starts(title)[most]].rstrip() + "…",)
        return path


def _sections(content: Content) -> Iterator[_Section]:
    """The text between headings and page borders, with what each stands under.

    A heading with nothing beneath it but a deeper heading is no section: it begins the deeper one's.
    """
    text, headings, pages = content.text, content.headings, content.pages
    borders = sorted({0, *pages, *(heading.start for heading in headings)})
    path: list[tuple[int, str]] = []
    following, page = 0, 0
    start = 0
    for number, border in enumerate(borders):
        end = borders[number + 1] if number + 1 < len(borders) else len(text)
        body = border
        while following < len(headings) and headings[following].start <= border:
            heading = headings[following]
            path = [(level, title) for level, title in path if level < heading.level]
            path.append((heading.level, heading.title))
            body, following = max(body, heading.end), following + 1
        while page < len(pages) and pages[page] <= border:
            page += 1
        deeper = (
            following < len(headings)
            and headings[following].start == end
            and path
            and (headings[following].level > path[-1][0])
        )
        same_page = page == len(pages) or pages[page] > end
        if deeper and same_page and not text[body:end].strip():
            continue
        yield _Section(start, end, page or None, tuple(title for _, title in path))
        start = end


@dataclass(frozen=True)
class _Cutter:
    """Cuts the sections of one text.

    Attributes:
        content: the text.
        tokens: where its tokens begin.
        code: whether to break as code.
    """

    content: Content
    tokens: Sequence[int]
    code: bool

    def cut(self, section: _Section, room: int) -> Iterator[tuple[int, int]]:
        """A section's chunks of at most `room` tokens as (start, end), without the whitespace around them."""
        text, tokens = self.content.text, self.tokens
        start = section.start
        end = start + len(text[start : section.end].rstrip())
        while (start := _ink(text, start, end)) < end:
            first = bisect_left(tokens, start)
            left = bisect_left(tokens, end) - first
            pieces = max(-(-left // room), -(-(end - start) // (room * _CHARACTERS)))
            if pieces <= 1:
                yield start, end
                return
            limit = min(end, start + room * _CHARACTERS)
            if left > room:
                limit = max(start + 1, min(limit, tokens[first + room]))
            even = tokens[first + left // pieces] if left >= pieces else start + (end - start) // pieces
            cut = self._best(start, max(start + 1, min(limit, even)), limit)
            yield start, start + len(text[start:cut].rstrip())
            start = cut

    def _best(self, start: int, goal: int, limit: int) -> int:
        """Where to cut in (start, limit]: the break nearest to the goal, of the strongest kind."""
        text, solid = self.content.text, self.content.solid
        near = slice(
            bisect_right(solid, start, key=lambda span: span[1]), bisect_left(solid, limit, key=lambda span: span[0])
        )
        kept = solid[near]
        for breaks, whole in ((CODE, ()),) if self.code else ((PROSE, kept), (CODE, ())):
            for share, find in breaks:
                least = start + max(1, int(share * (goal - start)))
                found = [
                    place
                    for place in find(text, start, limit)
                    if least <= place <= limit and not any(begin < place < end for begin, end in whole)
                ]
                if found:
                    return min(found, key=lambda place: (abs(place - goal), place))
        return _between_characters(text, start, limit)


def _between_characters(text: str, start: int, place: int) -> int:
    """The last place up to this one that parts no accent or emoji sequence from what it belongs to."""
    for cut in range(place, max(start, place - 64), -1):
        if cut == len(text) or not (_joins(text[cut]) or text[cut - 1] == "\u200d"):
            return cut
    return place


def _joins(character: str) -> bool:
    """Whether a character belongs to the one before it: accents, joiners, variation selectors, skin tones."""
    return (
        character == "\u200d" or unicodedata.category(character)[0] == "M" or "\U0001f3fb" <= character <= "\U0001f3ff"
    )


_INK = re.compile(r"\S")


def _ink(text: str, start: int, end: int) -> int:
    """Where the next chunk begins: at the next character that is not whitespace, or its line's indentation."""
    found = _INK.search(text, start, end)
    if found is None:
        return end
    ink = found.start()
    margin = text.rfind("\n", start, ink) + 1 or start
    at_margin = margin == 0 or text[margin - 1] == "\n"
    return margin if at_margin and ink - margin <= 64 else ink
