"""HTML to text with its headings, by the standard library's parser.

kreuzberg, which reads the office formats, loses every word that stands directly in a `<div>` when it is asked for
headings, and reads bytes as UTF-8 whatever the page declares.
"""

import re
from html.parser import HTMLParser

from beige.documents.content import Content, Heading, storable
from beige.documents.decoding import decode

_TAGS = {
    "\n\n": "address article aside blockquote body center details dialog dl fieldset figure footer form h1 h2 h3 h4 h5 "
    "h6 header hgroup hr main menu ol p pre search section table ul",
    "\n": "caption dd dir div dt figcaption legend li option select summary tbody tfoot thead tr",
}
_BORDERS = {tag: border for border, tags in _TAGS.items() for tag in tags.split()}
"""What stands in the text at the border of a block: a blank line, or the end of a line."""

_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_UNSHOWN = frozenset({"nav", "noscript", "script", "style", "svg", "template", "title"})
"""What is no part of a page's text: programs, drawings, the menus that a site repeats on every page. (A title is read
apart.)"""

_PERMALINKS = frozenset("#¶§🔗\uf0c1")
"""Texts of the links to themselves that documentation tools put into headings."""

_CHARSET = re.compile(rb"<meta[^>]{0,200}charset\s*=\s*[\"']?\s*([A-Za-z0-9_:.-]{2,40})", re.IGNORECASE)
_SPACE = re.compile(r"[ \t\n\r\f]+")


def html(data: bytes) -> Content:
    """The text of a page; its title stands above everything where the page has no `<h1>`."""
    declared = _CHARSET.search(data[:4096])
    return page(decode(data, declared[1].decode("ascii") if declared else None))


def page(source: str) -> Content:
    """The text of HTML that is decoded already."""
    reader = _Reader()
    reader.feed(source)
    reader.close()
    return reader.content()


class _Reader(HTMLParser):
    """Collects the text of a page and where its headings stand."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._parts: list[str] = []
        self._length = 0
        self._pre = 0
        self._inner = False  # within a link to a place on this page
        self._title = ""
        self._headings: list[Heading] = []
        self._heading: tuple[str, int, int] | None = None  # the one being read: tag, first part, first character
        self._unshown: list[tuple[str, int, int, int]] = []  # tag, and how many parts, characters, headings before it

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._border(tag)
        if tag == "a":
            self._inner = any(name == "href" and (value or "").startswith("#") for name, value in attrs)
        elif tag == "br":
            self._write("\n")
        elif tag in ("td", "th"):
            self._write("\t")
        elif tag == "pre":
            self._pre += 1
        elif tag in _HEADINGS:
            self._heading = (tag, len(self._parts), self._length)
        elif tag in _UNSHOWN:
            self._unshown.append((tag, len(self._parts), self._length, len(self._headings)))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag in _UNSHOWN:  # `<svg/>`; for other tags HTML, unlike XML, takes no notice of the slash
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if self._heading and tag == self._heading[0]:
            _, part, start = self._heading
            self._heading = None
            title = " ".join(storable("".join(self._parts[part:])).split())
            if title:
                self._headings.append(Heading(start, self._length, _HEADINGS[tag], title))
        elif tag == "a":
            self._inner = False
        elif tag == "pre":
            self._pre = max(0, self._pre - 1)
        elif any(tag == name for name, *_ in self._unshown):
            self._drop(tag)
        self._border(tag)

    def handle_data(self, data: str) -> None:
        if self._inner and data.strip() in _PERMALINKS:
            return
        if not self._pre:
            data = _SPACE.sub(" ", data)
            if not self._parts or self._parts[-1][-1] in " \n\t":
                data = data.lstrip(" ")
        self._write(data)

    def content(self) -> Content:
        """What was read."""
        headings = self._headings
        if self._title and all(heading.level > 1 for heading in headings):
            headings = [Heading(0, 0, 0, self._title), *headings]
        return Content(storable("".join(self._parts)), tuple(headings))

    def _drop(self, tag: str) -> None:
        """Forget what stood in an element that is not shown.

        When it closes, not when it opens: an element that is never closed must not swallow the page.
        """
        while True:
            name, parts, length, headings = self._unshown.pop()
            if name == tag:
                break
        if tag == "title":
            self._title = self._title or " ".join(storable("".join(self._parts[parts:])).split())
        del self._parts[parts:], self._headings[headings:]
        self._length = length
        if self._heading and self._heading[1] > parts:
            self._heading = None

    def _write(self, text: str) -> None:
        if text:
            self._parts.append(text)
            self._length += len(text)

    def _border(self, tag: str) -> None:
        border = _BORDERS.get(tag)
        if border is None or not self._parts:
            return
        tail = "".join(self._parts[-2:])
        if not tail.endswith(border):
            self._write("\n" if tail.endswith("\n") else border)
