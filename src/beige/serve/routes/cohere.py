"""What Cohere's and Jina's clients speak: `/v2/embed`, `/v1/rerank`, `/v2/rerank`."""

import uuid
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from beige.scores import logistic
from beige.serve.asking import FIRST, Body, JsonRoute, role_of, service_of, terms_of, unless_gone
from beige.serve.asking import written as bytes_of
from beige.serve.errors import Refusal
from beige.serve.routes.openai import check_dimensions
from beige.serve.service import Scored
from beige.serve.wire import WRITERS, answer, dense, joined, json_bytes
from beige.values import Role

router = APIRouter(route_class=JsonRoute, tags=["Cohere and Jina"])

Form = Literal["float", "int8", "uint8", "binary", "ubinary", "base64"]
_OTHER_TYPES = ("classification", "clustering")
"""Input types without a query: texts are embedded as documents."""


class EmbedRequest(Body):
    """The body of `/v2/embed`."""

    model: Annotated[str | None, Field(examples=["bge-small-en-v1.5"], description=FIRST)] = None
    texts: Annotated[list[str], Field(min_length=1, examples=[["How fast is light?"]])]
    input_type: Annotated[str, Field(examples=["search_query"])]
    embedding_types: Annotated[tuple[Form, ...], Field(min_length=1)] = ("float",)
    output_dimension: Annotated[int, Field(ge=1)] | None = None
    truncate: Literal["NONE", "START", "END"] = "END"
    priority: int | None = None


class Passage(BaseModel):
    """A document that is an object; its text is scored."""

    text: str


class RerankRequest(Body):
    """The body of the rerank routes."""

    model: Annotated[str | None, Field(examples=["bge-reranker-v2-m3"], description=FIRST)] = None
    query: Annotated[str, Field(examples=["How fast is light?"])]
    documents: Annotated[list[str | Passage], Field(min_length=1, examples=[["Light is fast.", "A stone lies."]])]
    top_n: Annotated[int, Field(ge=1)] | None = None
    return_documents: bool = False
    max_tokens_per_doc: Annotated[int, Field(ge=1)] | None = None
    truncation: bool = True
    priority: int | None = None


@router.post("/v2/embed")
async def embed(request: Request, body: EmbedRequest) -> Response:
    """Vectors of texts in one or several forms."""
    service = service_of(request)
    model, _ = service.models.find(body.model, "embedder")
    check_dimensions(model, body.output_dimension, "output_dimension")
    if body.truncate == "START":
        raise Refusal("invalid", "texts can only be cut at their end: take truncate END or NONE", param="truncate")
    role: Role | None = "document" if body.input_type in _OTHER_TYPES else role_of(body.input_type, "input_type")
    terms = terms_of(request, exact=body.truncate == "NONE")
    done = await unless_gone(request, service.embed(body.model, body.texts, terms, role=role))

    def write() -> bytes:
        vectors = dense(done.embeddings, body.output_dimension)
        forms = b",".join(
            b'"%b":%b' % (form.encode(), joined(map(WRITERS[form], vectors))) for form in body.embedding_types
        )
        meta = {"api_version": {"version": "2"}, "billed_units": {"input_tokens": done.tokens}}
        return b'{"id":"%b","embeddings":{%b},"texts":%b,"meta":%b,"response_type":"embeddings_by_type"}' % (
            str(uuid.uuid4()).encode(),
            forms,
            json_bytes(body.texts),
            json_bytes(meta),
        )

    return answer(await bytes_of(len(done.embeddings), write), done)


@router.post("/v2/rerank")
async def rerank(request: Request, body: RerankRequest) -> Response:
    """Passages from the best to the worst, with scores from 0 to 1; Cohere's second version."""
    done, results = await _ranked(request, body)
    meta = {"api_version": {"version": "2"}, "billed_units": {"search_units": 1}}
    return answer(json_bytes({"id": str(uuid.uuid4()), "results": results, "meta": meta}), done)


@router.post("/v1/rerank")
async def rerank_first(request: Request, body: RerankRequest) -> Response:
    """The same in the first version of Cohere, which is Jina's too."""
    done, results = await _ranked(request, body)
    usage = {"prompt_tokens": done.tokens, "total_tokens": done.tokens}
    meta = {"api_version": {"version": "1"}, "billed_units": {"search_units": 1}}
    found = {"id": str(uuid.uuid4()), "object": "list", "model": done.model, "results": results, "usage": usage}
    return answer(json_bytes({**found, "meta": meta}), done)


async def _ranked(request: Request, body: RerankRequest) -> tuple[Scored, list[dict[str, Any]]]:
    passages = [document if isinstance(document, str) else document.text for document in body.documents]
    terms = terms_of(request, exact=not body.truncation)
    done = await unless_gone(
        request, service_of(request).rerank(body.model, body.query, passages, terms, most=body.max_tokens_per_doc)
    )
    scores = logistic(done.scores).tolist()
    results = [
        {"index": place, "relevance_score": scores[place]}
        | ({"document": {"text": passages[place]}} if body.return_documents else {})
        for place in done.order[: body.top_n]
    ]
    return done, results
