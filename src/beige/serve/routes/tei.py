"""What clients of text-embeddings-inference speak: `/embed` and its kin, `/rerank`, `/tokenize`, `/info`."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request, Response
from pydantic import Field

from beige import __version__
from beige.environment import cores
from beige.scores import logistic
from beige.serve.asking import (
    Body,
    Input,
    JsonRoute,
    Texts,
    one_of,
    prompted,
    service_of,
    terms_of,
    texts_of,
    unless_gone,
)
from beige.serve.asking import written as bytes_of
from beige.serve.errors import Refusal
from beige.serve.routes.openai import check_dimensions
from beige.serve.runners import Loaded
from beige.serve.service import Embedded
from beige.serve.wire import answer, as_floats, dense, joined, json_bytes
from beige.values import Embedding, Output

router = APIRouter(route_class=JsonRoute, tags=["text-embeddings-inference"])

Direction = Annotated[Literal["Right", "right"], Field(description="Where texts are cut: at their end.")]


class Inputs(Body):
    """What all embedding routes of this family take; texts that are too long are cut unless `truncate` is false."""

    inputs: Annotated[Input, Field(examples=["How fast is light?"])]
    truncate: bool | None = None
    truncation_direction: Direction = "Right"
    prompt_name: str | None = None


class EmbedRequest(Inputs):
    """The body of `/embed`."""

    normalize: Annotated[bool, Field(description="Vectors here are of unit length; false is refused.")] = True
    dimensions: Annotated[int, Field(ge=1)] | None = None


class RerankRequest(Body):
    """The body of `/rerank`."""

    query: Annotated[str, Field(examples=["How fast is light?"])]
    texts: Annotated[list[str], Field(min_length=1, examples=[["Light is fast.", "A stone lies."]])]
    truncate: bool | None = None
    truncation_direction: Direction = "Right"
    raw_scores: bool = False
    return_text: bool = False


class TokenizeRequest(Body):
    """The body of `/tokenize`."""

    inputs: Annotated[str | Texts, Field(examples=["How fast is light?"]), one_of("a text or a list of texts")]
    add_special_tokens: bool = True
    prompt_name: str | None = None


@router.post("/embed")
async def embed(request: Request, body: EmbedRequest) -> Response:
    """Dense vectors of texts."""
    if not body.normalize:
        raise Refusal("invalid", "vectors here are of unit length: leave normalize out", param="normalize")
    check_dimensions(service_of(request).models.find(None, "embedder")[0], body.dimensions, "dimensions")
    done = await _embedded(request, body, "dense")
    return await _rows(done, lambda found: list(map(as_floats, dense(found, body.dimensions))))


@router.post("/embed_sparse")
async def embed_sparse(request: Request, body: Inputs) -> Response:
    """Lexical weights of texts: token ids and values."""

    def row(one: Embedding) -> bytes:
        assert one.sparse is not None
        pairs = zip(one.sparse.ids.tolist(), one.sparse.weights.tolist(), strict=True)
        return json_bytes([{"index": token, "value": weight} for token, weight in pairs])

    return await _rows(await _embedded(request, body, "sparse"), lambda found: list(map(row, found)))


@router.post("/embed_all")
async def embed_all(request: Request, body: Inputs) -> Response:
    """The multi-vector output of texts: a vector for each token but the first."""

    def row(one: Embedding) -> bytes:
        assert one.multi is not None
        return joined(map(as_floats, one.multi))

    return await _rows(await _embedded(request, body, "multi"), lambda found: list(map(row, found)))


@router.post("/rerank")
async def rerank(request: Request, body: RerankRequest) -> Response:
    """Texts from the best to the worst."""
    terms = terms_of(request, exact=body.truncate is False)
    done = await unless_gone(request, service_of(request).rerank(None, body.query, body.texts, terms))
    scores = list(done.scores) if body.raw_scores else logistic(done.scores).tolist()
    return answer(
        json_bytes(
            [
                {"index": place, "score": scores[place]} | ({"text": body.texts[place]} if body.return_text else {})
                for place in done.order
            ]
        ),
        done,
    )


@router.post("/tokenize")
async def tokenize(request: Request, body: TokenizeRequest) -> Response:
    """Each text's tokens, and where they stand in it, by characters."""
    service = service_of(request)
    role, prompt = prompted(body.prompt_name)
    texts = [body.inputs] if isinstance(body.inputs, str) else body.inputs

    def read(runner: Loaded[Any]) -> list[list[dict[str, Any]]]:
        return [
            [
                {"id": one.id, "text": one.text, "special": one.special, "start": one.start, "stop": one.stop}
                for one in runner.model.spell(text, role or "document", prompt)
                if body.add_special_tokens or not one.special
            ]
            for text in texts
        ]

    return answer(json_bytes(await unless_gone(request, service.read(None, texts, terms_of(request), read))))


@router.get("/info")
async def info(request: Request) -> Response:
    """The first model and this server's limits."""
    service = service_of(request)
    model = service.models.all[0]
    checkpoint, settings = model.checkpoint, service.settings
    kinds = {"embedder": {"embedding": {"pooling": checkpoint.pooling}}, "reranker": {"reranker": {}}}
    return answer(
        json_bytes(
            {
                "model_id": checkpoint.card.repository if checkpoint.card else model.name,
                "model_sha": None,
                "model_dtype": model.runner.model.precision if model.runner else settings.precision,
                "model_type": kinds[model.kind],
                "max_concurrent_requests": settings.queue_tokens,
                "max_input_length": checkpoint.max_tokens,
                "max_batch_tokens": model.runner.budget if model.runner else None,
                "max_batch_requests": None,
                "max_client_batch_size": settings.items,
                "auto_truncate": True,
                "tokenization_workers": cores(),
                "version": __version__,
                "sha": None,
                "docker_label": None,
            }
        )
    )


async def _embedded(request: Request, body: Inputs, output: Output) -> Embedded:
    role, prompt = prompted(body.prompt_name)
    terms = terms_of(request, exact=body.truncate is False)
    work = service_of(request).embed(None, texts_of(body.inputs), terms, role=role, outputs=(output,), prompt=prompt)
    return await unless_gone(request, work)


async def _rows(done: Embedded, write: Callable[[Sequence[Embedding]], list[bytes]]) -> Response:
    return answer(await bytes_of(len(done.embeddings), lambda: joined(write(done.embeddings))), done)
