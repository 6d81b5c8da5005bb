"""Search over the server's index: hits, what is like a passage, and what the index is."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from pydantic import Field, StrictBool, StrictInt

from beige import search
from beige.search.request import MOST
from beige.search.similar import like_passage, like_text
from beige.search.wire import as_answer, as_whole
from beige.serve.asking import Body, JsonRoute, Texts, library_of, one_of, service_of, terms_of, unless_gone
from beige.serve.errors import Refusal
from beige.serve.lent import LentReranker
from beige.serve.library import Opened
from beige.serve.wire import answer, json_bytes

router = APIRouter(route_class=JsonRoute, tags=["Knowledge"])

TOGETHER = 100
"""The most queries of a request."""

_Filter = Annotated[str | None, Field(examples=["path:docs/** type:pdf"], description="As in `beige search --filter`.")]
_Limit = Annotated[StrictInt, Field(ge=1, le=MOST)]


class SearchRequest(Body):
    """The body of `/v1/search`: what `beige search` can be told; see `beige.search.request.Request`."""

    query: Annotated[
        str | Texts,
        Field(examples=["how are files parsed?"], description="One, or a list."),
        one_of("a text or a list of texts"),
    ]
    limit: _Limit = 10
    legs: list[str] | None = None
    fusion: str | None = None
    weights: Annotated[dict[str, float] | None, Field(description="Of the legs in the fusion.")] = None
    depth: StrictInt | None = None
    feedback: float | None = None
    rescore: StrictInt = 50
    multi_within: Annotated[float | None, Field(description="Seconds.")] = None
    rerank: Annotated[
        StrictInt | None,
        Field(description="How many candidates the server's reranker reads; by default what the index was tuned to."),
    ] = None
    rerank_within: Annotated[float | None, Field(description="Seconds.")] = None
    reranker: Annotated[str | None, Field(description="Which of the server's rerankers reads; the first.")] = None
    diversity: float = 0.0
    join: StrictBool = False
    group: StrictBool = False
    min_relevance: float = 0.0
    explain: StrictBool = False
    filter: _Filter = None
    facets: Annotated[tuple[str, ...], Field(description="Fields whose values are counted.", max_length=20)] = ()
    whole: Annotated[
        StrictBool,
        Field(description="Say everything that is known of the hits, asked for or not, as Beige itself asks."),
    ] = False


class SimilarRequest(Body):
    """The body of `/v1/similar`: a text, or a stored passage by its document and a character in it."""

    text: Annotated[str | None, Field(examples=["Light is fast."])] = None
    source: Annotated[str | None, Field(description="A document, in place of a text.")] = None
    start: Annotated[StrictInt, Field(ge=0, description="`locator.start` of a hit.")] = 0
    limit: _Limit = 10
    filter: _Filter = None


@router.post("/v1/search")
async def find(request: Request, body: SearchRequest) -> Response:
    """The hits that `beige search --json` gives; of a list of queries, `{"results": […]}` with one answer for each."""
    queries = [body.query] if isinstance(body.query, str) else body.query
    if len(queries) > TOGETHER:
        raise Refusal("too_large", f"the request has {len(queries)} queries and may have {TOGETHER}", param="query")
    options = body.model_dump(exclude={"query", "limit", "reranker", "whole"})
    asked = [search.Request.of(query, body.limit, options) for query in queries]
    terms, library = terms_of(request), library_of(request)
    reranker = None if body.reranker is None else LentReranker(service_of(request), body.reranker)

    def one(wanted: search.Request) -> Callable[[Opened], Mapping[str, Any]]:
        def read(opened: Opened) -> Mapping[str, Any]:
            asks = wanted.rerank is not None or wanted.rerank_within is not None
            reads = reranker is not None or asks or _tuned(opened, wanted)
            settled = wanted if reads else replace(wanted, rerank=0)
            found = opened.index.run(settled, reranker or opened.reads)
            return as_whole(found) if body.whole else as_answer(found, settled)

        return read

    async def every() -> list[Mapping[str, Any]]:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(library.read(terms, one(wanted))) for wanted in asked]
        return [task.result() for task in tasks]

    try:
        found = await unless_gone(request, every())
    except ExceptionGroup as errors:  # the first that failed; the others were dropped
        raise errors.exceptions[0] from errors
    return answer(json_bytes(found[0] if isinstance(body.query, str) else {"results": found}))


@router.post("/v1/similar")
async def similar(request: Request, body: SimilarRequest) -> Response:
    """The passages that are most like a text, or like a stored passage, of other documents than its own."""
    text, source = body.text, body.source
    if (text is None) == (source is None):
        raise Refusal("invalid", "say what is to be compared: a text, or the source of a document", param="text")

    def read(opened: Opened) -> list[dict[str, Any]]:
        if text is not None:
            found = like_text(opened.index, text, body.limit, body.filter)
        else:
            assert source is not None
            found = like_passage(opened.index, source, body.start, body.limit, body.filter)
        return [one.as_object() for one in found]

    hits = await unless_gone(request, library_of(request).read(terms_of(request), read))
    return answer(json_bytes({"hits": hits}))


_INDEX = {
    "path": "/home/me/project/.beige",
    "documents": 1204,
    "chunks": 9917,
    "bytes": 51_200_000,
    "changed": "2026-05-04T10:20:30+00:00",
    "growth": {
        "hour": {"documents": 12, "chunks": 80, "bytes": 90_000},
        "day": {"documents": -3, "chunks": 41, "bytes": 20_500},
        "week": {"documents": 204, "chunks": 1700, "bytes": 2_100_000},
    },
    "manifest": {"encoders": [{"model": "bge-small-en-v1.5", "fingerprint": "9f2c…", "precision": "bf16"}]},
}


@router.get(
    "/v1/index",
    responses={200: {"description": "Some of its fields.", "content": {"application/json": {"example": _INDEX}}}},
)
async def index(request: Request) -> Response:
    """What the index holds, which models made it, how its files are and how it grew: as `beige status --json`."""
    found = await library_of(request).read(terms_of(request), lambda opened: asdict(opened.index.status()))
    return answer(json_bytes(found))


def _tuned(opened: Opened, wanted: search.Request) -> bool:
    """Whether the index was tuned to the server's reranker, and the request leaves open how it is searched."""
    choice = opened.index.manifest.choice
    return wanted.open and choice is not None and choice.rerank is not None and choice.rerank == opened.reranker
