"""Documents over HTTP: sent, found, listed, deleted; and what is refused."""

import json
import shutil
import signal
import subprocess
import sys
import time

import httpx2
import pytest

from beige import Text
from beige.embedder import Embedder
from beige.index import Index
from beige.index.lock import WriteLock
from beige.index.manifest import Choice, Manifest
from beige.index.place import Folder, place_of
from beige.index.sqlite_store import LOCK
from beige.search import Request, Searcher
from beige.search.wire import as_answer
from beige.serve.keys import create
from tests.index.qdrant_server import serving as qdrant

TEXTS = {
    "notes/light": "The speed of light in water is lower than in air.",
    "notes/stone": "A stone lies on the road and does not move.",
    "notes/lift": "The lift of house three is inspected in May.",
}


@pytest.fixture(scope="module")
def library(folders, tmp_path_factory):
    """A server of its own with three texts and a file, its client and its index's folder."""
    from tests.serve.conftest import serving

    folder = tmp_path_factory.mktemp("documents")
    settings = {"keys": folder / "keys.json", "index": Folder(folder / "index"), "precision": "fp32"}
    with (
        serving(models=(str(folders["bert"]),), rerankers=(str(folders["reranker"]),), **settings) as server,
        httpx2.Client(base_url=server.url, timeout=30) as client,
    ):
        assert client.post("/v1/search", json={"query": "light"}).status_code == 404  # no index yet
        assert client.get("/v1/index").status_code == 404
        assert not (folder / "index").exists()
        records = [{"source": name, "text": text, "floor": 3, "tags": ["a", "b"]} for name, text in TEXTS.items()]
        told = done(client, client.post("/v1/documents", json=records))
        assert told["documents"]["added"] == 3
        files = [
            ("file", ("../../../etc/paper.md", b"# Paper\n\nPaper burns, and light comes of it.\n")),
            ("file", ("rows.jsonl", b'{"id": "x", "text": "a red stone"}\n{"id": "y", "text": "a blue stone"}\n')),
        ]
        told = done(client, client.post("/v1/documents", files=files))
        assert (told["documents"]["added"], told["chunks"]) == (3, 3)
        yield client, folder / "index"


def done(client, response, status="done"):
    """The job of an answer, when it has ended."""
    assert response.status_code == 202, response.text
    assert response.headers["location"] == f"/v1/jobs/{response.json()['id']}"
    until = time.monotonic() + 60
    while (job := client.get(response.headers["location"]).json())["finished"] is None:
        assert time.monotonic() < until
        time.sleep(0.02)
    assert job["status"] == status, job
    return job


def test_hits_are_those_of_the_index_itself(library):
    client, folder = library
    options = {
        "filter": "path:notes/**",
        "explain": True,
        "group": True,
        "min_relevance": 0.0,
    }
    found = client.post("/v1/search", json={"query": "speed of light", "limit": 2, **options}).json()
    with Index.open(folder) as index, Searcher(index) as searcher:
        request = Request.of("speed of light", 2, options)
        expected = as_answer(searcher.run(request), request)
    assert [hit["source"] for hit in found["hits"]] == [hit["source"] for hit in expected["hits"]]
    assert found["hits"][0]["source"] == "notes/light"
    for one, other in zip(found["hits"], expected["hits"], strict=True):
        assert set(one) == set(other)
        assert one["text"] == other["text"]
        assert one["score"] == pytest.approx(other["score"], abs=1e-5)


def test_several_queries_facets_and_a_reranker(library):
    client, _ = library
    body = {"query": ["light", "a stone"], "rerank": 3, "facets": ["floor"], "limit": 2}
    results = client.post("/v1/search", json=body).json()["results"]
    assert [one["query"] for one in results] == ["light", "a stone"]
    assert all(one["read"] == 3 and one["facets"] == {"floor": {"3": 3}} for one in results)
    assert results[0]["hits"][0]["reranked"]["rank"] == 1
    named = client.post("/v1/search", json={"query": "light", "reranker": "tiny-reranker"}).json()
    assert named["read"] == 6  # all that there are
    unread = client.post("/v1/search", json={"query": "light"}).json()
    assert "read" not in unread
    assert "reranked" not in unread["hits"][0]


