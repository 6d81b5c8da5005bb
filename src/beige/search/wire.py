"""Requests and results as JSON has them, the same on the command line and over HTTP.

`as_answer` leaves out what was not asked for: it is what people and programs read. `as_whole` leaves out nothing, so
that `results_of` makes the same results of it elsewhere: it is what Beige says to itself.
"""

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any, TypeVar

from beige.documents.chunk import Locator
from beige.index.expression import write
from beige.search.hit import Hit, LegScore, Matched, Reranked, Results, Sentence
from beige.search.request import Request

_T = TypeVar("_T")


def as_body(request: Request) -> dict[str, Any]:
    """A request as `/v1/search` takes it: what differs from the defaults, the filter as an expression."""
    said = {one.name: getattr(request, one.name) for one in fields(request)}
    said = {name: value for name, value in said.items() if name == "query" or value != _DEFAULTS[name]}
    if request.filter is not None and not isinstance(request.filter, str):
        said["filter"] = write(request.filter)
    return said


_DEFAULTS = {one.name: one.default for one in fields(Request)}


def as_answer(found: Results, request: Request) -> dict[str, Any]:
    """The whole answer to a request; what was not asked for is not there.

    Args:
        found: the results.
        request: what they answer.
    """
    said: dict[str, Any] = {"query": request.query, "hits": [as_object(hit, request) for hit in found.hits]}
    if request.rerank or found.read or found.late:
        said |= {"read": found.read, "late": found.late}
    if request.min_relevance:
        said |= {
            "irrelevant": found.irrelevant,
            "best_relevance": found.best_relevance,
            "nothing_relevant": found.nothing_relevant,
        }
    return said | ({"facets": found.facets} if found.facets else {})


def as_object(hit: Hit, request: Request) -> dict[str, Any]:
    """A hit; what was not asked for is not there."""
    said: dict[str, Any] = {
        "score": hit.score,
        "source": hit.source,
        "locator": asdict(hit.locator),
        "text": hit.text,
        "legs": {leg: _leg(score, request.explain) for leg, score in hit.legs.items()},
        "relevance": hit.relevance,
    }
    if request.explain:
        said["rank"] = hit.rank
        said["highlights"] = hit.highlights
        said["sentences"] = [asdict(sentence) for sentence in hit.sentences]
    if hit.reranked is not None:
        said["reranked"] = asdict(hit.reranked)
    if request.join:
        said["chunks"] = hit.chunks
    if request.group:
        said["others"] = [as_object(other, request) for other in hit.others]
    return said


def _leg(score: LegScore, explain: bool) -> dict[str, Any]:
    said = asdict(score)
    explained = {name: said.pop(name) for name in ("weight", "trust", "words")}
    return said | explained if explain else said


def as_whole(found: Results) -> dict[str, Any]:
    """Results with everything that is known of them."""
    return asdict(found)


def results_of(said: Mapping[str, Any]) -> Results:
    """The inverse of `as_whole`, also after JSON; what a newer Beige says besides is passed over.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: it is no such object.
    """
    return _made(Results, said, hits=tuple(map(_hit, said["hits"])))


def _hit(said: Mapping[str, Any]) -> Hit:
    place, reranked = said["locator"], said["reranked"]
    return _made(
        Hit,
        said,
        locator=_made(Locator, place, headings=tuple(place["headings"])),
        legs={leg: _made(LegScore, one, words=_each(Matched, one["words"])) for leg, one in said["legs"].items()},
        reranked=None if reranked is None else _made(Reranked, reranked),
        highlights=tuple((start, end) for start, end in said["highlights"]),
        sentences=_each(Sentence, said["sentences"]),
        others=tuple(map(_hit, said["others"])),
    )


def _each(kind: type[_T], said: list[Mapping[str, Any]]) -> tuple[_T, ...]:
    return tuple(_made(kind, one) for one in said)


def _made(kind: type[_T], said: Mapping[str, Any], **parts: Any) -> _T:
    """A value object of what is said of its fields, where `parts` are made already."""
    return kind(**{one.name: parts.get(one.name, said[one.name]) for one in fields(kind)})  # type: ignore[arg-type]
