"""Mixed traffic for a server: honest clients, slow ones, and ones that mean no good."""

import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from random import Random
from typing import Any
from urllib.parse import quote, urlsplit

import httpx2
import numpy as np
import openai

from bench.ledger import Ledger, Texts

DOCUMENTS = 250
"""That each client which writes keeps at most: an index that grows needs more memory, and that is no leak."""

JOB_SECONDS = 120.0
"""After which a job that is not done counts as lost."""

LIKE = 0.999
"""The least cosine of two vectors of one text."""

BUSY = (429, 503)
"""What any request may be told, with the time to wait."""

_WAYS: tuple[dict[str, Any], ...] = (
    *({}, {}, {"legs": ["bm25"]}, {"legs": ["dense"]}, {"explain": True}, {"group": True}, {"join": True}),
    *({"filter": "path:records*/**"}, {"filter": "type:text", "facets": ["type"]}, {"diversity": 0.3}),
)
_KINDS = ("txt", "md", "html")
_SLOW = 0.2  # seconds between two bytes
_HEAD_PATIENCE = 60.0
_LOST = (httpx2.TransportError, openai.APIConnectionError, OSError)


@dataclass(eq=False)
class Seen:
    """What the clients saw; safe to use from several threads.

    Attributes:
        statuses: answers by client and status.
        reasons: of refusals with 503, by their codes.
        wrong: sentences on what must not be.
        seconds: of answers with 200 and 202, by client.
    """

    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    seconds: dict[str, list[float]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, client: str, status: int, wanted: Sequence[int], body: str, seconds: float | None = None) -> None:
        """An answer came."""
        with self._lock:
            self.statuses[client, status] += 1
            if seconds is not None and status < 300:
                self.seconds.setdefault(client, []).append(seconds)
            if status == 503:
                with suppress(ValueError, KeyError, TypeError):
                    self.reasons[json.loads(body)["error"]["code"]] += 1
            if status not in wanted and status not in BUSY:
                self.wrong.append(f"{client} got {status}: {body[:200]}")

    def say(self, wrong: str) -> None:
        """Something is not as it must be."""
        with self._lock:
            self.wrong.append(wrong)


class Traffic:
    """Clients in threads, from `start` to `stop`.

    Args:
        url: the server.
        model: the name of its embedder.
        texts: what is embedded, searched for and stored.
        ledger: notes what is stored.
        seen: notes what comes back.
        seed: of what is sent.
    """

    def __init__(self, url: str, model: str, texts: Sequence[str], ledger: Ledger, seen: Seen, seed: int) -> None:
        self.url = url
        self.model = model
        self.texts = texts
        self.ledger = ledger
        self.seen = seen
        self._over = threading.Event()
        self._cut = threading.Event()
        self._vectors: dict[str, np.ndarray[Any, Any]] = {}
        self._threads = [
            threading.Thread(target=self._run, args=(place, act, seed * 1000 + place), daemon=True)
            for place, act in enumerate(_ACTS)
        ]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def cut(self) -> None:
        """From now on a connection may be lost: the server is about to be killed."""
        self._cut.set()
        self._over.set()

    def stop(self) -> None:
        """Every client finishes what it is about; those that write wait for their jobs."""
        self._over.set()
        for thread in self._threads:
            thread.join()

    def pause(self, seconds: float) -> bool:
        """Wait; whether all goes on."""
        return not self._over.wait(seconds)

    def _run(self, place: int, act: "Act", seed: int) -> None:
        rng = Random(seed)
        with httpx2.Client(base_url=self.url, timeout=90) as http:
            client = Client(self, act.__name__.strip("_"), f"{act.__name__.strip('_')}-{place}", http, rng)
            while not self._over.is_set():
                try:
                    act(client)
                except _LOST as error:
                    if self._cut.is_set():
                        return
                    self.seen.say(f"{client.kind} lost its connection: {type(error).__name__} {error}")
                    self.pause(0.5)

    def same(self, text: str, vector: np.ndarray[Any, Any]) -> bool:
        """Whether a text has the vector that it had before."""
        before = self._vectors.setdefault(text, vector)
        return float(before @ vector) >= LIKE