def test_an_index_is_searched_by_its_own_models_as_it_was_tuned(folders, tmp_path, serve):
    with Index.open(tmp_path / "index", Embedder(folders["bert"])) as index:
        index.add([Text(name, text) for name, text in TEXTS.items()])
        index.prefer(Choice(("bm25",), rerank="tiny-reranker", read=2))
    settings = {"index": Folder(tmp_path / "index"), "keys": tmp_path / "keys.json"}
    with serve(models=(), rerankers=(str(folders["reranker"]),), **settings) as server:
        models = httpx2.get(f"{server.url}/v1/models").json()["data"]
        assert [model["id"] for model in models] == ["tiny-reranker", "tiny-bert"]
        found = httpx2.post(f"{server.url}/v1/search", json={"query": "the lift on the road"}).json()
        assert found["read"] == 2
        assert {leg for hit in found["hits"] for leg in hit["legs"]} == {"bm25"}
        found = httpx2.post(f"{server.url}/v1/search", json={"query": "the lift", "legs": ["dense"]}).json()
        assert "read" not in found
        assert set(found["hits"][0]["legs"]) == {"dense"}
        with Index.open(tmp_path / "index") as index:
            index.prefer(Choice(("dense",)))  # what `beige tune` of another process does
        until = time.monotonic() + 10
        while "read" in (found := httpx2.post(f"{server.url}/v1/search", json={"query": "the lift"}).json()):
            assert time.monotonic() < until
            time.sleep(0.05)
        assert set(found["hits"][0]["legs"]) == {"dense"}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"query": " "}, "the query is empty"),
        ({"query": "light", "legs": ["smell"]}, "no leg 'smell'"),
        ({"query": "light", "filter": "nothing:here"}, "nothing"),
        ({"query": "light", "limit": 0}, "limit"),
        ({"query": "light", "facets": ["nothing"]}, "nothing"),
        ({"query": ["light", ""]}, "the query is empty"),
        ({"query": ["light"] * 101}, "101 queries"),
        ({"query": "light " * 20_000}, "120,000 characters"),
        ({"query": "light", "weights": {"bm25": 1e308, "dense": 1e308}}, "at most 1e"),
        ({"query": "light", "reranker": "other"}, "no reranker 'other', only tiny-reranker"),
    ],
)
def test_a_search_that_makes_no_sense_is_refused_in_a_sentence(library, body, said):
    client, _ = library
    told = client.post("/v1/search", json=body)
    assert told.status_code in (400, 404, 413)
    assert said in told.json()["error"]["message"]


def test_what_is_like_a_text_or_a_passage(library):
    client, _ = library
    (first, *_) = client.post("/v1/similar", json={"text": TEXTS["notes/stone"]}).json()["hits"]
    assert (first["source"], first["score"]) == ("notes/stone", pytest.approx(1, abs=1e-2))
    found = client.post("/v1/similar", json={"source": "notes/stone", "limit": 3, "filter": "path:notes/**"}).json()
    assert sorted(hit["source"] for hit in found["hits"]) == ["notes/lift", "notes/light"]
    assert client.post("/v1/similar", json={"source": "notes/none"}).status_code == 400
    assert client.post("/v1/similar", json={"source": "notes/stone", "start": 10_000}).status_code == 400
    assert client.post("/v1/similar", json={}).status_code == 400


def test_documents_are_listed_by_page_and_read(library):
    client, _ = library
    names, after = [], ""
    while after is not None:
        page = client.get("/v1/documents", params={"limit": 2, "after": after}).json()
        names += [one["source"] for one in page["documents"]]
        after = page["next"]
    assert names == ["../../../etc/paper.md", *sorted(TEXTS), "rows.jsonl#x", "rows.jsonl#y"]
    listed = client.get("/v1/documents", params={"prefix": "notes/", "filter": "floor:3"}).json()["documents"]
    assert [one["source"] for one in listed] == sorted(TEXTS)
    one = client.get("/v1/documents/notes/lift").json()
    assert (one["chunks"][0]["text"], one["fields"]) == (TEXTS["notes/lift"], {"floor": 3, "tags": ["a", "b"]})
    assert client.get("/v1/documents/rows.jsonl%23x").json()["chunks"][0]["text"] == "a red stone"
    assert client.get("/v1/documents/notes/none").status_code == 404


def test_the_index_says_what_it_is(library):
    client, folder = library
    found = client.get("/v1/index").json()
    assert (found["documents"], found["chunks"]) == (6, 6)
    with Index.open(folder) as index:
        assert found["manifest"]["encoders"][0]["fingerprint"] == index.manifest.encoders[0].fingerprint
    assert (found["growth"]["hour"]["documents"], found["growth"]["hour"]["chunks"]) == (6, 6)
    assert found["growth"]["hour"]["bytes"] > sum(map(len, TEXTS.values()))


