"""Which documents and chunks a search may find: conditions on their fields, as a tree that every store understands.

A filter is a value, checked when it is made; `expression` reads one from text. Each store turns one into its own
terms, so that it is applied in every leg inside the store and never after it. What a field of a document holds is
said by `facts`.
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, get_args

from beige.documents.chunk import Plain
from beige.errors import UsageError

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

Operator = Literal["=", "<", "<=", ">", ">=", "any"]

Own = Literal["path", "type", "language", "modified", "heading", "page"]

OWN: tuple[Own, ...] = get_args(Own)
"""The fields that every index has; any other name is a field of records."""

OF_CHUNKS = frozenset({"heading", "page"})
"""The fields that two chunks of a document can differ in."""

RECORD = "record."
"""Before the name of a record's field that is called as one of the index's own: `record.type`."""

ORDERED = frozenset({"modified", "page"})
"""The index's own fields that are compared; a field of records is compared as numbers or as texts."""

MOST_CONDITIONS, MOST_VALUES, DEEPEST = 1000, 10_000, 20
"""What a filter may have: conditions, values in all of them together, and parts within parts."""


@dataclass(frozen=True, slots=True)
class Condition:
    """A field holds one of some values; on an ordered field it may also be compared.

    A field that holds several values (a list, a heading path) needs one of them to agree; a field that is not there
    agrees with nothing.

    Attributes:
        field: one of `OWN`, or a field of records, which may begin with `RECORD`.
        operator: how the field stands to the values; "any" says that it holds something at all.
        values: alternatives of "="; one value of a comparison, none of "any".
            A number agrees with numbers and with texts that are numerals, and is compared with these; a text agrees
            with, and is compared to, what the field's value reads as (true is "true"), of which the first
            `facts.KEPT` characters count.
            Of `path` they are globs as `.gitignore` has them, of the file that a record is in, or whole sources; of
            `type` a kind of file ("markdown") or the ending of its name ("md"), of `heading` whole titles in any letter
            case, of `modified` a year, month, day or time in ISO 8601, which stands for all of it, in the machine's
            time zone unless it names one.

    Raises:
        UsageError: the field cannot stand to such values so.
    """

    field: str
    operator: Operator
    values: tuple[Plain, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", tuple(self.values))
        if not self.field:
            raise UsageError("a condition needs the name of a field")
        if self.operator not in get_args(Operator):
            raise UsageError(f"no operator {self.operator!r}; there are: {', '.join(get_args(Operator))}")
        self._check_count()
        if self.operator not in {"=", "any"} and self.field in OWN and self.field not in ORDERED:
            raise UsageError(f"{self.field} is not ordered: it takes values, not {self.operator}")
        for value in self.values:
            if not _is_plain(value):
                raise UsageError(f"{self.field} cannot be {value!r}: a value is a text, true, false or a finite number")
            if self.field in _CHECKS:
                _CHECKS[self.field](value)

    def _check_count(self) -> None:
        count = len(self.values)
        if self.operator == "any":
            if count:
                raise UsageError(f'the operator "any" of {self.field} takes no values')
        elif not count:
            raise UsageError(f"{self.field} needs a value")
        elif count > 1 and self.operator != "=":
            raise UsageError(f"{self.field} can be {self.operator} one value only, not {count}")


@dataclass(frozen=True, slots=True)
class Not:
    """What this does not hold for."""

    part: "Filter"


@dataclass(frozen=True, slots=True)
class All:
    """Every part holds; of no parts, everything."""

    parts: tuple["Filter", ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "parts", tuple(self.parts))


@dataclass(frozen=True, slots=True)
class Any:
    """At least one part holds; of no parts, nothing."""

    parts: tuple["Filter", ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "parts", tuple(self.parts))


Filter = Condition | Not | All | Any


def conditions(where: Filter) -> Iterator[Condition]:
    """Every condition of a filter, in its order.

    Raises:
        UsageError: it is too large, or holds what is no filter.
    """
    pending: list[tuple[object, int]] = [(where, 1)]
    count = values = 0
    while pending:
        part, depth = pending.pop()
        if depth > DEEPEST:
            raise UsageError(f"the filter has more than {DEEPEST} parts within each other: make it simpler")
        if isinstance(part, Condition):
            count, values = count + 1, values + len(part.values)
            if count > MOST_CONDITIONS:
                raise UsageError(f"the filter has more than {MOST_CONDITIONS:,} conditions: make it simpler")
            if values > MOST_VALUES:
                raise UsageError(f"the filter has more than {MOST_VALUES:,} values: make it simpler")
            yield part
        elif isinstance(part, Not):
            pending.append((part.part, depth + 1))
        elif isinstance(part, All | Any):
            pending += ((inner, depth + 1) for inner in reversed(part.parts))
        else:
            raise UsageError(f"a filter is made of Condition, Not, All and Any, not of {type(part).__name__}")


def checked(where: Filter) -> Filter:
    """The same filter, if it is small enough for what calls itself for each of its parts, as hashing does.

    Raises:
        UsageError: it is, or holds what is no filter.
    """
    for _ in conditions(where):
        pass
    return where


def with_paths(where: Filter, change: Callable[[str], str]) -> Filter:
    """The filter with every glob of `path` changed."""
    if isinstance(where, Condition):
        values = tuple(change(str(value)) for value in where.values)
        return Condition("path", where.operator, values) if where.field == "path" else where
    if isinstance(where, Not):
        return Not(with_paths(where.part, change))
    return type(where)(tuple(with_paths(part, change) for part in where.parts))


def of_chunks(where: Filter) -> bool:
    """Whether a filter can tell two chunks of a document apart."""
    return any(condition.field in OF_CHUNKS for condition in conditions(where))


def check_facet(field: str) -> None:
    """Refuse a field whose values are almost as many as the documents.

    Raises:
        UsageError: it has no facets.
    """
    if field in ("path", "modified"):
        raise UsageError(f"{field} has no facets: its values are almost as many as the documents")


def key_of(field: str) -> str:
    """A field's name in which records' fields cannot be taken for the index's own: "type", ".year", ".type"."""
    return field if field in OWN else "." + field.removeprefix(RECORD)


_NUMERAL = re.compile(r"-?(0|[1-9][0-9]{0,18})(\.[0-9]{1,100})?([eE][+-]?[0-9]{1,3})?", re.ASCII)

_LARGEST = 2**63 - 1


def number_of(value: Plain) -> int | float | None:
    """A value as the number that it is, or that it reads as; None where it is none, or not finite.

    Whole numbers of more than 64 bits become floating.
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        if not _NUMERAL.fullmatch(value):
            return None
        value = float(value) if set(value) & set(".eE") else int(value)
    try:
        return value if isinstance(value, int) and abs(value) <= _LARGEST else _finite(float(value))
    except OverflowError:
        return None


def _is_plain(value: object) -> bool:
    return isinstance(value, str | bool) or (isinstance(value, int | float) and number_of(value) is not None)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


_TIME = re.compile(
    r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(\.\d{1,6})?)?(Z|[+-]\d\d:?\d\d)?)?)?)?", re.ASCII
)


def span(value: Plain) -> tuple[float, float]:
    """The time that a year, month, day, minute, second or fraction of one lasts.

    Args:
        value: ISO 8601; in the machine's time zone unless it names one.

    Returns:
        Its first moment, and the first after it: seconds since the epoch.

    Raises:
        UsageError: it is no such text, or no date.
    """
    match = _TIME.fullmatch(str(value))
    if match is None:
        raise UsageError(f"{value!r} is no date: write it as 2026-01-31 or 2026-01-31T12:00, or 2026 or 2026-01")
    year, month, day, hour, _, second, fraction, _ = match.groups()
    rest = "" if hour else f"-{month or '01'}-{day or '01'}"
    try:
        begin = datetime.fromisoformat(str(value) if hour else year + rest)
        if month is None:
            end = begin.replace(year=begin.year + 1)
        elif day is None:
            end = (begin + timedelta(days=31)).replace(day=1)
        elif hour is None:
            end = begin + timedelta(days=1)
        elif second is None:
            end = begin + timedelta(minutes=1)
        else:
            end = begin + timedelta(microseconds=1 if fraction else 1_000_000)
        return begin.timestamp(), end.timestamp()
    except (ValueError, OverflowError, OSError) as error:
        raise UsageError(f"{value!r} is no date: {error}") from error


_FOLDERS = frozenset({".", ".."})
"""What a shell means folders by, and no file is called."""


@lru_cache(maxsize=256)
def globs(patterns: tuple[str, ...]) -> "GitIgnoreSpec":
    """What finds the files that one of these globs means, as `.gitignore` has them.

    Raises:
        UsageError: one is no glob.
    """
    from pathspec import GitIgnoreSpec
    from pathspec.patterns.gitignore import GitIgnorePatternError

    # In a .gitignore these begin a comment and an exception.
    lines = [f"\\{pattern}" if pattern.startswith(("#", "!")) else pattern for pattern in patterns]
    for line in lines:
        try:
            spec = GitIgnoreSpec.from_lines([line])
        except GitIgnorePatternError as error:
            raise UsageError(f"{line!r} is no glob: write a path as docs/** or *.md") from error
        if line.rstrip("/") in _FOLDERS or not any(pattern.include for pattern in spec.patterns):
            raise UsageError(f"{line!r} is no glob: write a path as docs/** or *.md")
    return GitIgnoreSpec.from_lines(lines)


def _check_text(value: Plain) -> None:
    if not isinstance(value, str):
        raise UsageError(f"{value!r} is no text, and nothing else can stand there")


def _check_path(value: Plain) -> None:
    _check_text(value)
    globs((str(value),))


def _check_page(value: Plain) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise UsageError(f"{value!r} is no page: pages are whole numbers")


_CHECKS: Mapping[str, Callable[[Plain], object]] = {
    "path": _check_path,
    "type": _check_text,
    "language": _check_text,
    "heading": _check_text,
    "modified": span,
    "page": _check_page,
}
