"""Clients of a server over HTTP, in a process of their own: they take some of the same cores, which is told."""

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing import get_context
from typing import Any, TypeVar
from urllib.parse import urlsplit

import numpy as np

LIMIT = 120.0
"""Seconds after which an answer is not waited for any more, and those after an overload in which patience must pay."""

SLOW = 4
"""How many times as long as it should be a load may be, at least so many seconds, before it is broken off."""

_T = TypeVar("_T")


@dataclass(frozen=True)
class Load:
    """What clients saw that each sent one text after the other.

    Attributes:
        rate: texts a second, all clients together.
        p50: milliseconds of a request, the median.
        p95: likewise.
        share: of the processor that the clients took, of one core.
        failed: answers that were no embeddings, by status.
    """

    rate: float
    p50: float
    p95: float
    share: float
    failed: Mapping[str, int]


@dataclass
class Crowd:
    """What a server did with many times what it can do.

    Attributes:
        offered: requests a second that came.
        answered: requests a second that were answered with embeddings.
        statuses: answers by status; "none" where the connection ended without one, "hung" where none came in time.
        p95: milliseconds of an answered request.
        patient: requests of clients that come again when Retry-After says so.
        helped: those of them that got their embeddings.
        tries: the most times that one of them had to come.
        longest: seconds from its first try to its embeddings, the most.
        share: of the processor that the clients took, of one core.
    """

    offered: float = 0.0
    answered: float = 0.0
    statuses: Counter[str] = field(default_factory=Counter)
    p95: float = np.nan
    patient: int = 0
    helped: int = 0
    tries: int = 0
    longest: float = 0.0
    share: float = 0.0


class Line(asyncio.Protocol):
    """A connection on which one request follows the other's answer; as lean as Python allows."""

    def __init__(self) -> None:
        self._bytes = b""
        self._answer: asyncio.Future[tuple[str, bytes]] | None = None
        self._transport: Any = None
        self.open = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        self.open = False
        self._tell("none", b"")

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        self._bytes += data
        end = self._bytes.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._bytes[:end].lower()
        if len(self._bytes) - end - 4 < int(_header(head, b"content-length") or 0):
            return
        self._bytes = b""
        self._tell(head[9:12].decode(), head)

    async def ask(self, request: bytes) -> tuple[str, bytes]:
        """Status and head of the answer; "none" where the connection ended."""
        if not self.open:
            return "none", b""
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer

    def close(self) -> None:
        """Hang up."""
        self._transport.close()

    def _tell(self, status: str, head: bytes) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result((status, head))


def request(url: str, body: bytes, headers: Mapping[str, str] | None = None) -> bytes:
    """A POST of JSON, head and body."""
    parts = urlsplit(url)
    lines = {"Host": parts.netloc, "Content-Type": "application/json", "Content-Length": len(body), **(headers or {})}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"POST {parts.path} HTTP/1.1\r\n{head}\r\n".encode() + body


def load(url: str, requests: Sequence[bytes], clients: int, seconds: float) -> Load:
    """Let clients send requests one after the other, all of them as often as takes so many seconds.

    Whole rounds are counted, so that two loads of the same requests embedded the same texts; a round that is too slow
    is broken off.
    """
    return _apart(_load, url, requests, clients, seconds)


def crowd(url: str, requests: Sequence[bytes], rate: float, seconds: float, patient: int) -> Crowd:
    """Send so many requests a second, whatever becomes of them, and beside them those of some patient clients."""
    return _apart(_crowd, url, requests, rate, seconds, patient)


def _apart(work: Callable[..., Coroutine[Any, Any, _T]], *arguments: Any) -> _T:
    with get_context("spawn").Pool(1) as pool:
        found: _T = pool.apply(_run, (work, arguments))
        return found


def _run(work: Callable[..., Coroutine[Any, Any, _T]], arguments: Sequence[Any]) -> _T:
    return asyncio.run(work(*arguments))


async def _load(url: str, requests: Sequence[bytes], clients: int, seconds: float) -> Load:
    seen: list[float] = []
    failed: Counter[str] = Counter()
    lines = [await _connect(url) for _ in range(clients)]
    started, busy = time.perf_counter(), time.process_time()
    following = _rounds(requests, seconds)

    async def client(line: Line) -> None:
        for one in following:
            begun = time.perf_counter()
            status, _ = await line.ask(one)
            if status == "200":
                seen.append(1000 * (time.perf_counter() - begun))
                continue
            failed[status] += 1
            if not line.open:
                return

    await asyncio.gather(*map(client, lines))
    wall, busy = time.perf_counter() - started, time.process_time() - busy
    for line in lines:
        line.close()
    p50, p95 = np.percentile(seen, (50, 95)) if seen else (np.nan, np.nan)
    return Load(len(seen) / wall, float(p50), float(p95), busy / wall, failed)


def _rounds(requests: Sequence[bytes], seconds: float) -> Iterator[bytes]:
    started = time.perf_counter()
    while time.perf_counter() < started + seconds:
        for one in requests:
            if time.perf_counter() > started + max(SLOW, SLOW * seconds):
                return
            yield one


async def _crowd(url: str, requests: Sequence[bytes], rate: float, seconds: float, patient: int) -> Crowd:
    found = Crowd()
    times: list[float] = []
    idle: list[Line] = []
    following = itertools.cycle(requests)
    started, busy = time.perf_counter(), time.process_time()

    async def once(one: bytes) -> tuple[str, bytes]:
        line = idle.pop() if idle else None
        try:
            if line is None or not line.open:
                line = await _connect(url)
            begun = time.perf_counter()
            async with asyncio.timeout(LIMIT):
                status, head = await line.ask(one)
        except TimeoutError:
            status, head, line = "hung", b"", None
        except OSError:  # the system refused it: the server's backlog is full, or it is gone
            status, head, line = "none", b"", None
        found.statuses[status] += 1
        if status == "200":
            times.append(1000 * (time.perf_counter() - begun))
        if line is not None and line.open:
            idle.append(line)
        return status, head

    async def patiently() -> None:
        while time.perf_counter() < started + seconds:
            begun, tries = time.perf_counter(), 0
            found.patient += 1
            one = next(following)
            while time.perf_counter() < started + seconds + LIMIT:
                tries += 1
                status, head = await once(one)
                if status == "200":
                    found.helped += 1
                    found.tries = max(found.tries, tries)
                    found.longest = max(found.longest, time.perf_counter() - begun)
                    break
                await asyncio.sleep(float(_header(head, b"retry-after") or 1))

    waiting: list[asyncio.Future[Any]] = [asyncio.ensure_future(patiently()) for _ in range(patient)]
    sent = 0
    while (now := time.perf_counter() - started) < seconds:
        while sent < rate * now:
            waiting.append(asyncio.ensure_future(once(next(following))))
            sent += 1
        await asyncio.sleep(0.005)
    await asyncio.gather(*waiting)
    wall = time.perf_counter() - started
    found.offered, found.answered, found.share = sent / seconds, len(times) / wall, (time.process_time() - busy) / wall
    found.p95 = float(np.percentile(times, 95)) if times else np.nan
    for line in idle:
        line.close()
    return found


async def _connect(url: str) -> Line:
    parts = urlsplit(url)
    _, line = await asyncio.get_running_loop().create_connection(Line, parts.hostname or "", parts.port or 80)
    return line


def _header(head: bytes, name: bytes) -> bytes | None:
    """A header's value; the head in small letters."""
    _, found, rest = head.partition(b"\r\n" + name + b": ")
    return rest.split(b"\r\n", 1)[0] if found else None