def test_records_that_a_file_no_longer_has_go_and_documents_are_deleted(library):
    client, _ = library
    rows = b'{"id": "y", "text": "a blue stone"}\n{"id": "z", "text": "a grey stone"}\n'
    told = done(
        client, client.post("/v1/documents", files={"file": ("later.jsonl", rows)}, data={"source": "rows.jsonl"})
    )
    assert {kind: count for kind, count in told["documents"].items() if count} == {
        "added": 1,
        "unchanged": 1,
        "removed": 1,
    }
    for name in ("rows.jsonl%23y", "rows.jsonl%23z"):
        assert done(client, client.delete(f"/v1/documents/{name}"))["documents"]["removed"] == 1
    assert client.get("/v1/documents/rows.jsonl%23y").status_code == 404
    told = done(client, client.delete("/v1/documents/notes/none"), "failed")
    assert told["failures"] == [{"source": "notes/none", "reason": "the index has no such document"}]
    rows = b'{"id": "x", "text": "a red stone"}\n{"id": "y", "text": "a blue stone"}\n'
    done(client, client.post("/v1/documents", files={"file": ("rows.jsonl", rows)}))  # as it was


def test_a_file_that_cannot_be_read_fails_alone_and_leaves_nothing_behind(library):
    client, _ = library
    files = [("file", ("broken.pdf", b"no pdf")), ("file", ("good.txt", b"a good text of paper"))]
    told = done(client, client.post("/v1/documents", files=files), "failed")
    assert (told["documents"]["failed"], told["documents"]["added"]) == (1, 1)
    assert told["failures"][0]["source"] == "broken.pdf"
    done(client, client.delete("/v1/documents/good.txt"))


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ({"json": {"source": "", "text": "a"}}, 400),
        ({"json": {"source": "a\nb", "text": "a"}}, 400),
        ({"json": {"source": "a" * 5000, "text": "a"}}, 400),
        ({"json": {"source": "a", "text": "b", "tags": ["c"] * 1001}}, 400),
        ({"json": {"source": "a"}}, 400),
        ({"json": {"source": "a", "text": "b", "ttl": "soon"}}, 400),
        ({"json": {"source": "a", "text": "b", "field": {"deep": 1}}}, 400),
        ({"json": {"source": "a", "text": "b", "media": "film"}}, 400),
        ({"json": []}, 400),
        ({"json": [{"source": "a", "text": "b"}] * 2}, 400),
        ({"files": {"file": ("a.exe", b"\x00\x01\x02" * 99)}}, 400),
        ({"files": {"other": ("a.txt", b"a")}}, 400),
        ({"files": {"file": ("a.txt", b"a")}, "data": {"modified": "soon"}}, 400),
        ({"files": {"file": ("a.txt", b"a")}, "data": {"modified": "inf"}}, 400),
        ({"files": {"file": ("a.txt", b"a")}, "data": {"origin": "a/b"}}, 400),
        ({"files": {"file": ("a.txt", b"a")}, "data": {"source": ["a", "b"]}}, 400),
        ({"files": [("file", ("a.txt", b"a"))] * 2, "data": {"source": ["a", "a"]}}, 400),
        ({"files": {"file": ("a.txt", b"a")}, "data": {"colour": "red"}}, 400),
        ({"json": {"source": "a", "text": "b", "fields": {"deep": {}}}}, 400),
        ({"json": {"source": "a", "text": "b", "fields": {}, "year": 2020}}, 400),
        ({"json": {"source": "a", "text": "b", "fields": {}, "modified": "soon"}}, 400),
        ({"content": b"a text", "headers": {"Content-Type": "text/plain"}}, 415),
        ({"content": b"no form", "headers": {"Content-Type": "multipart/form-data; boundary=x"}}, 400),
        ({"content": b"no form", "headers": {"Content-Type": "multipart/form-data"}}, 400),
    ],
)
def test_what_cannot_be_stored_is_refused_in_a_sentence(library, sent, status):
    client, _ = library
    told = client.post("/v1/documents", **sent)
    assert told.status_code == status, told.text
    assert told.json()["error"]["message"]


