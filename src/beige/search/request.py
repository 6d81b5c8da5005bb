"""What a search asks for, checked in one place: the same for Python, the command line and HTTP."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Self, TypedDict

from beige.errors import UsageError

LEGS = ("dense", "bm25")

DEPTH = 100
"""Candidates of each leg; more where more hits are asked for."""

MOST = 1000
"""Hits that can be asked for: a search is no export."""


class Options(TypedDict, total=False):
    """What a search can be told besides the query and the limit; `Request` says what each means."""

    legs: Sequence[str]
    fusion: str
    weights: Mapping[str, float] | None


@dataclass(frozen=True, slots=True)
class Request:
    """A search.

    Attributes:
        query: a question or some words.
        limit: the most hits, from 1 to 1000.
        legs: what to search, "dense" or "bm25" or both; only "dense" needs the model.
        fusion: how several legs become one score, one of `fusion.FUSIONS`, which checks it and the weights.
        weights: of the legs in the fusion, in place of its own.

    Raises:
        UsageError: an empty query, a limit out of bounds, or an unknown leg.
    """

    query: str
    limit: int = 10
    legs: Sequence[str] = LEGS
    fusion: str = "convex"
    weights: Mapping[str, float] | None = None

    def __post_init__(self) -> None:
        if not self.query.strip():
            raise UsageError("the query is empty: say what to look for")
        if not 1 <= self.limit <= MOST:
            raise UsageError(f"the limit must be from 1 to {MOST}, not {self.limit}")
        if unknown := [leg for leg in self.legs if leg not in LEGS]:
            raise UsageError(f"no leg {unknown[0]!r}; there are: {', '.join(LEGS)}")
        if not self.legs:
            raise UsageError(f"no leg to search; there are: {', '.join(LEGS)}")

    @classmethod
    def of(cls, query: str, limit: int, options: Mapping[str, Any]) -> Self:
        """A request with options by name.

        Raises:
            UsageError: there is no such option, or what `Request` raises.
        """
        known = {attribute.name for attribute in fields(cls)} - {"query", "limit"}
        if unknown := sorted(set(options) - known):
            raise UsageError(f"a search has no option {unknown[0]!r}; it has {', '.join(sorted(known))}")
        return cls(query, limit, **options)
