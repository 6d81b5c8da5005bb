"""The application: routes behind the guard, and refusals in each family's own shape."""

import errno
import logging
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from starlette.exceptions import HTTPException
from starlette.routing import Match, Route
from starlette.types import Scope

from beige import __version__
from beige.errors import BeigeError
from beige.search import AnyIndex
from beige.serve.asking import Gone
from beige.serve.errors import Refusal, refusal, told
from beige.serve.guard import Guard
from beige.serve.keys import KeyRing
from beige.serve.library import Library
from beige.serve.mcp import Asks, over_http
from beige.serve.mcp import build as build_tools
from beige.serve.routes import ROUTERS
from beige.serve.service import Service, Terms
from beige.serve.wire import json_bytes

_REASONS: Mapping[int, str] = {400: "invalid", 404: "not_found", 405: "method_not_allowed", 413: "too_large"}

_T = TypeVar("_T")
_log = logging.getLogger("beige.serve")


def build(service: Service, keys: KeyRing, library: Library | None = None) -> FastAPI:
    """The application of a service.

    Args:
        service: what answers.
        keys: who may ask.
        library: the index behind it; None for none.
    """
    app = FastAPI(
        title="Beige",
        version=__version__,
        description="BGE models by the routes that clients already speak, and search over documents.",
        docs_url=None,  # these pages load scripts from elsewhere
        redoc_url=None,
    )
    app.state.service = service
    app.state.library = library
    app.state.copilots = None
    for router in ROUTERS:
        app.include_router(router)
    if library is not None:
        app.state.copilots = over_http(build_tools(_reading(service, library)))
        app.router.routes.append(_Named("/mcp", app.state.copilots.asgi_app, methods=["POST"]))
    for kind in (BeigeError, RequestValidationError, HTTPException, OSError, Exception):
        app.add_exception_handler(kind, _refused)
    app.add_exception_handler(Gone, _gone)
    if service.settings.origins:
        app.add_middleware(
            CORSMiddleware, allow_origins=service.settings.origins, allow_methods=["*"], allow_headers=["*"]
        )
    app.add_middleware(Guard, settings=service.settings, keys=keys, metrics=service.metrics)
    return app


class _Named(Route):
    """A route of another application, which metrics and logs can name as they do FastAPI's."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """See `Route`."""
        match, found = super().matches(scope)
        return match, {**found, "route": self}


def _reading(service: Service, library: Library) -> Asks:
    """How the tools of copilots read the index: on the terms of every request."""

    async def ask(read: Callable[[AnyIndex], _T]) -> _T:
        terms = Terms(service.settings.timeout)
        return await library.read(terms, lambda opened: read(opened.index))

    return ask


async def _refused(request: Request, error: Exception) -> Response:
    said = _as_refusal(error)
    request.state.refusal = said
    status, body = told(said, request.url.path)
    headers = said.headers()
    if isinstance(error, HTTPException) and error.headers:
        headers |= error.headers
    return Response(json_bytes(body), status, headers, "application/json")


async def _gone(_: Request, __: Exception) -> Response:
    return Response(status_code=499)


def _as_refusal(error: Exception) -> Refusal:
    if isinstance(error, HTTPException) and isinstance(error.__cause__, BeigeError):
        error = error.__cause__  # FastAPI wraps what reading a body raises
    if isinstance(error, BeigeError):
        return refusal(error)
    if isinstance(error, RequestValidationError):
        return _of_validation(error.errors()[0])
    if isinstance(error, HTTPException):
        return Refusal(_REASONS.get(error.status_code, "invalid"), str(error.detail))
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Refusal("full", "the server's disk is full: send the request again when there is room", retry_after=60)
    _log.error("failed", exc_info=error)
    return Refusal("failed", "the server failed; its log says how")


def _of_validation(first: Mapping[str, Any]) -> Refusal:
    """The first thing that is wrong; what the client wrote is not repeated."""
    place = [part for part in first["loc"][1:2] if isinstance(part, str)]
    field = place[0] if place else None
    if first["type"] == "extra_forbidden":
        return Refusal("invalid", f"there is no field {str(field)[:100]!r}", param=str(field)[:100])
    if first["type"] == "model_attributes_type" or field is None:
        return Refusal("invalid", "the body must be a JSON object, sent as application/json")
    return Refusal("invalid", f"{field}: {first['msg']}", param=field)
