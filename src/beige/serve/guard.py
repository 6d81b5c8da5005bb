"""What every request passes first: who asks, how much they send and for how long; and the log's line at its end."""

import asyncio
import itertools
import logging
import re
import secrets
import time
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from beige.serve.errors import Refusal, told
from beige.serve.keys import KeyRing
from beige.serve.metrics import Metrics
from beige.serve.routes.health import OPEN
from beige.serve.settings import Settings
from beige.serve.wire import json_bytes

REQUEST_ID = "X-Request-Id"
_ID = re.compile(r"[\w.-]{1,64}", re.ASCII)
_LOCAL_NAMES = ("localhost", "127.0.0.1", "[::1]")

_log = logging.getLogger("beige.serve")


class Guard:
    """Wraps the application.

    Args:
        app: it.
        settings: the limits.
        keys: who may ask.
        metrics: what is counted.
    """

    def __init__(self, app: ASGIApp, settings: Settings, keys: KeyRing, metrics: Metrics) -> None:
        self._app = app
        self._settings = settings
        self._keys = keys
        self._metrics = metrics
        server = secrets.token_hex(8)
        self._ids = (f"{server}{number:016x}" for number in itertools.count(1))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; see ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        headers = Headers(scope=scope)
        given = headers.get(REQUEST_ID, "")
        request = given if _ID.fullmatch(given) else next(self._ids)
        state: dict[str, Any] = scope.setdefault("state", {})
        status = 499  # the client went away

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[REQUEST_ID] = request
            await send(message)

        try:
            try:
                self._check_name(headers)
                state["key"] = self._key(scope["path"], headers)
                limited = self._limited(headers, receive)
            except Refusal as error:
                state["refusal"] = error
                await _refuse(error, scope["path"], sending)
                return
            await self._app(scope, limited, sending)
        finally:
            self._finish(scope, request, status, time.perf_counter() - started)

    def _check_name(self, headers: Headers) -> None:
        """A page of the web must not reach a server of this machine by a name that leads here (DNS rebinding)."""
        name = headers.get("host", "")
        name = name if name.endswith("]") else name.rpartition(":")[0] or name
        if self._settings.loopback and name.lower() not in _LOCAL_NAMES and not self._keys:
            raise Refusal("misdirected", "this server answers to localhost alone")

    def _key(self, path: str, headers: Headers) -> Any:
        if not self._keys or path in OPEN:
            return None
        scheme, _, given = headers.get("authorization", "").partition(" ")
        key = self._keys.find(given.strip()) if scheme.lower() == "bearer" else None
        if key is None:
            raise Refusal("unauthorized", "this server needs an API key, as `Authorization: Bearer KEY`")
        return key

    def _limited(self, headers: Headers, receive: Receive) -> Receive:
        most, seconds = self._settings.body_bytes, self._settings.body_seconds
        too_large = Refusal("too_large", f"the body is larger than {most} bytes: send it in parts")
        stated = headers.get("content-length")
        if stated is not None and stated.isdecimal() and int(stated) > most:
            raise too_large
        taken, whole = 0, False
        until: float | None = None

        async def limited() -> Message:
            nonlocal taken, whole, until
            if whole:
                return await receive()
            until = until or asyncio.get_running_loop().time() + seconds
            try:
                async with asyncio.timeout_at(until):
                    message = await receive()
            except TimeoutError as error:
                raise Refusal("slow_body", f"the body took longer than {seconds:g} seconds: send it again") from error
            taken += len(message.get("body", b""))
            if taken > most:
                raise too_large
            whole = not message.get("more_body", False)
            return message

        return limited

    def _finish(self, scope: Scope, request: str, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "none")
        state = scope["state"]
        refusal: Refusal | None = state.get("refusal")
        self._metrics.request(route, status, seconds)
        facts: dict[str, Any] = {
            "request": request,
            "method": scope["method"],
            "route": route,
            "status": status,
            "ms": round(1000 * seconds, 2),
        }
        if refusal is not None:
            self._metrics.refused(refusal.reason)
            facts["refused"] = refusal.reason
        if key := state.get("key"):
            facts["key"] = key.name
        _log.log(
            logging.INFO if status < 500 or refusal is not None else logging.ERROR, "request", extra={"facts": facts}
        )


async def _refuse(error: Refusal, path: str, send: Send) -> None:
    status, body = told(error, path)
    headers = {"content-type": "application/json", **error.headers(), "connection": "close"}
    start = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": start})
    await send({"type": "http.response.body", "body": json_bytes(body)})