@dataclass(frozen=True, eq=False)
class Client:
    """One of them.

    Attributes:
        traffic: all of them.
        kind: what it does.
        name: its own, which its documents' names begin with.
        http: its connections.
        rng: its dice.
    """

    traffic: Traffic
    kind: str
    name: str
    http: httpx2.Client
    rng: Random

    def ask(self, method: str, path: str, wanted: Sequence[int] = (200,), **sent: Any) -> httpx2.Response:
        """Send a request and note what comes."""
        started = time.perf_counter()
        answer = self.http.request(method, path, **sent)
        seconds = time.perf_counter() - started
        self.traffic.seen.note(self.kind, answer.status_code, wanted, answer.text, seconds)
        if answer.status_code in BUSY:
            self.traffic.pause(float(answer.headers.get("retry-after", 1)))
        return answer

    @contextmanager
    def raw(self) -> Iterator[socket.socket]:
        """A connection on which anything can be sent."""
        parts = urlsplit(self.traffic.url)
        with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=90) as connection:
            yield connection

    def some(self, most: int) -> list[str]:
        """Texts."""
        return self.rng.sample(self.traffic.texts, self.rng.randint(1, most))


Act = Callable[[Client], None]


def _openai(client: Client) -> None:
    """Embeddings through OpenAI's own client."""
    texts = client.some(12)
    traffic = client.traffic
    started = time.perf_counter()
    with openai.OpenAI(base_url=f"{traffic.url}/v1", api_key="none", max_retries=0, timeout=90) as ask:
        try:
            found = ask.embeddings.create(model=traffic.model, input=texts, extra_body={"input_type": "document"})
        except openai.APIStatusError as error:
            traffic.seen.note(client.kind, error.status_code, (200,), error.response.text)
            traffic.pause(float(error.response.headers.get("retry-after", 1)))
            return
    traffic.seen.note(client.kind, 200, (200,), "", time.perf_counter() - started)
    for text, one in zip(texts, found.data, strict=True):
        if not traffic.same(text, np.array(one.embedding, np.float32)):
            traffic.seen.say(f"another vector of the text {text[:50]!r}")
    traffic.pause(client.rng.random() * 0.5)


def _embed(client: Client) -> None:
    """Other families' routes."""
    texts = client.some(4)
    path, body = client.rng.choice(
        [
            ("/v2/embed", {"texts": texts, "input_type": "search_query", "model": client.traffic.model}),
            ("/embed", {"inputs": texts}),
            ("/tokenize", {"inputs": texts}),
            ("/v1/encode", {"input": texts, "role": "query"}),
            ("/v1/embeddings", {"input": texts, "model": client.traffic.model, "encoding_format": "base64"}),
        ]
    )
    client.ask("POST", path, json=body)
    client.traffic.pause(client.rng.random() * 0.3)


