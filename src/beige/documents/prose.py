"""Plain text, source code and Markdown: the text is the file's own; Markdown's headings and fenced code are found."""

import re
from itertools import pairwise

from beige.documents.content import Content, Heading
from beige.documents.decoding import decode

_LINE = re.compile(r"\r\n?|\n")
_FRONT_MATTER = re.compile(r"\A---[ \t]*(?:\r\n?|\n)(?:[^\r\n]*(?:\r\n?|\n))*?(?:---|\.\.\.)[ \t]*(?:\r\n?|\n)")


def plain(data: bytes) -> Content:
    """Text without any structure but its lines."""
    return Content(decode(data))


def markdown(data: bytes) -> Content:
    """Markdown as it is written, its headings and fenced code by CommonMark's rules."""
    return outline(decode(data))


def outline(text: str) -> Content:
    """Find the headings (`#` and underlined) and the fenced code of a Markdown text; front matter has none.

    Only the block rules of markdown-it run, which is what makes this quick.
    """
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark")
    parser.core.ruler.enableOnly(["normalize", "block"])
    front = _FRONT_MATTER.match(text)
    begin = front.end() if front else 0
    lines = [begin, *(m.end() for m in _LINE.finditer(text, begin)), len(text)]  # line n of the body is lines[n:n + 2]
    headings: list[Heading] = []
    solid: list[tuple[int, int]] = []
    for token, following in pairwise([*parser.parse(text[begin:]), None]):
        if token is None or token.map is None:
            continue
        start, end = (lines[min(line, len(lines) - 1)] for line in token.map)
        if token.type == "fence":
            solid.append((start, end))
        elif token.type == "heading_open" and following is not None and following.content:
            headings.append(Heading(start, end, int(token.tag[1:]), " ".join(following.content.split())))
    return Content(text, tuple(headings), solid=tuple(solid))
