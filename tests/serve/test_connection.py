"""Clients that hold on to connections."""

import gc
import json
import resource
import socket
import time
import weakref

import httpx2
import pytest

from beige.serve import connection
from tests.serve.test_guard import ASK, connect, head, status_of


def closed(client: socket.socket) -> bool:
    """Whether the server has closed a connection, or does so within some seconds."""
    client.settimeout(10)
    try:
        while client.recv(1 << 20):
            pass
    except ConnectionError:
        return True
    except TimeoutError:
        return False
    return True


def test_of_too_many_connections_the_most_silent_go(serve, folders, tmp_path, monkeypatch):
    monkeypatch.setattr("beige.serve.server.make_room", lambda: 20)
    with serve(models=(str(folders["bert"]),), keys=tmp_path / "k") as server:
        crowd = [connect(server.url) for _ in range(60)]
        body = json.dumps(ASK).encode()
        with connect(server.url) as client:
            for _ in range(3):
                client.sendall(head(len(body)) + body)
                assert status_of(client.recv(1 << 16)) == 200
            assert closed(crowd[0])
            assert len(server.server_state.connections) <= 20
        for one in crowd:
            one.close()


def test_a_head_without_an_end_is_not_kept(url):
    with connect(url) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n")
        try:
            for _ in range(100):
                client.sendall(b"X: " + b"x" * 10_000 + b"\r\n")
        except ConnectionError:
            return
        assert closed(client)


def test_an_answer_that_is_not_taken_is_dropped(serve, folders, tmp_path, monkeypatch):
    monkeypatch.setattr(connection, "TAKE_SECONDS", 0.3)
    with serve(models=(str(folders["bert"]),), keys=tmp_path / "k") as server:
        body = json.dumps({"model": "tiny-bert", "input": ["light"] * 2000}).encode()
        with connect(server.url) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            for _ in range(20):  # more than the kernel's buffers hold
                client.sendall(head(len(body)) + body)
            until = time.monotonic() + 20
            while server.server_state.total_requests == 0 or any(one._asked() for one in _open(server)):
                assert time.monotonic() < until
                time.sleep(0.05)
        assert httpx2.post(f"{server.url}/v1/embeddings", json=ASK).status_code == 200


def test_an_answer_that_is_taken_slowly_comes_whole(serve, folders, tmp_path, monkeypatch):
    monkeypatch.setattr(connection, "TAKE_SECONDS", 0.2)
    with serve(models=(str(folders["bert"]),), keys=tmp_path / "k") as server:
        body = json.dumps({"model": "tiny-bert", "input": ["light"] * 2000}).encode()
        with connect(server.url) as client:
            client.sendall(head(len(body)) + body)
            taken = client.recv(4096)
            wanted = int(taken.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            whole = taken.partition(b"\r\n\r\n")[2]
            while len(whole) < wanted:
                time.sleep(0.05)
                whole += client.recv(1 << 17)
        assert len(json.loads(whole)["data"]) == 2000


@pytest.mark.parametrize(
    ("soft", "hard", "said"),
    [(256, 256, 128), (1024, 4096, 3840), (1024, resource.RLIM_INFINITY, 10_000), (50_000, 50_000, 10_000)],
)
def test_as_many_connections_as_there_may_be_files(monkeypatch, soft, hard, said):
    asked = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: asked.append(limits))
    assert connection.make_room() == said
    assert asked[0][0] >= soft
    assert asked[0][1] == hard


def _open(server):
    return list(server.server_state.connections)


def test_a_connection_that_is_lost_holds_no_request(serve, folders, tmp_path):
    with serve(models=(str(folders["bert"]),), keys=tmp_path / "k") as server:
        body = json.dumps(ASK).encode()
        gc.disable()
        try:
            with connect(server.url) as client:
                client.sendall(head(len(body)) + body)
                assert status_of(client.recv(1 << 16)) == 200
                (asked,) = [weakref.ref(one.cycle) for one in _open(server)]
            until = time.monotonic() + 20
            while asked() is not None:
                assert time.monotonic() < until
                time.sleep(0.02)
        finally:
            gc.enable()
