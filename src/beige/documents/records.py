"""Files of records: JSON lines, CSV and TSV, and JSON files that hold a list of objects.

Each record is a document of its own. One of its fields is its text, one its title, one its name; what else is a plain
value, or a list of such, can be filtered by. A record without a text field is searched by all of its fields, one a
line.
"""

import csv
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

from beige.documents.chunk import Plain
from beige.documents.content import Content, Heading, Record, storable
from beige.documents.decoding import decode
from beige.errors import InputError


@dataclass(frozen=True, slots=True)
class Names:
    """The fields of a record that mean something; the first that a record has is taken.

    Attributes:
        text: what is searched.
        title: stands above the text as its heading.
        id: the record's name within its file; its line or row number where it has none.
    """

    text: tuple[str, ...] = ("text", "content", "body", "contents", "passage")
    title: tuple[str, ...] = ("title", "headline", "heading", "subject")
    id: tuple[str, ...] = ("_id", "id", "doc_id", "docid", "uuid")


@dataclass(frozen=True, slots=True)
class Broken:
    """A record that cannot be read: its line or row, and why."""

    number: int
    reason: str


class NoRecordsError(Exception):
    """A JSON file that is no list of objects: a document like any other."""


_TITLE = 300
"""Characters of a title that is one; a longer one is text, since a heading path has no room for it."""

Read = Callable[[BinaryIO, Names], Iterator[Record | Broken]]


def json_lines(file: Iterable[bytes], names: Names, *, numbered: bool = True) -> Iterator[Record | Broken]:
    """One JSON object a line, read as a stream; a line that is none is named by its number and the rest goes on.

    Args:
        file: the lines.
        names: which fields are text, title and id.
        numbered: whether a record without an id is named by its line; else it is broken.
    """
    for number, line in enumerate(file, 1):
        data = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
        if not data.strip():
            continue
        try:
            record = _record(_parse(data.decode("utf-8")), str(number) if numbered else "", names)
            if not numbered and not record.name.strip():
                raise InputError(f"the record has no name: it needs one of the fields {', '.join(names.id)}")
            yield record
        except UnicodeDecodeError:
            yield Broken(number, "the line is not UTF-8")
        except InputError as error:
            yield Broken(number, str(error))


def json_list(file: BinaryIO, names: Names) -> Iterator[Record | Broken]:
    """A list of objects, numbered from 1.

    Raises:
        NoRecordsError: it is something else.
    """
    try:
        values = _parse(decode(file.read()))
    except InputError:
        raise NoRecordsError from None
    if not isinstance(values, list) or not values or not all(isinstance(value, dict) for value in values):
        raise NoRecordsError
    for number, value in enumerate(values, 1):
        try:
            yield _record(value, str(number), names)
        except InputError as error:
            yield Broken(number, str(error))


def comma_separated(file: BinaryIO, names: Names) -> Iterator[Record | Broken]:
    """Rows below a line of column names; between commas, semicolons, bars or tabs, what the first line has most of."""
    text = decode(file.read())
    first = text.partition("\n")[0]
    return _rows(text, max(",;|\t", key=first.count), names)


def tab_separated(file: BinaryIO, names: Names) -> Iterator[Record | Broken]:
    """Rows below a line of column names, between tabs."""
    return _rows(decode(file.read()), "\t", names)


def _rows(text: str, delimiter: str, names: Names) -> Iterator[Record | Broken]:
    csv.field_size_limit(sys.maxsize)
    rows = csv.reader(_lines(text), delimiter=delimiter)
    header: list[str] | None = None
    number = 0
    while True:
        try:
            row = next(rows, None)
        except csv.Error as error:
            yield Broken(number + 1, f"the row cannot be read: {error}")
            return
        if row is None:
            return
        if not any(cell.strip() for cell in row):
            continue
        if header is None:
            header = _named(row)
            continue
        number += 1
        columns = (*header, *map(_column, range(len(header), len(row))))
        try:
            yield _record(dict(zip(columns, row, strict=False)), str(number), names)
        except InputError as error:
            yield Broken(number, str(error))


def _named(row: Iterable[str]) -> list[str]:
    """The names of columns; one that has none, or that of an earlier one, is called by its number: none is lost."""
    names: list[str] = []
    for place, cell in enumerate(row):
        name = cell.strip()
        names.append(name if name and name not in names else _column(place))
    return names


def _column(place: int) -> str:
    return f"column {place + 1}"


def _lines(text: str) -> Iterator[str]:
    """The lines with their ends; `str.splitlines` would also cut at characters that belong to a field."""
    start = 0
    while start < len(text):
        end = text.find("\n", start) + 1 or len(text)
        yield text[start:end]
        start = end


def _parse(text: str) -> Any:
    def refuse(constant: str) -> Any:
        raise ValueError(f"{constant} is not JSON")

    try:
        return json.loads(text, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise InputError(f"it is not JSON: {error}") from None


def _record(value: Any, number: str, names: Names) -> Record:
    """Make a record of an object.

    Raises:
        InputError: it is no object, or its text is not text.
    """
    if not isinstance(value, Mapping):
        raise InputError(f"the record is a {type(value).__name__}, not an object with named fields")
    text_name, title_name, id_name = (_first(value, wanted) for wanted in (names.text, names.title, names.id))
    name = number if id_name is None else storable(str(value[id_name]))
    fields = {
        storable(key): held
        for key, item in value.items()
        if key not in (text_name, title_name, id_name) and (held := plain(item)) is not None
    }
    title = _text(value, title_name).strip()
    text = _text(value, text_name)
    if text_name is None:
        lines = {key: ", ".join(map(str, item)) if isinstance(item, list) else item for key, item in fields.items()}
        text = "\n".join(f"{key}: {item}" for key, item in lines.items() if str(item).strip())
    if not text.strip() or len(title) > _TITLE:
        return Record(name, Content(f"{title}\n\n{text}".strip()), fields)
    return Record(name, Content(text, (Heading(0, 0, 1, " ".join(title.split())),) if title else ()), fields)


def plain(item: Any) -> Plain | list[Plain] | None:
    """A value that filters can compare; of a list those of its values. None where there is none."""
    if isinstance(item, list):
        return [storable(each) if isinstance(each, str) else each for each in item if isinstance(each, Plain)] or None
    if isinstance(item, str):
        return storable(item)
    return item if isinstance(item, Plain) else None


def _first(value: Mapping[str, Any], wanted: Iterable[str]) -> str | None:
    return next((name for name in wanted if value.get(name) is not None), None)


def _text(value: Mapping[str, Any], name: str | None) -> str:
    if name is None:
        return ""
    if not isinstance(value[name], str | int | float):
        raise InputError(f"the field {name!r} is not text")
    return storable(str(value[name]))
