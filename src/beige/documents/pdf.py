"""PDF to text with exact pages, its outline as headings.

pypdfium2 is not safe in threads: this runs in worker processes, one document at a time.
"""

import re
from typing import Any

from beige.documents.content import Content, Heading, storable
from beige.errors import InputError

_HYPHEN = re.compile("[\x02\ufffe][ \t]*\n?")
"""pdfium's marks for a word that was hyphenated at the end of a line."""

_SPACE = re.compile(r"\s+")


def pdf(data: bytes) -> Content:
    """The text of each page, and the outline's titles where they stand on their pages.

    Raises:
        InputError: the file is encrypted or broken.
    """
    import pypdfium2

    try:
        document = pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as error:
        if "password" in str(error).lower():
            raise InputError("the PDF is encrypted; save a copy without a password") from None
        raise InputError(f"the PDF is broken: {error}") from None
    try:
        texts = [_page(document, number) for number in range(len(document))]
        marks = list(_outline(document))
    except pypdfium2.PdfiumError as error:
        raise InputError(f"the PDF is broken: {error}") from None
    finally:
        document.close()
    pages, length = [], 0
    for text in texts:
        pages.append(length)
        length += len(text) + 2
    text = "\n\n".join(texts)
    return Content(text, tuple(_headings(text, pages, marks)), tuple(pages))


def _page(document: Any, number: int) -> str:
    page = document[number]
    try:
        text: str = page.get_textpage().get_text_bounded(errors="ignore")
    finally:
        page.close()
    return storable(_HYPHEN.sub("", text.replace("\r\n", "\n").replace("\r", "\n")))


def _outline(document: Any) -> Any:
    """Level from 1, title, page index of each entry of the outline that leads to a page."""
    for mark in document.get_toc():
        place = mark.get_dest()
        page = None if place is None else place.get_index()
        title = _SPACE.sub(" ", storable(mark.get_title())).strip()
        if page is not None and 0 <= page < len(document) and title:
            yield mark.level + 1, title, page


def _headings(text: str, pages: list[int], marks: list[tuple[int, str, int]]) -> list[Heading]:
    """The outline in the order of the text: each title where the page has it as a line, else at the page's top."""
    headings: list[Heading] = []
    for level, title, page in sorted(marks, key=lambda mark: mark[2]):
        end = pages[page + 1] if page + 1 < len(pages) else len(text)
        words = r"\s+".join(map(re.escape, title.split()))
        least = max(pages[page], headings[-1].end if headings else 0)
        found = re.compile(
            rf"^[ \t]*(?:[\dIVXA-Z]+(?:\.\d+)*\.?\s+)?{words}[ \t]*$", re.MULTILINE | re.IGNORECASE
        ).search(text, least, end)
        start, stop = found.span() if found else (least, least)
        headings.append(Heading(start, stop, level, title))
    return headings