def _burst(client: Client) -> None:
    """As many requests at once as a page that loads."""
    texts = [text.split(".")[0] for text in client.some(32)]
    with httpx2.Client(base_url=client.traffic.url, timeout=90) as http:
        each = Client(client.traffic, client.kind, client.name, http, client.rng)
        body = {"model": client.traffic.model}
        threads = [threading.Thread(target=_quietly, args=(each, {**body, "input": text}, client)) for text in texts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    client.traffic.pause(2 + 3 * client.rng.random())


def _quietly(client: Client, body: Mapping[str, Any], owner: Client) -> None:
    try:
        client.ask("POST", "/v1/embeddings", json=body)
    except _LOST as error:
        if not owner.traffic._cut.is_set():
            owner.traffic.seen.say(f"{owner.kind} lost its connection: {error}")


def _search(client: Client) -> None:
    """Searches of all kinds, and what else the index is asked."""
    words = " ".join(client.rng.choice(client.traffic.texts).split()[: client.rng.randint(2, 12)])
    options = client.rng.choice(_WAYS)
    path, body = client.rng.choice(
        [("/v1/search", {"query": words, "limit": client.rng.choice((1, 10, 100)), **options})] * 4
        + [("/v1/search", {"query": [words, words[::-1] or "a"]}), ("/v1/similar", {"text": words})]
    )
    client.ask("POST", path, (200, 404), json=body)  # no index yet
    client.traffic.pause(client.rng.random() * 0.2)


def _look(client: Client) -> None:
    """What watches a server asks, and copilots."""
    call = {"name": "search", "arguments": {"query": client.rng.choice(client.traffic.texts)[:40]}}
    paths: list[tuple[str, str, Any]] = [
        ("GET", "/health/ready", None),
        ("GET", "/metrics", None),
        ("GET", "/v1/index", None),
        ("GET", "/v1/documents?limit=200", None),
        ("GET", "/v1/models", None),
        ("GET", "/openapi.json", None),
        ("POST", "/mcp", {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}),
    ]
    method, path, body = client.rng.choice(paths)
    accept = {"Accept": "application/json, text/event-stream"}
    client.ask(method, path, (200, 404), json=body, headers=accept)
    client.traffic.pause(client.rng.random())


def _records(client: Client) -> None:
    """Texts with names: new ones, in place of old ones, some for a short time; and deletions, several jobs at once."""
    jobs = [job for _ in range(client.rng.randint(1, 4)) if (job := _change(client))]
    _wait(client, jobs)
    client.traffic.pause(client.rng.random())


def _files(client: Client) -> None:
    """Files of several kinds, and broken ones."""
    texts = {f"{name}.{_KINDS[int(name[-1]) % len(_KINDS)]}": _text(client) for name in _names(client, 3)}
    files = [("file", (name, _file(name, text))) for name, text in texts.items()]
    sent: dict[str, Any] = {"files": files}
    if len(files) == 1:
        (name,) = texts
        sent = {"files": {"file": ("upload" + name[name.rindex(".") :], files[0][1][1])}, "data": {"source": name}}
    job = _submit(client, texts, "POST", "/v1/documents", **sent)
    if client.rng.random() < 0.1:
        broken = {"file": ("broken.pdf", client.rng.randbytes(2000))}
        client.ask("POST", "/v1/documents", (202, 400), files=broken)
    _wait(client, [job] if job else [])
    client.traffic.pause(2 * client.rng.random())


def _file(name: str, text: str) -> bytes:
    return (f"<html><body><p>{text}</p></body></html>" if name.endswith("html") else text).encode()


def _change(client: Client) -> tuple[str, Texts] | None:
    there = client.traffic.ledger.names(client.name + "/")
    if there and (len(there) >= DOCUMENTS or client.rng.random() < 0.25):
        name = client.rng.choice(there)
        return _submit(client, {name: None}, "DELETE", f"/v1/documents/{quote(name)}")
    if client.rng.random() < 0.05:
        record = {"source": f"brief/{client.name}", "text": client.rng.choice(client.traffic.texts), "ttl": "1s"}
        client.ask("POST", "/v1/documents", (202,), json=record)
    names = _names(client, client.rng.choice((1, 1, 1, 5, 20)))
    texts = {name: _text(client) for name in names}
    records = [{"source": name, "text": text, "floor": client.rng.randint(0, 9)} for name, text in texts.items()]
    return _submit(client, texts, "POST", "/v1/documents", json=records if len(records) > 1 else records[0])


def _names(client: Client, count: int) -> list[str]:
    """Of its documents, those that there are already among them."""
    return list({f"{client.name}/{client.rng.randrange(DOCUMENTS)}" for _ in range(count)})


def _text(client: Client) -> str:
    """A text that is like no other one: its first word and its last are its own."""
    mark = f"mark{client.rng.getrandbits(48):012x}z"
    body = client.rng.choice(client.traffic.texts)
    if client.rng.random() < 0.8:  # most are short
        body = " ".join(body.split()[: client.rng.randint(5, 60)])
    return f"{mark} {body} {mark}"


def _submit(client: Client, texts: Texts, method: str, path: str, **sent: Any) -> tuple[str, Texts] | None:
    """Send a change; its job, where it was taken."""
    ledger = client.traffic.ledger
    ledger.sent(texts)
    answer = client.ask(method, path, (202,), **sent)
    if answer.status_code != 202:
        ledger.refused(texts)
        return None
    return answer.json()["id"], texts


def _wait(client: Client, jobs: Sequence[tuple[str, Texts]]) -> None:
    """Until jobs are done; they are done in their order."""
    until = time.monotonic() + JOB_SECONDS
    for job, texts in jobs:
        while True:
            answer = client.ask("GET", f"/v1/jobs/{job}")
            said = answer.json() if answer.status_code == 200 else {"status": "waiting"}
            if said["status"] == "done":
                client.traffic.ledger.done(texts)
                break
            if said["status"] == "failed" or time.monotonic() > until:
                client.traffic.seen.say(f"a job of {client.kind} is {said['status']}: {str(said)[:300]}")
                return
            time.sleep(0.05)


def _slow(client: Client) -> None:
    """A body that comes byte by byte."""
    body = json.dumps({"model": client.traffic.model, "input": "a stone"}).encode() + b" " * 1000
    with client.raw() as connection:
        connection.sendall(_head("/v1/embeddings", len(body)))
        connection.settimeout(_SLOW)
        for byte in body:
            try:
                connection.sendall(bytes((byte,)))
                answer = connection.recv(1000)
            except TimeoutError:
                if client.traffic._over.is_set():
                    return
                continue
            client.traffic.seen.note(client.kind, _status(answer), (408,), answer.decode("latin-1"))
            return


def _half_open(client: Client) -> None:
    """Connections that begin a request, or end one, and then say nothing; the server must close them."""
    parts = urlsplit(client.traffic.url)
    begun = [socket.create_connection((parts.hostname, parts.port), timeout=5) for _ in range(50)]
    try:
        for place, connection in enumerate(begun):
            with suppress(ConnectionError):
                if place % 3 == 0:
                    connection.sendall(b"POST /v1/embeddings HTTP/1.1\r\nHost: local")
                elif place % 3 == 1:
                    connection.sendall(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        until = time.monotonic() + _HEAD_PATIENCE
        for connection in begun:
            connection.settimeout(0.5)
            while True:
                try:
                    if not connection.recv(1000):
                        break
                except TimeoutError:
                    if client.traffic._over.is_set():
                        return
                    if time.monotonic() > until:
                        client.traffic.seen.say("a connection that says nothing was not closed")
                        return
                except ConnectionError:
                    break
        client.traffic.seen.note(client.kind, 0, (0,), "")
    finally:
        for connection in begun:
            connection.close()


def _oversized(client: Client) -> None:
    """Bodies of a hundred megabytes, said to be so or not."""
    kind = {"Content-Type": "application/json"}
    path = client.rng.choice(("/v1/embeddings", "/v1/search", "/v1/documents", "/v2/rerank", "/mcp"))
    if client.rng.random() < 0.5:
        with client.raw() as connection:
            connection.sendall(_head(path, 100 << 20))
            answer = connection.recv(1000)
        client.traffic.seen.note(client.kind, _status(answer), (413,), answer.decode("latin-1"))
    else:
        block = b" " * (1 << 16)
        with suppress(httpx2.WriteError, httpx2.ReadError, httpx2.RemoteProtocolError):  # closed while we still sent
            client.ask("POST", path, (413,), content=(block for _ in range(1600)), headers=kind)
    client.traffic.pause(5 * client.rng.random())


def _hostile(client: Client) -> None:
    """What no honest client sends."""
    rng = client.rng
    bodies = (
        b'{"model": "m", "input": "\xff\xfe"}',
        b'{"input": "\\ud800"}',
        b'{"input": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
        b'{"query": ' + b"9" * 10_000 + b"}",
        b'{"query": "a", "filter": "' + b"(" * 5000 + b'"}',
        b'{"query": "a", "filter": "' + b"-" * 5000 + b'x:y"}',
        b'{"query": "' + b"x" * 1_000_000 + b'", "limit": 1e999}',
        b'{"source": "a\\u0000", "text": "b"}',
        b'{"source": "' + b"n" * 1_000_000 + b'", "text": "b"}',
        b"",
        b"null",
        rng.randbytes(500),
        json.dumps({"query": "a", "legs": ["no"] * 1000}).encode(),
    )
    paths = ("/v1/embeddings", "/embed", "/v2/embed", "/v1/rerank", "/v1/encode", "/v1/search", "/v1/documents", "/mcp")
    body, path = rng.choice(bodies), rng.choice(paths)
    client.ask("POST", path, range(400, 500), content=body, headers={"Content-Type": "application/json"})
    odd = (
        "/v1/documents/" + "a" * 20_000,
        "/v1/documents/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "/v1/documents/%ff%fe%00",
        "/v1/jobs/" + "../" * 50,
        "/v1/documents?filter=" + "%28" * 2000,
        "/v1/documents?limit=99999999999999999999",
        "/v1/documents?after=%f0%9f",
        "/%00",
    )
    client.ask(*rng.choice((("GET", rng.choice(odd), (*range(400, 500), 200)), ("PATCH", "/v1/search", (405,)))))
    with client.raw() as connection:
        connection.sendall(rng.choice((rng.randbytes(200), b"GET / HTTP/9.9\r\n\r\n", b"A" * 100_000)) + b"\r\n\r\n")
        connection.settimeout(1)
        with suppress(TimeoutError, ConnectionError):
            connection.recv(1000)
    client.traffic.pause(0.5 * rng.random())


def _gone(client: Client) -> None:
    """Asks for much and does not wait for it."""
    body = json.dumps({"model": client.traffic.model, "input": client.some(100)}).encode()
    with client.raw() as connection:
        connection.sendall(_head("/v1/embeddings", len(body)) + body)
        client.traffic.pause(client.rng.random())
    client.traffic.seen.note(client.kind, 0, (0,), "")
    client.traffic.pause(5 * client.rng.random())


def _head(path: str, length: int) -> bytes:
    lines = (f"POST {path} HTTP/1.1", "Host: localhost", "Content-Type: application/json", f"Content-Length: {length}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def _status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/") else 0


_ACTS: tuple[Act, ...] = (
    *(_openai, _openai, _embed, _embed, _burst),
    *(_search, _search, _look),
    *(_records, _records, _files, _files),
    *(_slow, _half_open, _oversized, _hostile, _gone),
)
