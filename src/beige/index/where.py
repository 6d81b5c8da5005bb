"""A filter as SQL over an index's tables `document`, `chunk` and `fact`.

Rows can be found in two ways. Where all of an index is asked, each condition is a set of ids that SQLite makes once,
from an index; where few rows are asked, each row looks its facts up. Both give the same.
"""

import json
import re
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from beige.documents.formats import file_of
from beige.index.facts import text_of, title_key
from beige.index.filter import All, Condition, Filter, Not, checked, globs, key_of, number_of, of_chunks, span
from beige.index.schema import blob, text

Parameter = bytes | str | int | float


@dataclass(frozen=True, slots=True)
class Clause:
    """Part of a statement, and what its question marks stand for."""

    sql: str
    parameters: tuple[Parameter, ...] = ()

    def __add__(self, other: "Clause | str") -> "Clause":
        other = Clause(other) if isinstance(other, str) else other
        return Clause(f"{self.sql} {other.sql}", self.parameters + other.parameters)


EVERY = Clause("1")


def of_chunk(where: Filter, *, lookup: bool = False) -> Clause:
    """Holds for the rows of `document JOIN chunk`, or with `document LEFT JOIN chunk`, whose chunks pass.

    Args:
        where: what is to pass.
        lookup: whether few rows will be asked.

    Raises:
        UsageError: the filter is too large.
    """
    return _clause(checked(where), lookup)


def of_document(where: Filter | None, *, lookup: bool = False) -> Clause:
    """Holds for the rows of `document` that have a chunk that passes, or pass themselves where they have no chunks."""
    if where is None:
        return EVERY
    if not of_chunks(where):
        return _clause(where, lookup)
    passing = _clause(where, True)
    return Clause(
        f"EXISTS (SELECT 1 FROM (SELECT 1) LEFT JOIN chunk ON chunk.document = document.id WHERE {passing.sql})",
        passing.parameters,
    )


def _clause(where: Filter, lookup: bool) -> Clause:
    if isinstance(where, Condition):
        make = _OWN.get(where.field, _fact)
        return make(where, lookup)
    if isinstance(where, Not):
        part = _clause(where.part, lookup)
        return Clause(f"NOT {part.sql}", part.parameters)
    parts = [_clause(part, lookup) for part in where.parts]
    both = isinstance(where, All)
    return _joined(parts, "AND" if both else "OR") if parts else Clause("1" if both else "0")


