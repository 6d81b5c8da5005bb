"""Refusals, and how each family of clients expects to be told of them."""

import math
from collections.abc import Callable, Mapping
from typing import Any

from beige.errors import BeigeError, EngineError, InputError, NotFiniteError, StoreError, UsageError

STATUSES: Mapping[str, int] = {
    "invalid": 400,
    "unauthorized": 401,
    "forbidden": 403,
    "not_found": 404,
    "model_not_found": 404,
    "method_not_allowed": 405,
    "slow_body": 408,
    "too_large": 413,
    "not_json": 415,
    "misdirected": 421,
    "not_finite": 422,
    "overloaded": 429,
    "failed": 500,
    "expired": 503,
    "full": 503,
    "unavailable": 503,
    "closing": 503,
    "not_ready": 503,
}
"""Why a request is refused, and the status that says so."""


class Refusal(BeigeError):  # noqa: N818  # nothing failed
    """A request that is not answered.

    Attributes:
        reason: one of `STATUSES`; metrics count by it.
        retry_after: seconds after which the same request has a chance; None where it has none.
        param: the field that is wrong, where one is.
        place: the input that is wrong, from 0, where one is.
    """

    def __init__(
        self,
        reason: str,
        message: str,
        *,
        retry_after: float | None = None,
        param: str | None = None,
        place: int | None = None,
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.retry_after = retry_after
        self.param = param
        self.place = place

    @property
    def status(self) -> int:
        """Of HTTP."""
        return STATUSES[self.reason]

    def headers(self) -> dict[str, str]:
        """What goes beside the body: whole seconds, rounded up."""
        headers = {} if self.retry_after is None else {"Retry-After": str(max(1, math.ceil(self.retry_after)))}
        return headers | ({"WWW-Authenticate": "Bearer"} if self.status == 401 else {})


def refusal(error: BeigeError) -> Refusal:
    """What the other rooms raise, as a refusal."""
    if isinstance(error, Refusal):
        return error
    kinds: Mapping[type[BeigeError], str] = {
        NotFiniteError: "not_finite",
        EngineError: "failed",
        StoreError: "unavailable",
        UsageError: "invalid",
        InputError: "invalid",
    }
    return Refusal(next((reason for kind, reason in kinds.items() if isinstance(error, kind)), "failed"), str(error))


def _openai(refusal: Refusal) -> tuple[int, Any]:
    kinds = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}
    fallback = "invalid_request_error" if refusal.status < 500 else "server_error"
    return refusal.status, {
        "error": {
            "message": str(refusal),
            "type": kinds.get(refusal.status, fallback),
            "param": refusal.param,
            "code": refusal.reason,
        }
    }


def _cohere(refusal: Refusal) -> tuple[int, Any]:
    return refusal.status, {"message": str(refusal)}


def _jina(refusal: Refusal) -> tuple[int, Any]:
    return refusal.status, {"message": str(refusal), "detail": str(refusal)}  # Cohere's name for it, and Jina's


def _tei(refusal: Refusal) -> tuple[int, Any]:
    kinds = {413: "Validation", 429: "Overloaded", 500: "Backend", 503: "Unhealthy"}
    status = {400: 422, 500: 424}.get(refusal.status, refusal.status)
    return status, {"error": str(refusal), "error_type": kinds.get(refusal.status, "Validation")}


Shape = Callable[[Refusal], tuple[int, Any]]

SHAPES: Mapping[str, Shape] = {
    "/v2/embed": _cohere,
    "/v2/rerank": _cohere,
    "/v1/rerank": _jina,
    "/embed": _tei,
    "/embed_sparse": _tei,
    "/embed_all": _tei,
    "/rerank": _tei,
    "/tokenize": _tei,
    "/info": _tei,
    "/health": _tei,
}
"""By path; all others speak as OpenAI does."""


def told(refusal: Refusal, path: str) -> tuple[int, Any]:
    """Status and body for the clients of a path."""
    return SHAPES.get(path, _openai)(refusal)
