"""Which documents and chunks a search may find: conditions on their fields, as a tree that every store understands.

A filter is a value; each store turns one into
its own terms, so that it is applied in every leg inside the store and never after it.
"""

from dataclasses import dataclass
from typing import Literal

Value = str | int | float | bool

Operator = Literal["=", "<", "<=", ">", ">="]


@dataclass(frozen=True, slots=True)
class Condition:
    """A field holds one of some values; on an ordered field it may also be compared.

    Attributes:
        field: one of the index's own (path, type, language, modified, heading, page), or a field of records.
        operator: how the field stands to the values; other operators than "=" have one value.
        values: alternatives. Of `path` they are globs, of `heading` whole titles in any letter case, of `modified`
            dates or times in ISO 8601; a date stands for its whole day.
    """

    field: str
    operator: Operator
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """What this does not hold for."""

    part: "Filter"


@dataclass(frozen=True, slots=True)
class All:
    """Every part holds; of no parts, everything."""

    parts: tuple["Filter", ...]


@dataclass(frozen=True, slots=True)
class Any:
    """At least one part holds; of no parts, nothing."""

    parts: tuple["Filter", ...]


Filter = Condition | Not | All | Any
