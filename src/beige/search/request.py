"""What a search asks for, checked in one place: the same for Python, the command line and HTTP."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from numbers import Integral, Real
from typing import Any, Self, TypedDict

from beige.errors import UsageError
from beige.index.expression import parse
from beige.index.filter import Filter, checked
from beige.index.manifest import Choice

DEPTH = 100
"""Candidates of each leg unless told otherwise; more where more hits are asked for."""

FUSION = "convex"
"""How legs are fused unless told otherwise."""

MOST = 1000
"""Hits that can be asked for: a search is no export."""

LONGEST = 100_000
"""Characters of a query."""

READ = 50
"""Candidates that a reranker reads unless told otherwise."""

_KINDS: Mapping[str, tuple[Sequence[str], Callable[[object], bool]]] = {
    "a text": (("query",), lambda value: isinstance(value, str)),
    "a whole number": (
        ("limit", "depth", "rescore", "rerank"),
        lambda value: isinstance(value, Integral) and not isinstance(value, bool),
    ),
    "a number": (
        ("feedback", "multi_within", "rerank_within", "diversity", "min_relevance"),
        lambda value: isinstance(value, Real) and not isinstance(value, bool),
    ),
    "a list of names": (("legs", "facets"), lambda value: isinstance(value, Iterable) and not isinstance(value, str)),
    "a mapping": (("weights",), lambda value: isinstance(value, Mapping)),
}
"""What each part of a request is, in words, and whether something is that."""

_NEEDED = frozenset({"query", "limit", "rescore"})
"""Those that cannot be left open."""


class Options(TypedDict, total=False):
    """What a search can be told besides the query and the limit; `Request` says what each means."""

    legs: Sequence[str] | None
    fusion: str | None
    weights: Mapping[str, float] | None
    depth: int | None
    feedback: float | None
    rescore: int
    multi_within: float | None
    rerank: int | None
    rerank_within: float | None
    diversity: float
    join: bool
    group: bool
    min_relevance: float
    explain: bool
    filter: Filter | str | None


@dataclass(frozen=True, slots=True)
class Request:
    """A search.

    Attributes:
        query: a question or some words.
        limit: the most hits, from 1 to 1000.
        legs: what to search, of the index's legs; None for those that it was tuned to, else all. Only their models are
            loaded.
        fusion: how several legs become one score, one of `fusion.FUSIONS`, which checks it and the weights; None for
            what the index was tuned to, else "convex".
        weights: of the legs in the fusion, in place of its own; None for what the index was tuned to.
        depth: candidates of each leg, up to 1000, and at least the limit; None for what the index was tuned to, else
            100.
        feedback: from 0 to 1, what likeness to the two best candidates weighs, as a part of what the legs weigh
            together; None for what the index was tuned to, else 0.
        rescore: how many of the best fused candidates a leg of token vectors ("multi") scores, from 1 to 1000.
        multi_within: seconds that may be spent on computing the candidates' token vectors where the index has no such
            leg; those that the time does not suffice for count as the last. None for never.
        rerank: how many of the best candidates the searcher's reranker reads, up to 1000; 0 for none, None for 50 where
            it has one. Hits that were read come first, by its scores.
        rerank_within: the seconds that it has; None for no deadline. Hits that it did not come to keep their order.
        diversity: from 0, the order as it is, to 1: how much a hit is put back for being like one before it.
        join: whether chunks that follow each other in a document and are both hits become one passage.
        group: whether the hits of one document become one: its best, with the others in it.
        min_relevance: the least relevance of a hit, from 0 to 1.
        explain: whether hits say which words each leg found and which sentences say why.
        filter: which chunks may be found: a tree, or an expression as `index.expression` reads it. Whether the index
            has its fields is known when it is searched.
        facets: fields whose values are counted over the documents that pass the filter; see `Searcher.facet`.

    Raises:
        UsageError: an empty query, a number out of its bounds, no leg, a filter that cannot be read, or what is no such
            thing at all (a text where a number is meant).
    """

    query: str
    limit: int = 10
    legs: Sequence[str] | None = None
    fusion: str | None = None
    weights: Mapping[str, float] | None = None
    depth: int | None = None
    feedback: float | None = None
    rescore: int = 50
    multi_within: float | None = None
    rerank: int | None = None
    rerank_within: float | None = None
    diversity: float = 0.0
    join: bool = False
    group: bool = False
    min_relevance: float = 0.0
    explain: bool = False
    filter: Filter | str | None = None
    facets: Sequence[str] = ()

    def __post_init__(self) -> None:
        self._check_kinds()
        if not self.query.strip():
            raise UsageError("the query is empty: say what to look for")
        if len(self.query) > LONGEST:
            raise UsageError(f"the query has {len(self.query):,} characters and may have {LONGEST:,}: say less")
        if not 1 <= self.limit <= MOST:
            raise UsageError(f"the limit must be from 1 to {MOST}, not {self.limit}")
        if self.legs is not None and not self.legs:
            raise UsageError("no leg to search: name one, or leave it open for all that the index has")
        if self.depth is not None and not 1 <= self.depth <= MOST:
            raise UsageError(f"a leg gives from 1 to {MOST} candidates, not {self.depth}")
        if not 1 <= self.rescore <= MOST:
            raise UsageError(f"from 1 to {MOST} candidates can be rescored, not {self.rescore}")
        if self.multi_within is not None and not self.multi_within > 0:
            raise UsageError(f"token vectors need some time, not {self.multi_within} seconds")
        if self.rerank is not None and not 0 <= self.rerank <= MOST:
            raise UsageError(f"a reranker reads from 0 to {MOST} candidates, not {self.rerank}")
        if self.rerank_within is not None and not 0 < self.rerank_within < math.inf:
            raise UsageError(f"the reranker's deadline must be more than 0 seconds, not {self.rerank_within}")
        for name in ("feedback", "diversity", "min_relevance"):
            if not 0 <= (getattr(self, name) or 0.0) <= 1:
                raise UsageError(f"{name} must be from 0 to 1, not {getattr(self, name)}")
        if self.filter is not None:
            checked(parse(self.filter) if isinstance(self.filter, str) else self.filter)

    def _check_kinds(self) -> None:
        """Refuse what is no such thing at all, before it is compared with its bounds."""
        for kind, (names, holds) in _KINDS.items():
            for name in names:
                value = getattr(self, name)
                if not (holds(value) or (value is None and name not in _NEEDED)):
                    hint = ": a model is named by reranker" if name == "rerank" else ""
                    raise UsageError(f"{name} must be {kind}, not {str(value)[:100]!r}{hint}")

    @property
    def open(self) -> bool:
        """Whether it leaves open how the legs are searched."""
        return self.legs is None and self.fusion is None and self.weights is None

    def completed(self, choice: Choice | None, reranks: bool) -> Self:
        """This request with what it leaves open: as the index was tuned, where it says nothing of legs and weights.

        Args:
            choice: what the index was tuned to.
            reranks: whether there is a reranker.
        """
        if choice is None or not self.open:
            return replace(self, fusion=self.fusion or FUSION, depth=self.depth or DEPTH)
        return replace(
            self,
            legs=choice.legs,
            fusion=choice.fusion,
            weights=choice.weights or None,
            depth=self.depth or choice.depth,
            feedback=choice.feedback if self.feedback is None else self.feedback,
            rerank=choice.read if self.rerank is None and choice.rerank and reranks else self.rerank,
        )

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
