"""A filter as a server's conditions, over the payloads of `points`.

What a server has no condition for, globs and comparisons of texts, is found out here: the documents that it holds for
are looked for in their payloads, and named to the server by their versions.
"""

import operator
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from beige.documents.chunk import Plain
from beige.documents.formats import file_of
from beige.errors import StoreError
from beige.index.facts import text_of, title_key
from beige.index.filter import All, Condition, Filter, Not, globs, key_of, number_of, span
from beige.index.qdrant.conditions import among, every
from beige.index.qdrant.points import hidden, packed, unpacked

if TYPE_CHECKING:
    from qdrant_client import models

Documents = Callable[[], Iterable[Mapping[str, Any]]]
"""Gives the payloads of all documents' points: source, media, version, texts."""

MOST_VERSIONS = 20_000
"""Documents that may be named to a server in place of a condition."""

EXACT = 2**53
"""From here on, neighbouring whole numbers are one floating number."""

_BOUNDS: Mapping[str, str] = {"<": "lt", "<=": "lte", ">": "gt", ">=": "gte"}
_COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_FOLDED = frozenset({"type", "language"})
"""The index's own fields whose values are all in lower case."""


def conditions_of(where: Filter, documents: Documents) -> "models.Filter":
    """The filter for the points of chunks, and of documents where it says nothing of chunks.

    Args:
        where: a checked filter.
        documents: asked where a condition must be found out here.

    Raises:
        StoreError: it would have to name too many documents.
    """
    from qdrant_client import models

    if isinstance(where, Condition):
        return models.Filter(must=[_OWN.get(where.field, _fact)(where, documents)])
    if isinstance(where, Not):
        return models.Filter(must_not=[conditions_of(where.part, documents)])
    parts: list[Any] = [conditions_of(part, documents) for part in where.parts]
    if isinstance(where, All):
        return models.Filter(must=parts)
    return models.Filter(should=parts) if parts else _nothing()


def _nothing() -> "models.Filter":
    from qdrant_client import models

    return models.Filter(must=[models.HasIdCondition(has_id=[])])


def _named(condition: Condition) -> Any:
    """Points that have a value of the field at all."""
    return among("names", [packed(key_of(condition.field))])


def _fact(condition: Condition, documents: Documents) -> Any:
    from qdrant_client import models

    if condition.operator == "any":
        return _named(condition)
    key = hidden(key_of(condition.field))
    values = [
        value.lower() if condition.field in _FOLDED and isinstance(value, str) else value for value in condition.values
    ]
    numbers = [number_of(value) for value in values if _is_number(value, condition)]
    texts = [text_of(value) for value in values if not _is_number(value, condition)]
    if condition.operator == "=":
        found = [among(f"texts.{key}", list(map(packed, texts)))] if texts else []
        return models.Filter(should=[*found, *(_range(f"numbers.{key}", gte=one, lte=one) for one in numbers)])
    if numbers:
        return _range(f"numbers.{key}", **{_BOUNDS[condition.operator]: numbers[0]})
    holds = _COMPARE[condition.operator]
    return _looked_up(
        condition,
        documents,
        lambda document: any(holds(unpacked(text), texts[0]) for text in document["texts"].get(key, ())),
    )


def _is_number(value: Plain, condition: Condition) -> bool:
    """Whether a value is compared as a number; a server's are floating, so that long ones agree as they are written."""
    long = isinstance(value, int) and abs(value) >= EXACT and condition.operator == "="
    return not isinstance(value, str | bool) and not long


def _path(condition: Condition, documents: Documents) -> Any:
    if condition.operator == "any":
        return every()
    paths = tuple(map(str, condition.values))
    spec = globs(paths)

    def holds(document: Mapping[str, Any]) -> bool:
        source = unpacked(document["source"])
        return source in paths or spec.match_file(file_of(source, document["media"]))

    return _looked_up(condition, documents, holds)


def _looked_up(condition: Condition, documents: Documents, holds: Callable[[Mapping[str, Any]], bool]) -> Any:
    versions = [document["version"] for document in documents() if holds(document)]
    if len(versions) > MOST_VERSIONS:
        raise StoreError(
            f"the condition on {condition.field} holds for {len(versions):,} documents, and a cluster can be told "
            f"{MOST_VERSIONS:,}: narrow it, or filter by another field"
        )
    return among("version", versions) if versions else _nothing()


def _modified(condition: Condition, documents: Documents) -> Any:
    from qdrant_client import models

    if condition.operator == "any":
        return _named(condition)
    spans = [span(value) for value in condition.values]
    sides: Mapping[str, Callable[[float, float], dict[str, float]]] = {
        "=": lambda begin, end: {"gte": begin, "lt": end},
        "<": lambda begin, _: {"lt": begin},
        "<=": lambda _, end: {"lt": end},
        ">": lambda _, end: {"gte": end},
        ">=": lambda begin, _: {"gte": begin},
    }
    ranges: list[Any] = [_range("modified", **sides[condition.operator](*both)) for both in spans]
    return models.Filter(must=[among("names", ["modified"]), models.Filter(should=ranges)])


def _page(condition: Condition, documents: Documents) -> Any:
    if condition.operator == "any":
        return _named(condition)
    if condition.operator == "=":
        return among("page", condition.values)
    return _range("page", **{_BOUNDS[condition.operator]: condition.values[0]})


def _heading(condition: Condition, documents: Documents) -> Any:
    if condition.operator == "any":
        return _named(condition)
    return among("titles", [packed(title_key(text_of(value))) for value in condition.values])


def _range(field: str, **bounds: Any) -> "models.FieldCondition":
    from qdrant_client import models

    return models.FieldCondition(key=field, range=models.Range(**bounds))


_OWN: Mapping[str, Callable[[Condition, Documents], Any]] = {
    "path": _path,
    "modified": _modified,
    "page": _page,
    "heading": _heading,
}
