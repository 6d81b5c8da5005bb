"""From an HTTP request to what the service understands, and the ways that all routes share."""

import asyncio
import math
from collections.abc import Callable, Coroutine
from typing import Annotated, Any, TypeVar, get_args

import pydantic_core
from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictInt,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)
from pydantic_core import PydanticCustomError

from beige.serve.errors import Refusal
from beige.serve.keys import Key
from beige.serve.lanes import Lane
from beige.serve.library import Library
from beige.serve.models import ROLES
from beige.serve.service import Service, Terms
from beige.values import Role

TIMEOUT = "Beige-Timeout"
"""The header that says after how many seconds a request's answer is of no use."""

LANE = "Beige-Lane"
"""The header that says in which lane a request waits."""

FIRST = "The server's first of its kind, by default."
"""What OpenAPI says of a field that names a model."""

MANY = 64
"""From so many results on, an answer is written on a thread."""

_LIST = Field(min_length=1, fail_fast=True)
_Id = Annotated[StrictInt, Field(ge=0, lt=1 << 31)]
_Ids = Annotated[list[_Id], _LIST]
Texts = Annotated[list[str], _LIST]
"""At least one text."""


def one_of(what: str) -> WrapValidator:
    """Has a field that takes one of several kinds say what these are, where pydantic speaks of the first alone."""

    def read(value: Any, validate: ValidatorFunctionWrapHandler) -> Any:
        try:
            return validate(value)
        except ValidationError as error:
            raise PydanticCustomError("one_of", f"it must be {what}, and not empty") from error

    return WrapValidator(read)


Input = Annotated[
    str | Texts | _Ids | Annotated[list[_Ids], _LIST],
    Field(union_mode="left_to_right"),
    one_of("a text, a list of texts, or either as token ids"),
]
"""A text, texts, or either as token ids of the model's own vocabulary."""

_T = TypeVar("_T")


class Body(BaseModel):
    """A request's body; a field that is not known is an error."""

    model_config = ConfigDict(extra="forbid")


class Gone(Exception):  # noqa: N818  # nobody failed
    """The client went away before its answer."""


class _JsonRequest(Request):
    """Reads JSON strictly: UTF-8, of bounded depth, finite numbers, no lone surrogates."""

    async def json(self) -> Any:
        body = await self.body()
        try:
            return pydantic_core.from_json(body, allow_inf_nan=False)
        except ValueError as error:
            raise Refusal("invalid", f"the body is not JSON: {error}") from error


class JsonRoute(APIRoute):
    """A route that reads its body by `_JsonRequest`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """See `APIRoute`."""
        handle = super().get_route_handler()

        async def read(request: Request) -> Response:
            return await handle(_JsonRequest(request.scope, request.receive))

        return read


def service_of(request: Request) -> Service:
    """What answers."""
    service: Service = request.app.state.service
    return service


def library_of(request: Request) -> Library:
    """The index behind the server.

    Raises:
        Refusal: it has no model to fill one.
    """
    library: Library | None = request.app.state.library
    if library is None:
        raise Refusal(
            "not_found", "this server has no index and no model to fill one: start it with --index or --model"
        )
    return library


def may_write(request: Request) -> None:
    """Refuse who may not change documents; where no keys are, everybody may.

    Raises:
        Refusal: the key's scope is too small.
    """
    key: Key | None = request.state.key
    if key is not None and not key.may("write"):
        raise Refusal("forbidden", f"the key {key.name} may read only: take one whose scope is write")


def texts_of(given: Any) -> list[Any]:
    """An `Input` as a list of texts."""
    if isinstance(given, str) or isinstance(given[0], int):
        return [given]
    return list(given)


def terms_of(request: Request, *, exact: bool = False) -> Terms:
    """On which terms a request is to be computed, by its headers.

    Raises:
        Refusal: a header makes no sense.
    """
    settings = service_of(request).settings
    timeout, lane = settings.timeout, request.headers.get(LANE)
    if (said := request.headers.get(TIMEOUT)) is not None:
        try:
            timeout = float(said)
        except ValueError:
            timeout = math.nan
        if not 0 < timeout <= settings.longest_timeout:
            raise Refusal(
                "invalid", f"{TIMEOUT} must be seconds above 0, at most {settings.longest_timeout:g}", param=TIMEOUT
            )
    if lane is not None and lane not in get_args(Lane):
        raise Refusal("invalid", f"{LANE} must be one of {', '.join(get_args(Lane))}", param=LANE)
    return Terms(timeout, lane, exact)  # type: ignore[arg-type]  # it was just checked


def role_of(name: str | None, field: str) -> Role | None:
    """A role by any provider's name for it.

    Raises:
        Refusal: it names none.
    """
    if name is None:
        return None
    if name.lower() not in ROLES:
        raise Refusal("invalid", f"{field} {name[:100]!r} is no role: take one of {', '.join(ROLES)}", param=field)
    return ROLES[name.lower()]


def prompted(name: str | None) -> tuple[Role | None, str | None]:
    """A `prompt_name`: a role, or the name of a prompt of the model's own, which queries have."""
    if name is None:
        return None, None
    role = ROLES.get(name.lower())
    return (role, None) if role else ("query", name)


async def unless_gone(request: Request, work: Coroutine[Any, Any, _T]) -> _T:
    """What comes of work, which is cancelled where the client goes away before.

    Raises:
        Gone: it did.
    """
    mine = asyncio.current_task()
    assert mine is not None
    gone, over = asyncio.ensure_future(_gone(request)), False

    def leave(_: object) -> None:
        if not over and not gone.cancelled():
            mine.cancel()

    gone.add_done_callback(leave)
    try:
        return await work
    except asyncio.CancelledError:
        if gone.done() and not gone.cancelled():
            mine.uncancel()
            raise Gone from None
        raise
    finally:
        over = True
        gone.cancel()


async def written(count: int, write: Callable[[], bytes]) -> bytes:
    """An answer's bytes; where it has many results they are written on a thread."""
    return write() if count < MANY else await asyncio.to_thread(write)


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
