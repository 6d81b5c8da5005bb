"""Results as JSON has them, the same on the command line and over HTTP."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from beige.search.hit import Hit, LegScore, Results
from beige.search.request import Request


def as_answer(found: Results, request: Request, facets: Mapping[str, Mapping[str, int]]) -> dict[str, Any]:
    """The whole answer to a request; what was not asked for is not there.

    Args:
        found: the results.
        request: what they answer.
        facets: counts of values, by field.
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
    return said | ({"facets": facets} if facets else {})


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
    words = said.pop("words")
    return said | {"words": words} if explain else said
