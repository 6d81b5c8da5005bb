"""Beige's own route: any of a model's outputs from one pass, with counts and flags for each input."""

from typing import Annotated, Literal

from fastapi import APIRouter, Request, Response
from pydantic import Field

from beige.serve.asking import FIRST, Body, Input, JsonRoute, service_of, terms_of, texts_of, unless_gone
from beige.serve.asking import written as bytes_of
from beige.serve.routes.openai import check_dimensions
from beige.serve.wire import WRITERS, answer, dense, joined, json_bytes, sparse_object
from beige.values import Floats, Output, Role

router = APIRouter(route_class=JsonRoute, tags=["Beige"])


class EncodeRequest(Body):
    """The body of `/v1/encode`."""

    model: Annotated[str | None, Field(examples=["bge-m3"], description=FIRST)] = None
    input: Annotated[Input, Field(examples=[["How fast is light?"]])]
    role: Role | None = None
    prompt: Annotated[str | None, Field(description="The name of one of the model's own prompts.")] = None
    outputs: Annotated[tuple[Output, ...], Field(min_length=1)] = ("dense",)
    truncate: Literal["end", "error"] = "end"
    dimensions: Annotated[int, Field(ge=1)] | None = None
    encoding_format: Annotated[
        Literal["float", "base64"], Field(description="Of each vector; base64 is little-endian float32.")
    ] = "float"


@router.post("/v1/encode")
async def encode(request: Request, body: EncodeRequest) -> Response:
    """Dense, sparse and multi-vector outputs of texts, from one pass."""
    service = service_of(request)
    check_dimensions(service.models.find(body.model, "embedder")[0], body.dimensions, "dimensions")
    outputs = tuple(dict.fromkeys(body.outputs))
    terms = terms_of(request, exact=body.truncate == "error")
    work = service.embed(body.model, texts_of(body.input), terms, role=body.role, outputs=outputs, prompt=body.prompt)
    done = await unless_gone(request, work)

    def write() -> bytes:
        form = WRITERS[body.encoding_format]
        vectors: list[Floats | None] = [*dense(done.embeddings, body.dimensions)]
        vectors = vectors or [None] * len(done.embeddings)
        data = []
        for place, (one, vector) in enumerate(zip(done.embeddings, vectors, strict=True)):
            parts = [b'"index":%d' % place]
            if vector is not None:
                parts.append(b'"dense":' + form(vector))
            if one.sparse is not None:
                parts.append(b'"sparse":' + sparse_object(one.sparse))
            if one.multi is not None:
                parts.append(b'"multi":' + joined(map(form, one.multi)))
            parts.append(b'"tokens":%d,"truncated":%b' % (one.tokens, b"true" if one.truncated else b"false"))
            data.append(b"{" + b",".join(parts) + b"}")
        usage = b'{"prompt_tokens":%d,"total_tokens":%d}' % (done.tokens, done.tokens)
        return b'{"object":"list","data":%b,"model":%b,"usage":%b}' % (joined(data), json_bytes(done.model), usage)

    return answer(await bytes_of(len(done.embeddings), write), done)
