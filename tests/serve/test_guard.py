"""Who may ask, and how much; and clients that mean no good."""

import json
import socket
import threading
import time
from urllib.parse import urlsplit

import httpx2
import pytest

from beige.serve import keys

ASK = {"model": "tiny-bert", "input": "light"}


def connect(url: str) -> socket.socket:
    parts = urlsplit(url)
    return socket.create_connection((parts.hostname, parts.port), timeout=20)


def head(length: int | str, path: str = "/v1/embeddings", host: str = "localhost") -> bytes:
    lines = [f"POST {path} HTTP/1.1", f"Host: {host}", "Content-Type: application/json", f"Content-Length: {length}"]
    return "\r\n".join([*lines, "", ""]).encode()


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def test_keys_are_asked_for_and_metrics_too(serve, folders, tmp_path):
    file = tmp_path / "keys.json"
    key = keys.create(file, "laptop", "read")
    with serve(models=(str(folders["bert"]),), keys=file) as server:
        ask = httpx2.Client(base_url=server.url)
        for path in ("/v1/models", "/metrics", "/info", "/openapi.json", "/nowhere"):
            for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {key}"}):
                told = ask.get(path, headers=headers)
                assert told.status_code == 401, path
                assert told.headers["www-authenticate"] == "Bearer"
        assert ask.post("/v1/embeddings", json=ASK).json()["error"]["type"] == "authentication_error"
        assert ask.post("/embed", json={"inputs": "a"}).json()["error_type"] == "Validation"
        good = {"Authorization": f"Bearer {key}"}
        assert ask.post("/v1/embeddings", json=ASK, headers=good).status_code == 200
        assert ask.get("/metrics", headers=good).status_code == 200
        assert ask.get("/health/live").status_code == ask.get("/health/ready").status_code == 200
        keys.revoke(file, "laptop")
        until = time.monotonic() + 10
        while ask.get("/metrics", headers=good).status_code == 200:  # it looks at the file once a second
            assert time.monotonic() < until
            time.sleep(0.05)
        assert ask.get("/metrics").status_code == 401  # never open again
        ask.close()


def test_a_name_that_leads_here_is_refused(url):
    for name in ("evil.example", "localhost.evil.example", "localhost@evil.example", "evil.example#@localhost"):
        assert httpx2.get(f"{url}/v1/models", headers={"Host": name}).status_code == 421
    port = urlsplit(url).port
    for name in ("localhost", f"localhost:{port}", f"127.0.0.1:{port}", f"[::1]:{port}"):
        assert httpx2.get(f"{url}/v1/models", headers={"Host": name}).status_code == 200


def test_other_origins_are_not_allowed_unless_told(url, serve, folders, tmp_path):
    ask = {"Origin": "https://app.example", "Access-Control-Request-Method": "POST"}
    assert "access-control-allow-origin" not in httpx2.options(f"{url}/v1/embeddings", headers=ask).headers
    with serve(models=(str(folders["bert"]),), origins=("https://app.example",), keys=tmp_path / "k") as server:
        told = httpx2.options(f"{server.url}/v1/embeddings", headers=ask)
        assert told.headers["access-control-allow-origin"] == "https://app.example"


def test_requests_have_ids(post):
    assert len(post("/v1/embeddings", ASK).headers["x-request-id"]) == 32
    assert post("/v1/embeddings", ASK, headers={"X-Request-Id": "my-1"}).headers["x-request-id"] == "my-1"
    assert post("/v1/embeddings", ASK, headers={"X-Request-Id": "a b"}).headers["x-request-id"] != "a b"


def test_metrics_count(url, post):
    def value(name: str) -> float:
        lines = httpx2.get(f"{url}/metrics").text.splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))

    asked = 'beige_requests_total{route="/v1/embeddings",status="200"}'
    refused = 'beige_refused_total{reason="invalid"}'
    cut = 'beige_truncated_inputs_total{model="tiny-bert"}'
    before = [value(name) for name in (asked, refused, cut)]
    post("/v1/embeddings", {"model": "tiny-bert", "input": ["paper " * 300, "a"]})
    post("/v1/embeddings", {"model": "tiny-bert", "input": 5})
    assert [value(name) for name in (asked, refused, cut)] == [number + 1 for number in before]
    assert value("beige_model_loaded") == 3
    assert value('beige_queue_tokens{lane="query"}') == 0


