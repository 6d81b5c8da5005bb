"""Hits and vectors as other frameworks take them: values by name, and lists of numbers."""

from typing import Any

from beige.search import Hit
from beige.values import Floats


def rows(vectors: Floats | None) -> list[list[float]]:
    """Dense vectors, (n, d), as lists."""
    assert vectors is not None  # dense is what was asked for
    return [[float(number) for number in row] for row in vectors]


def described(hit: Hit) -> dict[str, Any]:
    """The fields of a hit's document, and where the hit stands; the latter's names go before.

    `page` is there only where there are pages, `relevance` only where it can be told.
    """
    place = hit.locator
    told: dict[str, Any] = {
        "source": hit.source,
        "media": hit.media,
        "score": hit.score,
        "relevance": hit.relevance,
        "start": place.start,
        "end": place.end,
        "line_start": place.line_start,
        "line_end": place.line_end,
        "page": place.page,
        "headings": list(place.headings),
    }
    return {**hit.fields, **{name: value for name, value in told.items() if value is not None}}