def _joined(parts: Sequence[Clause], word: str) -> Clause:
    """Pairs of pairs: SQLite limits how deep an expression is, not how wide."""
    if len(parts) == 1:
        return parts[0]
    first, second = _joined(parts[: len(parts) // 2], word), _joined(parts[len(parts) // 2 :], word)
    return Clause(f"({first.sql} {word} {second.sql})", first.parameters + second.parameters)


def _fact(condition: Condition, lookup: bool) -> Clause:
    """A condition on a field that `fact` has."""
    found = _stands(condition)
    field = blob(key_of(condition.field))
    if lookup:
        # The plus keeps SQLite from looking up the value, which many documents may have.
        sql = f"EXISTS (SELECT 1 FROM fact WHERE fact.document = document.id AND +field = ? AND {found.sql})"
    else:
        sql = f"document.id IN (SELECT document FROM fact WHERE field = ? AND {found.sql})"
    return Clause(sql, (field, *found.parameters))


def _stands(condition: Condition) -> Clause:
    """How a row of `fact` is to stand to the condition's values."""
    if condition.operator == "any":
        return EVERY
    fold = condition.field in _FOLDED
    values = [value.lower() if fold and isinstance(value, str) else value for value in condition.values]
    numbers = [value for value in values if not isinstance(value, str | bool)]
    exact = [number for number in map(number_of, numbers) if number is not None]
    texts = [blob(text_of(value)) for value in values if isinstance(value, str | bool)]
    if condition.operator == "=":
        columns = (("fact.text", texts), ("fact.number", exact))
        return _joined([_among(column, found) for column, found in columns if found], "OR")
    column, value = ("fact.number", exact[0]) if exact else ("fact.text", texts[0])
    return Clause(f"{column} {condition.operator} ?", (value,))


def _among(column: str, values: Sequence[Parameter]) -> Clause:
    return Clause(f"{column} IN ({','.join('?' * len(values))})", tuple(values))


def _path(condition: Condition, lookup: bool) -> Clause:
    if condition.operator == "any":
        return EVERY
    found = Clause("beige_path(source, media, ?)", (_json(condition.values),))
    begins = [blob(root + prefix(str(value))) for value in condition.values for root in ("", "/")]
    if lookup or not all(map(prefix, map(str, condition.values))) or len(begins) > _RANGES:
        return found
    ranges = _joined([Clause("(source >= ? AND source < ?)", (begin, begin + b"\xff")) for begin in begins], "OR")
    return Clause(f"({ranges.sql} AND {found.sql})", (*ranges.parameters, *found.parameters))


_RANGES = 20
"""Ranges of sources that are looked at one by one rather than all sources."""


def prefix(glob: str) -> str:
    """What the source of every file that a glob means begins with, but for a slash; empty where that is unknown."""
    anchored = "/" in glob.rstrip("/")
    return _PLAIN.match(glob.removeprefix("/")).group() if anchored else ""  # type: ignore[union-attr] # it always does


_PLAIN = re.compile(r"[^*?\[\\ ]*")


def _modified(condition: Condition, lookup: bool) -> Clause:
    if condition.operator == "any":
        return Clause("(modified != 0)")
    spans = [span(value) for value in condition.values]
    parts = []
    for begin, end in spans:
        sql, *parameters = {
            "=": ("modified >= ? AND modified < ?", begin, end),
            "<": ("modified < ?", begin),
            "<=": ("modified < ?", end),
            ">": ("modified >= ?", end),
            ">=": ("modified >= ?", begin),
        }[condition.operator]
        parts.append(Clause(f"(modified != 0 AND {sql})", tuple(parameters)))
    return _joined(parts, "OR")


def _page(condition: Condition, lookup: bool) -> Clause:
    if condition.operator == "any":
        found = Clause("page IS NOT NULL")
    elif condition.operator == "=":
        found = _among("page", condition.values)
    else:
        found = Clause(f"page {condition.operator} ?", condition.values)
    if lookup:
        return Clause(f"ifnull(chunk.{found.sql}, 0)", found.parameters)
    return Clause(f"chunk.id IN (SELECT id FROM chunk WHERE page IS NOT NULL AND {found.sql})", found.parameters)


def _heading(condition: Condition, lookup: bool) -> Clause:
    if condition.operator == "any":
        return Clause("ifnull(chunk.headings != '[]', 0)")
    titles = list(map(text_of, condition.values))
    below = Clause("beige_heading(chunk.headings, ?)", (_json(titles),))
    if lookup:
        return below
    # Few documents have the title: only the headings of their chunks are read.
    having = _among("fact.text", [blob(title_key(title)) for title in titles])
    return Clause(
        "chunk.id IN (SELECT chunk.id FROM fact JOIN chunk ON chunk.document = fact.document "
        f"WHERE field = ? AND {having.sql} AND {below.sql})",
        (b"heading", *having.parameters, *below.parameters),
    )


_FOLDED = frozenset({"type", "language"})
"""The index's own fields whose values are all in lower case."""

_OWN: dict[str, Callable[[Condition, bool], Clause]] = {
    "path": _path,
    "modified": _modified,
    "page": _page,
    "heading": _heading,
}


def _json(values: Sequence[object]) -> str:
    return json.dumps(list(values), ensure_ascii=True)


def add_functions(connection: sqlite3.Connection) -> None:
    """Give a connection the functions that the clauses call."""
    connection.create_function("beige_path", 3, _is_path, deterministic=True)
    connection.create_function("beige_heading", 2, _is_below, deterministic=True)


def _is_path(source: bytes, media: str, patterns: str) -> bool:
    name = text(source).removeprefix("/")
    paths, matches = _globs(patterns)
    file = file_of(name, media)
    return name in paths or any(match(file) for match in matches)


def _is_below(headings: str | None, titles: str) -> bool:
    return headings is not None and not _titles(titles).isdisjoint(_titles(headings))


@lru_cache(maxsize=64)
def _globs(patterns: str) -> tuple[frozenset[str], Sequence[Callable[[str], object]]]:
    """Some globs as they are, and what matches each: a tenth of the time that their `match_file` takes."""
    read = tuple(json.loads(patterns))
    return frozenset(path.removeprefix("/") for path in read), [
        pattern.regex.match for pattern in globs(read).patterns if pattern.regex
    ]


@lru_cache(maxsize=4096)
def _titles(titles: str) -> frozenset[str]:
    return frozenset(map(title_key, json.loads(titles)))
