"""Bytes to text: the byte order mark, strict UTF-8, a declared encoding, then a detector.

The text is kept as it is: locators are characters and lines of it.
"""

import codecs
import re

from beige.documents.content import storable
from beige.errors import InputError

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # begins with UTF-16's mark, so it is looked for first
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_SAMPLE = 1 << 16
"""How many bytes the detector sees: more changes no answer and costs time."""

_CONTROLS = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
"""Bytes that no text has, in UTF-8 or in any older encoding of one byte; ESC is left out for ISO-2022."""


def decode(data: bytes, declared: str | None = None) -> str:
    """The text of a file.

    Args:
        data: the whole file.
        declared: what the file says of itself (HTML's `<meta charset>`), believed only if it can be.

    Raises:
        InputError: the bytes are no text in any encoding.
    """
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return storable(data[len(mark) :].decode(encoding, "replace"))
    if not _CONTROLS.search(data):
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError:
            pass
        if _mostly_utf8(data):
            return data.decode("utf-8", "replace")
    for guess in (declared, _detect(data)):
        try:
            if guess:
                return storable(data.decode(guess))
        except (LookupError, ValueError):  # an encoding that does not exist, or is another
            continue
    raise InputError("it is binary, not text in any encoding")


def is_text(head: bytes) -> bool:
    """Whether a file that begins like this can be decoded; cheap, for files whose suffix says nothing."""
    if not head or head.startswith(tuple(mark for mark, _ in _MARKS)):
        return True
    return not _CONTROLS.search(head)


def _mostly_utf8(data: bytes) -> bool:
    """Whether this is UTF-8 with a few broken places (a log, a cut file) rather than an older encoding."""
    text = data.decode("utf-8", "replace")
    broken = text.count("\ufffd")
    return sum(1 for c in text if c > "\x7f") > 10 * broken


def _detect(data: bytes) -> str | None:
    """The detector's guess; None where it sees something that is no text."""
    import chardet

    sample = data[:_SAMPLE]
    guess = chardet.detect(sample, prefer_superset=True)["encoding"]
    if _CONTROLS.search(sample) and (guess is None or not guess.lower().startswith(("utf-16", "utf-32"))):
        return None
    return guess
