"""What a search gives back."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from beige.documents.chunk import Locator

Span = tuple[int, int]
"""First character of a stretch of a text, and one past its last."""


@dataclass(frozen=True, slots=True)
class LegScore:
    """What one leg says of a hit.

    Attributes:
        rank: place in the leg's own results, from 1; None where the leg did not find it and was asked for its score.
        score: the leg's own score: the cosine of `dense`, BM25 of `bm25`.
    """

    rank: int | None
    score: float


@dataclass(frozen=True, slots=True)
class Hit:
    """A chunk that answers a query.

    Attributes:
        score: the fused score, higher is better; of a single leg, that leg's own.
        source: the document's name.
        locator: where the passage stands in the document.
        text: the passage.
        media: what kind of document it is.
        legs: rank and score in each leg that was searched.
        highlights: where the query's words stand in `text`, in reading order, not overlapping.
        fields: the document's own fields.
    """

    score: float
    source: str
    locator: Locator
    text: str
    media: str
    legs: Mapping[str, LegScore]
    highlights: tuple[Span, ...] = ()
    fields: Mapping[str, str | int | float | bool] = field(default_factory=dict)
