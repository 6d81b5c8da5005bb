"""The measuring of servers: clients against one that answers as it is told to."""

import asyncio
import math
from collections import Counter

import pytest

from bench import clients, serve
from bench.clients import Crowd, Load, request
from bench.servers import BEIGE, INFINITY


class Told:
    """A server that answers each request by the next of some statuses, then by 200."""

    def __init__(self, *statuses: str) -> None:
        self.statuses = list(statuses)
        self.bodies: list[bytes] = []

    async def __aenter__(self) -> "Told":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1/embeddings"
        return self

    async def __aexit__(self, *_) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                assert head.startswith(b"POST /v1/embeddings HTTP/1.1\r\n")
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                self.bodies.append(await reader.readexactly(length))
                status = self.statuses.pop(0) if self.statuses else "200"
                if status == "none":
                    break
                again = "Retry-After: 0\r\n" if status == "429" else ""
                writer.write(f"HTTP/1.1 {status} So\r\n{again}Content-Length: 2\r\n\r\n".encode())
                await writer.drain()
                writer.write(b"{}")
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()


def test_clients_send_every_text_equally_often():
    async def main():
        async with Told("500") as told:
            requests = [request(told.url, b"%d" % number) for number in range(5)]
            found = await clients._load(told.url, requests, 3, 0.05)
        sent = Counter(told.bodies)
        assert len(sent) == 5
        assert len(set(sent.values())) == 1
        assert found.failed == {"500": 1}
        assert found.rate > 0
        assert found.p50 <= found.p95

    asyncio.run(main())


def test_a_crowd_does_not_wait_and_the_patient_come_again():
    async def main():
        async with Told("429", "none", "429", "500") as told:
            found = await clients._crowd(told.url, [request(told.url, b"text")], 100, 0.2, 1)
        assert found.statuses == Counter({"429": 2, "none": 1, "500": 1, "200": len(told.bodies) - 4})
        assert found.helped == found.patient > 0
        assert found.offered == pytest.approx(100, rel=0.2)

    asyncio.run(main())


def measured(rate: float, p95: float) -> dict:
    by_count = {count: vars(Load(rate, p95 / 2, p95, 0.1, {})) for count in serve.CLIENTS}
    return {"mixed": by_count, "short": by_count}


def test_the_page_tells_what_was_measured_and_judges_it():
    one = vars(Load(100, 5, 8, 0.1, {}))
    found = {
        BEIGE: measured(90, 10),
        INFINITY: measured(20, 30),
        "peer": {"infinity-emb": "1.0", "torch": "2.0"},
        "library": {
            "before": {"mixed": 110, "short": 400},
            "after": {"mixed": 90, "short": 400},
            "query": (4, 6),
            "precision": "bf16",
        },
        "filled": {"idle": one, "beside": one | {"p95": 70}, "tokens": 1000, "batch": 20, "short": 0.99},
        "overload": vars(Crowd(10, 1, Counter({"200": 5, "429": 50, "none": 2}), 9, 3, 2, 4, 5, 0.1))
        | {"before": one, "after": one, "memory": (400, 500)},
    }
    figures = {figure.what: figure for figure in serve.aims(found, True)}
    assert figures["32 clients, mixed texts, share of the library's rate"].figure == pytest.approx(0.9)
    missed = {what for what, figure in figures.items() if not figure.reached}
    assert missed == {
        "the same beside ingestion less idle, p95",
        "overload: answers but embeddings, 429 and 503",
        "overload: requests of patient clients that were not answered in the end",
    }
    machine = {"cpu": "c", "cores": 2, "memory": 2**30, "system": "s", "capabilities": ["bf16"]}
    around = {
        "beige": "1",
        "commit": "c",
        "date": "d",
        "python": "3",
        "command": "python",
        "load": 0,
        "machine": machine,
    }
    page = serve.render(around, found, list(figures.values()))
    assert "**missed**" in page
    assert "Infinity 1.0" in page
    del found[INFINITY]
    found["failed"] = "it cannot be installed"
    assert "No figures of Infinity: it cannot be installed." in serve.render(around, found, serve.aims(found, True))
    assert not any(math.isnan(figure.figure) for figure in serve.aims(found, True))