def test_a_key_to_read_may_not_write_and_what_was_taken_is_done_at_the_end(folders, tmp_path, serve):
    keys = tmp_path / "keys.json"
    tokens = {scope: create(keys, scope, scope) for scope in ("read", "write")}
    headers = {scope: {"Authorization": f"Bearer {token}"} for scope, token in tokens.items()}
    record = {"source": "a", "text": "a stone", "ttl": "1d"}
    with serve(models=(str(folders["bert"]),), index=Folder(tmp_path / "index"), keys=keys) as server:
        told = httpx2.post(f"{server.url}/v1/documents", json=record, headers=headers["read"])
        assert (told.status_code, told.json()["error"]["code"]) == (403, "forbidden")
        assert httpx2.delete(f"{server.url}/v1/documents/a", headers=headers["read"]).status_code == 403
        assert httpx2.post(f"{server.url}/v1/documents", json=record, headers=headers["write"]).status_code == 202
    with Index.open(tmp_path / "index") as index:
        assert index.store.stored(["a"])["a"].expires > time.time() + 80_000


def test_a_collection_is_searched_and_filled_as_a_folder_is(folders, tmp_path, serve, monkeypatch):
    monkeypatch.delenv("BEIGE_QDRANT_API_KEY", raising=False)
    records = [{"source": name, "text": text} for name, text in TEXTS.items()]
    asked = {"query": "speed of light", "limit": 3}
    answers = []
    with qdrant() as cluster:
        for where in (tmp_path / "index", f"qdrant+{cluster.url}/notes"):
            settings = {"index": place_of(where), "keys": tmp_path / "keys.json", "precision": "fp32"}
            with (
                serve(models=(str(folders["bert"]),), **settings) as server,
                httpx2.Client(base_url=server.url, timeout=30) as client,
            ):
                assert client.post("/v1/search", json=asked).status_code == 404  # no index yet
                done(client, client.post("/v1/documents", json=records))
                found = client.post("/v1/search", json=asked).json()["hits"]
                assert client.get("/v1/documents/notes/stone").json()["chunks"][0]["text"] == TEXTS["notes/stone"]
                done(client, client.delete("/v1/documents/notes/light"))
                left = client.post("/v1/search", json=asked).json()["hits"]
                assert client.get("/v1/index").json()["documents"] == 2
                with Index.anew(where, None) as another:
                    another.add(Text("another", "the speed of another stone"))
                followed, until = [], time.monotonic() + 10
                while followed != ["another"] and time.monotonic() < until:
                    told = client.post("/v1/search", json=asked).json()
                    followed = [hit["source"] for hit in told["hits"]]
                assert followed == ["another"]
            answers.append([(hit["source"], pytest.approx(hit["score"], abs=1e-5)) for hit in found])
            assert {hit["source"] for hit in left} == {"notes/stone", "notes/lift"}
    assert answers[0] == answers[1]
    assert answers[0][0][0] == "notes/light"


def test_an_index_that_is_taken_away_is_missed_and_made_anew(folders, tmp_path, serve):
    settings = {"index": Folder(tmp_path / "index"), "keys": tmp_path / "keys.json"}
    with (
        serve(models=(str(folders["bert"]),), **settings) as server,
        httpx2.Client(base_url=server.url, timeout=30) as client,
    ):
        done(client, client.post("/v1/documents", json={"source": "a", "text": "a stone"}))
        assert client.post("/v1/search", json={"query": "stone"}).status_code == 200
        shutil.rmtree(tmp_path / "index")
        told = client.post("/v1/search", json={"query": "stone"})
        assert (told.status_code, told.json()["error"]["code"]) == (503, "unavailable")
        assert client.get("/health/ready").status_code == 200
        done(client, client.post("/v1/documents", json={"source": "b", "text": "another stone"}))
        found = client.post("/v1/search", json={"query": "stone"}).json()
        assert [hit["source"] for hit in found["hits"]] == ["b"]


@pytest.mark.slow  # a process of its own
def test_a_second_interrupt_does_not_wait_for_jobs(folders, tmp_path):
    index = tmp_path / "index"
    Folder(index).create(Manifest((), (), 256, "words-1/auto")).close()
    command = ["serve", "--port", "0", "--model", str(folders["bert"]), "--index", str(index), "--json"]
    with (
        WriteLock(index / LOCK),  # another process writes, and the job waits for it
        subprocess.Popen(
            [sys.executable, "-c", "from beige.cli import main; main()", *command], stdout=subprocess.PIPE, text=True
        ) as server,
    ):
        url = json.loads(server.stdout.readline())["url"]
        sent = httpx2.post(f"{url}/v1/documents", json={"source": "a", "text": "a stone"}, timeout=30)
        assert sent.status_code == 202
        server.send_signal(signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            server.wait(2)
        server.send_signal(signal.SIGINT)
        assert server.wait(20) == 1
