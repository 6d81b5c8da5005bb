"""Texts from a file or from stdin: one a line, or a field of JSON lines."""

import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import BinaryIO

from beige.errors import InputError

_UTF8_MARK = b"\xef\xbb\xbf"
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
JSON_SUFFIXES = (".jsonl", ".ndjson")


def open_input(name: str) -> AbstractContextManager[BinaryIO]:
    """A file, or stdin where the name is "-".

    Raises:
        InputError: there is no such file, or it cannot be read.
    """
    if name == "-":
        return nullcontext(sys.stdin.buffer)
    try:
        return Path(name).open("rb")
    except OSError as error:
        raise InputError(f"{name} cannot be read: {error.strerror}") from error


def read_texts(lines: Iterable[bytes], name: str, field: str | None) -> Iterator[str]:
    """Texts from lines.

    Args:
        lines: UTF-8; a byte order mark before the first is dropped.
        name: how errors call the source.
        field: the field of JSON objects that holds the text; None takes each line as it is. Lines of JSON that are
            empty are passed over; plain ones are empty texts.

    Raises:
        InputError: a line cannot be read; the error names it by its number, from 1.
    """
    for number, line in enumerate(lines, 1):
        place = f"{name} line {number}"
        if number == 1 and line.startswith(_UTF16_MARKS):
            raise InputError(f"{name} is UTF-16: convert it with iconv -f utf-16 -t utf-8")
        data = line.removeprefix(_UTF8_MARK) if number == 1 else line
        try:
            text = data.rstrip(b"\r\n").decode("utf-8")
        except UnicodeDecodeError as error:
            raise InputError(f"{place} is not UTF-8 (byte {error.start + 1}){_guess(data)}") from error
        if field is None:
            yield text
        elif text.strip():
            yield _field(text, field, place)


def _field(text: str, field: str, place: str) -> str:
    try:
        record = json.loads(text)
    except ValueError as error:
        raise InputError(f"{place} is not JSON: {error}") from error
    if isinstance(record, str):
        return record
    if not isinstance(record, dict) or field not in record:
        raise InputError(f"{place} has no field {field!r}: name the one that holds the text with --field")
    if not isinstance(value := record[field], str):
        raise InputError(f"{place}: field {field!r} holds {type(value).__name__}, not a string")
    return value


def _guess(data: bytes) -> str:
    import chardet

    encoding = chardet.detect(data)["encoding"]
    return f": it looks like {encoding}; convert it with iconv -f {encoding} -t utf-8" if encoding else ""
