"""What OpenAI's clients speak: `/v1/embeddings`, `/v1/models`."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request, Response
from pydantic import Field

from beige.serve.asking import (
    FIRST,
    Body,
    Input,
    JsonRoute,
    prompted,
    role_of,
    service_of,
    terms_of,
    texts_of,
    unless_gone,
)
from beige.serve.asking import written as bytes_of
from beige.serve.errors import Refusal
from beige.serve.models import Model
from beige.serve.wire import WRITERS, answer, dense, joined, json_bytes

router = APIRouter(route_class=JsonRoute, tags=["OpenAI"])


class EmbeddingsRequest(Body):
    """The body of `/v1/embeddings`; `input_type` and `prompt_name` are Beige's."""

    model: Annotated[str | None, Field(examples=["bge-small-en-v1.5"], description=FIRST)] = None
    input: Annotated[Input, Field(examples=["How fast is light?"])]
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: Annotated[int, Field(ge=1)] | None = None
    user: str | None = None
    input_type: Annotated[str | None, Field(description="The role: query or document.")] = None
    prompt_name: Annotated[str | None, Field(description="The role, or one of the model's own prompts.")] = None


@router.post("/v1/embeddings")
async def embeddings(request: Request, body: EmbeddingsRequest) -> Response:
    """Dense vectors of texts."""
    service = service_of(request)
    model, _ = service.models.find(body.model, "embedder")
    check_dimensions(model, body.dimensions, "dimensions")
    named, prompt = prompted(body.prompt_name)
    role = role_of(body.input_type, "input_type") or named
    work = service.embed(body.model, texts_of(body.input), terms_of(request), role=role, prompt=prompt)
    done = await unless_gone(request, work)

    def write() -> bytes:
        form = WRITERS[body.encoding_format]
        data = joined(
            b'{"object":"embedding","index":%d,"embedding":%b}' % (place, form(vector))
            for place, vector in enumerate(dense(done.embeddings, body.dimensions))
        )
        return b'{"object":"list","data":%b,"model":%b,"usage":{"prompt_tokens":%d,"total_tokens":%d}}' % (
            data,
            json_bytes(done.model),
            done.tokens,
            done.tokens,
        )

    return answer(await bytes_of(len(done.embeddings), write), done)


@router.get("/v1/models")
async def models(request: Request) -> Response:
    """The models that are served."""
    listed = [_described(model) for model in service_of(request).models.all]
    return answer(json_bytes({"object": "list", "data": listed}))


@router.get("/v1/models/{model:path}")
async def model(request: Request, model: str) -> Response:
    """One of them."""
    for served in service_of(request).models.all:
        if model == served.name:
            return answer(json_bytes(_described(served)))
    raise Refusal("model_not_found", f"this server has no model {model[:100]!r}", param="model")


def check_dimensions(model: Model, dimensions: int | None, field: str) -> None:
    """Refuse more numbers than a model's vectors have."""
    if dimensions is not None and dimensions > model.checkpoint.dimension:
        raise Refusal(
            "invalid",
            f"{field} is {dimensions} and the vectors of {model.name} have {model.checkpoint.dimension}: ask for fewer",
            param=field,
        )


def _described(model: Model) -> dict[str, Any]:
    card = model.checkpoint.card
    return {
        "id": model.name,
        "object": "model",
        "created": int((model.checkpoint.path / "config.json").stat().st_mtime),
        "owned_by": card.repository.partition("/")[0] if card else "local",
    }