def test_the_log_holds_no_texts(post, caplog):
    caplog.set_level("DEBUG", "beige.serve")
    post("/v1/embeddings", {"model": "tiny-bert", "input": "a secret"})
    post("/v1/embeddings", {"model": "tiny-bert", "input": {"a secret": 1}})
    post("/v1/embeddings", {"model": "tiny-bert", "a secret": "a secret"})
    lines = [record for record in caplog.records if record.name == "beige.serve"]
    assert [record.facts["status"] for record in lines][-3:] == [200, 400, 400]
    assert "secret" not in repr([(record.getMessage(), record.facts) for record in lines])


@pytest.mark.parametrize(
    "body",
    [
        b'{"model": "tiny-bert", "input": "\xff\xfe"}',
        b'{"model": "tiny-bert", "input": "\\ud800"}',
        b'{"model": "tiny-bert", "input": "a", "dimensions": NaN}',
        b'{"model": "tiny-bert", "input": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
        b'{"model": "tiny-bert", "input": "a"',
        b'{"model": "tiny-bert", "input": ' + b"9" * 10_000 + b"}",
        b"",
        b"null",
        b"[]",
        b'"input"',
        b"\x00" * 100,
    ],
)
def test_broken_bodies_are_refused(url, post, body):
    for path in ("/v1/embeddings", "/embed", "/v2/embed", "/v1/rerank", "/v1/encode", "/tokenize"):
        told = httpx2.post(url + path, content=body, headers={"Content-Type": "application/json"})
        assert 400 <= told.status_code < 500, path
        assert told.json()
    assert post("/v1/embeddings", ASK).status_code == 200


def test_a_body_that_is_said_to_be_no_json_is_refused(url):
    told = httpx2.post(f"{url}/v1/embeddings", content=json.dumps(ASK), headers={"Content-Type": "text/plain"})
    assert told.status_code == 400
    assert "application/json" in told.json()["error"]["message"]


def test_large_bodies_are_refused_before_they_are_read(url):
    with connect(url) as client:
        client.sendall(head(100 << 20))
        assert status_of(client.recv(1000)) == 413


def test_large_bodies_without_a_length_are_refused(url, post):
    def chunks():
        for _ in range(200):
            yield b" " * (1 << 16)

    try:
        told = httpx2.post(f"{url}/v1/embeddings", content=chunks(), headers={"Content-Type": "application/json"})
        assert told.status_code == 413
    except httpx2.TransportError:
        pass  # it was closed while we still sent
    assert post("/v1/embeddings", ASK).status_code == 200


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/tokenize", {"inputs": "light " * 100_000}),
        ("/v1/embeddings", {"model": "tiny-bert:query", "input": "light " * 100_000}),
    ],
)
def test_others_do_not_wait_until_a_long_text_is_tokenized(url, post, monkeypatch, path, body):
    from beige.embedder import Embedder

    gate, begun = threading.Event(), threading.Event()

    def held(compute):
        def run(self, given, *rest):
            if max(map(len, [given] if isinstance(given, str) else given)) > 1000:
                begun.set()
                assert gate.wait(20)
            return compute(self, given, *rest)

        return run

    for name in ("spell", "tokenize"):
        monkeypatch.setattr(Embedder, name, held(getattr(Embedder, name)))
    found = []
    asking = threading.Thread(target=lambda: found.append(httpx2.post(url + path, json=body, timeout=60)))
    asking.start()
    try:
        assert begun.wait(10)
        assert post("/v1/embeddings", ASK).status_code == 200
        assert post("/tokenize", {"inputs": "light"}).status_code == 200
        assert not found
    finally:
        gate.set()
        asking.join()
    assert found[0].status_code == 200


def test_a_long_query_is_not_read_with_each_of_many_passages(post):
    told = post("/v1/rerank", {"model": "tiny-reranker", "query": "a " * 200_000, "documents": ["b"] * 1000})
    assert told.status_code == 413
    assert "shorter query" in told.json()["message"]


