"""A client's connection: heads that do not come are not waited for, and an answer leaves in one piece."""

import asyncio
from typing import TYPE_CHECKING, Any, cast

from uvicorn.protocols.http.auto import AutoHTTPProtocol

if TYPE_CHECKING:
    from uvicorn.protocols.http.h11_impl import H11Protocol as _Protocol
else:
    _Protocol = AutoHTTPProtocol

HEAD_SECONDS = 20.0
"""How long a client may take from connecting, or from a head's first byte, to the head's end."""

_LARGE = 1 << 16


class Connection(_Protocol):
    """uvicorn's protocol, which by itself waits for ever for a head that was begun, and writes head and body apart."""

    _head: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """See `asyncio.Protocol`."""
        super().connection_made(cast("Any", _Together(transport, self.loop)))
        self._watch()

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        self._end_watch()
        super().connection_lost(exc)

    def _watch(self) -> None:
        if self._asked():
            self._end_watch()
        elif self._head is None:
            self._head = self.loop.call_later(HEAD_SECONDS, self._late)

    def _late(self) -> None:
        self._head = None
        if not self._asked():
            self.transport.close()

    def _end_watch(self) -> None:
        if self._head is not None:
            self._head.cancel()
            self._head = None

    def _asked(self) -> bool:
        """Whether a request's head came and its answer is not complete."""
        cycle: Any = self.cycle  # None before the first
        return cycle is not None and not cycle.response_complete


class _Together:
    """A transport that sends at once what is written in one turn of the loop: system calls cost as much as a parse."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> None:
        """Send soon; what is large at once."""
        if not self._parts:
            self._loop.call_soon(self._flush)
        self._parts.append(data)
        if len(data) > _LARGE:
            self._flush()

    def close(self) -> None:
        """Send, then close."""
        self._flush()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def _flush(self) -> None:
        if self._parts:
            parts, self._parts = self._parts, []
            self._transport.writelines(parts)
