"""A client's connection: nobody holds the server up by saying nothing, and an answer leaves in one piece."""

import asyncio
import resource
from typing import TYPE_CHECKING, Any, cast

from uvicorn.protocols.http.auto import AutoHTTPProtocol

if TYPE_CHECKING:
    from uvicorn.protocols.http.h11_impl import H11Protocol as _Protocol
else:
    _Protocol = AutoHTTPProtocol

HEAD_SECONDS = 20.0
"""How long a client may take from connecting, or from a head's first byte, to the head's end."""

HEAD_BYTES = 1 << 16
"""How long a head may be; httptools by itself takes one without an end."""

TAKE_SECONDS = 30.0
"""In so much time a client must take `TAKE_BYTES` of an answer, or what is left of it."""

TAKE_BYTES = 1 << 16

MOST = 10_000
"""Connections; where there are more, that of those who ask nothing which has said nothing for longest is closed."""

_RESERVE = 256  # files that the index and its readers may need
_LARGE = 1 << 16


class Connection(_Protocol):
    """uvicorn's protocol, with bounds.

    By itself it waits for ever for a head that was begun and for an answer to be taken, takes connections as long as
    there are files, and writes head and body apart.

    Args:
        most: connections of the server.
    """

    def __init__(self, *args: Any, most: int = MOST, **named: Any) -> None:
        super().__init__(*args, **named)
        self._most = most
        self._head: asyncio.TimerHandle | None = None
        self._taking: asyncio.TimerHandle | None = None
        self._begun = 0  # bytes of a head without its end
        self._left = 0  # bytes of an answer that wait to be taken
        self._quiet = 0.0  # since when it says nothing

    def connection_made(self, transport: Any) -> None:
        """See `asyncio.Protocol`."""
        super().connection_made(cast("Any", _Together(transport, self)))
        self._quiet = self.loop.time()
        self._watch()
        if len(self.connections) > self._most:
            every = (cast("Connection", one) for one in self.connections)
            idle = [one for one in every if not one._asked()]  # this one is among them
            oldest = min(idle, key=lambda one: one._quiet)
            self.connections.discard(oldest)  # now: it goes with the loop's next turn, and others come before
            oldest.transport.abort()

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        self._begun += len(data) if self._heading() else 0
        super().data_received(data)
        if not self._heading():
            self._begun = 0
        elif self._begun > HEAD_BYTES:
            self.transport.abort()
            return
        self._quiet = self.loop.time()
        self._watch()

    def pause_writing(self) -> None:
        """See `asyncio.Protocol`."""
        super().pause_writing()
        self.expect_taken()

    def resume_writing(self) -> None:
        """See `asyncio.Protocol`."""
        super().resume_writing()
        self._end_taking()

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        self._end_watch()
        super().connection_lost(exc)  # which closes what is closed
        self._end_taking()
        cast("Any", self).cycle = None  # they hold each other, and with them the request, until the collector comes by

    def expect_taken(self) -> None:
        """See to it that the client takes what was written."""
        if self._taking is None:
            self._left = self.transport.get_write_buffer_size()
            self._taking = self.loop.call_later(TAKE_SECONDS, self._not_taken)

    def _watch(self) -> None:
        if self._asked():
            self._end_watch()
        elif self._head is None:
            self._head = self.loop.call_later(HEAD_SECONDS, self._late)

    def _late(self) -> None:
        self._head = None
        if not self._asked():
            self.transport.close()

    def _not_taken(self) -> None:
        self._taking = None
        if self._left - self.transport.get_write_buffer_size() < TAKE_BYTES:
            self.transport.abort()
        else:
            self.expect_taken()

    def _end_watch(self) -> None:
        if self._head is not None:
            self._head.cancel()
            self._head = None

    def _end_taking(self) -> None:
        if self._taking is not None:
            self._taking.cancel()
            self._taking = None

    def _heading(self) -> bool:
        """Whether what comes is a head; not where a request was answered before its body had come."""
        cycle: Any = self.cycle
        return cycle is None or (cycle.response_complete and not cycle.more_body)

    def _asked(self) -> bool:
        """Whether a request's head came and its answer is not complete."""
        cycle: Any = self.cycle  # None before the first
        return cycle is not None and not cycle.response_complete


class _Together:
    """A transport that sends at once what is written in one turn of the loop: system calls cost as much as a parse."""

    def __init__(self, transport: asyncio.Transport, connection: Connection) -> None:
        self._transport = transport
        self._connection = connection
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> None:
        """Send soon; what is large at once."""
        if not self._parts:
            self._connection.loop.call_soon(self._flush)
        self._parts.append(data)
        if len(data) > _LARGE:
            self._flush()

    def close(self) -> None:
        """Send, then close."""
        self._flush()
        self._transport.close()
        self._connection.expect_taken()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def _flush(self) -> None:
        if self._parts:
            parts, self._parts = self._parts, []
            self._transport.writelines(parts)


def make_room() -> int:
    """Let this process open as many files as it may; returns how many connections it can hold then."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST + _RESERVE
    most = max(soft, wanted if hard == resource.RLIM_INFINITY else min(hard, wanted))
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    except (OSError, ValueError):  # a system that promises more than it gives
        most = soft
    return min(MOST, max(most // 2, most - _RESERVE))