def test_slow_and_half_open_clients_harm_nobody(serve, folders, tmp_path):
    settings = {"models": (str(folders["bert"]),), "keys": tmp_path / "k", "body_seconds": 0.3}
    with serve(**settings) as server:
        silent = [connect(server.url) for _ in range(50)]
        halves = [connect(server.url) for _ in range(50)]
        for client in halves:
            client.sendall(b"POST /v1/embeddings HTTP/1.1\r\nHost: local")
        slow = connect(server.url)
        slow.sendall(head(1000) + b"{")
        for _ in range(5):
            assert httpx2.post(f"{server.url}/v1/embeddings", json=ASK).status_code == 200
        assert status_of(slow.recv(1000)) == 408
        for client in (*silent, *halves, slow):
            client.close()
        assert httpx2.post(f"{server.url}/v1/embeddings", json=ASK).status_code == 200


def test_a_head_that_does_not_end_is_not_waited_for(serve, folders, tmp_path, monkeypatch):
    monkeypatch.setattr("beige.serve.connection.HEAD_SECONDS", 0.3)
    with serve(models=(str(folders["bert"]),), keys=tmp_path / "k") as server:
        with connect(server.url) as half:
            half.sendall(b"POST /v1/embeddings HTTP/1.1\r\nHost: local")
            assert half.recv(1) == b""  # closed
        body = json.dumps(ASK).encode()
        with connect(server.url) as client:
            for _ in range(3):
                client.sendall(head(len(body)) + body)
                assert status_of(client.recv(1 << 16)) == 200
            client.sendall(b"POST /v1/emb")
            assert client.recv(1) == b""


def test_a_client_that_goes_away_cancels_its_work(serve, folders, tmp_path, monkeypatch):
    from beige.embedder import Embedder

    gate, computed = threading.Event(), []
    compute = Embedder.encode_batch

    def held(self, texts, *rest):
        computed.append(len(texts))
        assert gate.wait(20)
        return compute(self, texts, *rest)

    with serve(models=(str(folders["bert"]),), keys=tmp_path / "k") as server:
        monkeypatch.setattr(Embedder, "encode_batch", held)
        scheduler = server.service.scheduler
        body = json.dumps({"model": "tiny-bert", "input": ["light"] * 1000}).encode()
        with connect(server.url) as client:
            client.sendall(head(len(body)) + body)
            until = time.monotonic() + 10
            while not sum(scheduler.tokens(lane) for lane in ("query", "ingestion")) or not computed:
                assert time.monotonic() < until
                time.sleep(0.01)
        while sum(scheduler.tokens(lane) for lane in ("query", "ingestion")):
            assert time.monotonic() < until
            time.sleep(0.01)
        gate.set()
        assert sum(computed) < 1000


def test_shutdown_finishes_what_was_taken(serve, folders, tmp_path, monkeypatch):
    from beige.embedder import Embedder

    gate, started = threading.Event(), threading.Event()
    compute = Embedder.encode_batch

    def held(self, *rest):
        started.set()
        assert gate.wait(20)
        return compute(self, *rest)

    found = []
    with serve(models=(str(folders["bert"]),), keys=tmp_path / "k") as server:
        monkeypatch.setattr(Embedder, "encode_batch", held)
        asking = threading.Thread(
            target=lambda: found.append(httpx2.post(f"{server.url}/v1/embeddings", json=ASK, timeout=20))
        )
        asking.start()
        assert started.wait(10)
        server.should_exit = True
        time.sleep(0.3)  # long enough for it to stop listening
        gate.set()
        asking.join()
    assert found[0].status_code == 200


def test_tls(serve, folders, tmp_path):
    import ssl
    import subprocess

    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", key, "-out", certificate),
        ],
        check=True,
        capture_output=True,
    )
    settings = {"models": (str(folders["bert"]),), "keys": tmp_path / "k"}
    with serve(ready=False, certificate=certificate, private_key=key, **settings) as server:
        assert server.url.startswith("https://")
        context = ssl.create_default_context(cafile=certificate)
        told = httpx2.post(f"{server.url}/v1/embeddings", json=ASK, verify=context)
        assert told.status_code == 200
