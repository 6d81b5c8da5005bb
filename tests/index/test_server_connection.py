"""What a server, or what is none, can do to a client: a sentence each, and nothing sent twice that must not be."""

import socket
import threading
from collections.abc import Callable

import pytest

from beige.errors import BeigeError, InputError, StoreError, UsageError
from beige.index.place import Collection, Folder, Server, place_of
from beige.index.server import connection
from beige.index.server.address import is_address, parse
from beige.index.server.connection import Connection, MissingError
from tests.http_server import serving
from tests.index.scripted_server import OK, Answer, Scripted, refusal, scripted

BUSY = refusal(429, "overloaded", "too many wait", Retry_After="3")


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        ((302, b"", {"Location": "http://other/v1/index"}), StoreError, "leads to http://other/v1/index"),
        ((200, b"<html>", {}), StoreError, "is no Beige server"),
        ((404, b"<html>no page</html>", {}), StoreError, "no Beige server, or one of another version: it answers 404"),
        ((404, {"detail": "Not Found"}, {}), StoreError, "is no Beige server"),
        ((500, b"", {}), StoreError, "is no Beige server"),
        (refusal(404, "not_found", "Not Found"), StoreError, "is of another version of Beige (/v1/index: Not Found)"),
        (refusal(400, "invalid", "there is no field 'whole'"), StoreError, "is of another version of Beige"),
        (refusal(404, "not_found", "there is no index yet"), MissingError, ": there is no index yet"),
        (refusal(401, "unauthorized", "a key"), StoreError, "needs a key: put one of its keys into BEIGE_API_KEY"),
        (refusal(403, "forbidden", "the key may read only"), StoreError, ": the key may read only"),
        (refusal(400, "invalid", "no leg 'smell'"), UsageError, "no leg 'smell'"),
        (refusal(404, "model_not_found", "no reranker"), UsageError, "no reranker"),
        (refusal(413, "too_large", "the body is larger"), InputError, "the body is larger"),
        (refusal(500, "failed", "the server failed"), StoreError, ": the server failed"),
        (refusal(503, "expired", "not answered in time", Retry_After="1"), StoreError, "not answered in time"),
    ],
    ids=str,
)
def test_a_refusal_is_a_sentence_at_once(answer: Answer, kind: type[BeigeError], said: str) -> None:
    with scripted(answer) as (made, seen, _), pytest.raises(kind) as told:
        made.get("/v1/index")
    assert said in str(told.value)
    assert "\n" not in str(told.value)
    assert len(seen) == 1


def test_a_busy_server_is_asked_again_after_the_pause_that_it_names() -> None:
    with scripted(BUSY, refusal(503, "closing", "later", Retry_After="5"), OK) as (made, seen, pauses):
        assert made.delete("/v1/documents", [("source", "a")]) == {"fine": 1}
    assert len(seen) == 3
    assert pauses == [3.0, 6.0]  # each longer than the one before
    with scripted(BUSY) as (made, seen, pauses), pytest.raises(StoreError, match="too many wait"):
        made.get("/v1/index")
    assert len(seen) <= connection.TRIES
    assert sum(pauses) <= connection.PATIENCE
    with scripted(refusal(429, "overloaded", "busy", Retry_After="900")) as (made, seen, _), pytest.raises(StoreError):
        made.get("/v1/index")
    assert len(seen) == 1  # nobody waits for so long


@pytest.mark.parametrize("broken", [None, (502, b"bad gateway", {})], ids=["broken off", "proxy"])
def test_what_may_have_been_done_is_only_sent_again_where_that_does_no_harm(broken: Answer | None) -> None:
    reads: list[Callable[[Connection], object]] = [
        lambda made: made.get("/v1/index"),
        lambda made: made.post("/v1/documents", [{}]),
        lambda made: made.send("/v1/documents", {"source": ["a"]}, [("file.txt", b"abc")]),
    ]
    for read in reads:
        with scripted(broken, OK) as (made, seen, _):
            assert read(made) == {"fine": 1}
            assert len(seen) == 2
    with scripted(broken, OK) as (made, seen, _), pytest.raises(StoreError):
        made.delete("/v1/documents", [("source", "a")])
    assert len(seen) == 1


def test_the_key_goes_to_the_server_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BEIGE_API_KEY", " secret ")
    elsewhere: list[tuple[str, str, str | None]] = []
    with (
        serving(Scripted, script=[OK], seen=elsewhere) as other,
        scripted((307, b"", {"Location": f"{other}/v1/index"})) as (made, seen, _),
        pytest.raises(StoreError, match="name that address itself"),
    ):
        made.get("/v1/index")
    assert seen == [("GET", "/v1/index", "Bearer secret")]
    assert elsewhere == []
    with (
        scripted(refusal(401, "unauthorized", "no")) as (made, _, _),
        pytest.raises(StoreError, match="does not know the key in BEIGE_API_KEY"),
    ):
        made.get("/v1/index")


def test_nobody_there_is_said_at_once() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    made = Connection(parse(f"http://127.0.0.1:{port}"))
    with pytest.raises(StoreError, match=f"http://127.0.0.1:{port} cannot be reached .*is beige serve running"):
        made.get("/v1/index")
    made.close()


def test_a_server_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "ANSWER", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        made = Connection(parse(f"http://127.0.0.1:{silent.getsockname()[1]}"))
        with pytest.raises(StoreError, match=r"did not answer within 0\.1 s"):
            made.get("/v1/index")
        made.close()


def test_offline_asks_no_other_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BEIGE_OFFLINE", "1")
    with pytest.raises(StoreError, match="BEIGE_OFFLINE is set"):
        Connection(parse("http://elsewhere.example:8000"))
    Connection(parse("http://localhost:8000")).close()


def test_threads_share_a_connection() -> None:
    with scripted(OK) as (made, seen, _):
        threads = [threading.Thread(target=made.get, args=("/v1/index",)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(seen) == 8


def test_addresses() -> None:
    assert place_of("http://host:8000/") == Server(parse("http://host:8000"))
    assert str(place_of("HTTPS://Host/beige/")) == "https://host/beige"
    assert str(place_of("http://[::1]:8000")) == "http://[::1]:8000"
    assert place_of("http://host:8000").name == "host"
    assert isinstance(place_of("qdrant+http://host/name"), Collection)
    assert place_of("http:/host") == Folder(place_of("http:/host").path)
    assert not is_address("docs")
    for wrong, said in (
        ("http://", "is no address of a server"),
        ("http://host:port", "is no address of a server"),
        ("http://host/?a=b", "is no address of a server"),
        ("http://host name", "is no address of a server"),
        ("qdrant://host:6333/name", "is no address of an index: write qdrant[+]http://HOST:6333/NAME"),
        ("ftp://host/folder", "is no address of an index"),
        ("http://me:secret@host:8000", "put the key for host into BEIGE_API_KEY"),
    ):
        with pytest.raises(UsageError, match=said):
            place_of(wrong)
