"""An index behind a server, used as one that is here: the same documents give the same answers."""

import asyncio
import json
import os
import shutil
import time

import pytest

from beige import Index, Text
from beige.documents.chunk import Failure
from beige.documents.upload import Upload
from beige.embedder import Embedder
from beige.errors import InputError, StoreError, UsageError
from beige.index.filter import Condition, Not
from beige.index.place import Folder
from beige.index.server.sending import Sending
from beige.reranker import Reranker
from beige.search import Request
from beige.search.wire import as_whole
from beige.serve.keys import create
from tests.cli.conftest import beige as beige  # noqa: PLC0414  # the command line

FILES = {
    "flow.md": "# Flow\n\n## Boundary layers\n\nHeat flows from the plate. It is warm.\n\nWater flows too.\n",
    "stone.txt": "A stone in the river. The river flows, and the stone does not.\n",
    "rows.jsonl": '{"id": "one", "text": "the speed of light", "year": 2020}\n{"id": "two", "text": "light"}\n',
}
QUERY = "how does water flow in the river?"


@pytest.fixture(scope="module")
def embedder(folders):
    return Embedder(folders["bert"], precision="fp32")


@pytest.fixture(scope="module")
def reranker(folders):
    return Reranker(folders["reranker"], precision="fp32")


@pytest.fixture(scope="module")
def folder(embedder, tmp_path_factory):
    """An index of three files and two texts, and the folder of the files."""
    here = tmp_path_factory.mktemp("remote")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(here)
        (here / "docs").mkdir()
        for name, text in FILES.items():
            (here / "docs" / name).write_text(text)
        with Index.open(here / "index", embedder) as index:
            index.add("docs")
            index.add(
                Text("notes/lift", "The lift of house three is inspected.", "Lift", {"floor": 3, "tags": ["a", "b"]}),
                Text("notes/water", "Water is warm.", fields={"floor": 2}),
            )
    return here


@pytest.fixture(scope="module")
def url(folder, folders, tmp_path_factory):
    """A server over it."""
    from tests.serve.conftest import serving

    settings = {"models": (str(folders["bert"]),), "rerankers": (str(folders["reranker"]),), "precision": "fp32"}
    keys = tmp_path_factory.mktemp("keys") / "keys.json"
    with serving(index=Folder(folder / "index"), keys=keys, **settings) as server:
        yield server.url


@pytest.fixture
def remote(url):
    with Index.open(url) as index:
        yield index


@pytest.fixture
def local(folder, embedder):
    with Index.open(folder / "index", embedder) as index:
        yield index


@pytest.fixture
def fp32(embedder, reranker, monkeypatch):
    """The command line has models as the server has them."""
    monkeypatch.setattr("beige.index.encoders.load", lambda model: embedder)
    monkeypatch.setattr("beige.reranker.Reranker", lambda name: reranker)


def near(value):
    """The same value, its floating numbers about the same: a server packs texts otherwise."""
    if isinstance(value, float):
        return pytest.approx(value, abs=1e-4)
    if isinstance(value, dict):
        return {name: near(inner) for name, inner in value.items()}
    return [near(inner) for inner in value] if isinstance(value, list | tuple) else value


def plain(value):
    return json.loads(json.dumps(value))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"explain": True},
        {"explain": True, "join": True, "group": True, "limit": 2, "facets": ("type", "floor")},
        {"legs": ("bm25",), "filter": "path:docs/** -type:txt"},
        {"filter": Not(Condition("floor", "any"))},
        {"fusion": "reciprocal", "weights": {"dense": 0.2, "bm25": 0.8}, "depth": 3},
        {"min_relevance": 0.999999},
        {"diversity": 0.5},
    ],
    ids=str,
)
def test_results_are_those_of_the_folder(remote, local, options):
    request = Request(QUERY, **options)
    found = remote.run(request)
    assert plain(as_whole(found)) == near(plain(as_whole(local.run(request))))
    assert found.hits or found.nothing_relevant
    assert [hit.source for hit in remote.search(QUERY, 2)] == [hit.source for hit in local.search(QUERY, 2)]


def test_the_servers_reranker_reads(remote, local, reranker):
    request = Request(QUERY, rerank=3, explain=True)
    expected = plain(as_whole(local.run(request, reranker)))
    assert plain(as_whole(remote.run(request))) == near(expected)
    assert plain(as_whole(remote.run(request, "tiny-reranker"))) == near(expected)
    assert remote.search(QUERY, reranker="tiny-reranker")[0].reranked.rank == 1
    assert remote.search(QUERY)[0].reranked is None
    assert remote.search(QUERY, rerank_within=60.0)[0].reranked.rank == 1, "who gives it time wants it to read"
    with pytest.raises(UsageError, match="no reranker 'other', only tiny-reranker"):
        remote.search(QUERY, reranker="other")
    with pytest.raises(UsageError, match="its own rerankers"):
        remote.search(QUERY, reranker=reranker)


@pytest.mark.parametrize("text", ["light colour:red", "path:docs/** (type:pdf", "page:x"])
def test_what_is_wrong_with_a_filter_is_said_as_the_folder_says_it(remote, local, text):
    with pytest.raises(UsageError) as here:
        local.search(QUERY, filter=text)
    with pytest.raises(UsageError) as there:
        remote.search(QUERY, filter=text)
    assert str(there.value) == str(here.value)


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--explain", "--group", "--join"),
        ("--facet", "type", "--facet", "floor", "--filter", "path:docs/**", "--limit", "2"),
        ("--min-relevance", "0.999999"),
    ],
    ids=str,
)
def test_the_command_line_shows_the_same(beige, folder, url, options, monkeypatch, fp32):
    monkeypatch.chdir(folder)
    here, there = (beige("search", QUERY, *options, "--json", "--index", place) for place in ("index", url))
    assert (there.code, there.err) == (0, "")
    assert json.loads(there.out) == near(json.loads(here.out))
    here, there = (beige("search", QUERY, *options, "--index", place) for place in ("index", url))
    assert there.out == here.out


def test_a_reranker_by_name_on_the_command_line(beige, folder, folders, url, monkeypatch, fp32):
    monkeypatch.chdir(folder)
    options = ("search", QUERY, "--rerank-depth", "3", "--json", "--index")
    here = beige(*options, "index", "--rerank", folders["reranker"])
    assert json.loads(beige(*options, url, "--rerank", "tiny-reranker").out) == near(json.loads(here.out))
    done = beige("search", QUERY, "--rerank", "other", "--index", url)
    assert (done.code, done.err) == (2, "beige: this server has no reranker 'other', only tiny-reranker\n")


def test_status_count_and_documents(beige, folder, remote, local, url):
    assert remote.count() == local.count()
    status, expected = remote.status(), local.status()
    assert (status.path, status.documents, status.manifest) == (url, expected.documents, expected.manifest)
    assert json.loads(beige("status", "--json", "--index", url).out)["documents"] == expected.documents
    assert f"index      {url}" in beige("status", "--index", url).out.replace(" " * 8, " " * 6)
    assert list(remote.documents()) == list(local.documents())
    assert list(remote.documents("docs/r", "type:jsonl")) == list(local.documents("docs/r"))
    after = "docs/rows.jsonl#one"
    assert list(remote.documents(after=after)) == list(local.documents(after=after))
    for stored in local.documents():
        assert remote.document(stored.source) == local.document(stored.source)
    assert remote.document("nothing") is None


def test_texts_are_added_and_deleted(remote, local):
    odd = ["../up", "a b/ü#1?x=%41&y", "..", "x" * 300]
    texts = [Text(name, "A zebra stands.", fields={"source": "y", "ttl": 3, "type": "animal"}) for name in odd]
    told = []
    report = remote.add([*texts, Failure("line 3", "it is broken")], tell=told.append)
    assert {kind: count for kind, count in report.documents.items() if count} == {"added": 4, "failed": 1}
    assert report.failures == [Failure("line 3", "it is broken")]
    assert (report.chunks, report.tokens > 0, report.cut) == (4, True, 0)
    assert sorted(change.source for change in told) == sorted([*odd, "line 3"])
    for name in odd:
        assert remote.document(name) == local.document(name)
        assert remote.document(name).fields == texts[0].fields
    assert {hit.source for hit in remote.search("zebra", 4, legs=["bm25"])} == set(odd)
    assert remote.add(texts).documents["unchanged"] == 4
    report = remote.delete(*odd, "nobody")
    assert (report.documents["removed"], report.documents["failed"]) == (4, 1)
    assert report.failures == [Failure("nobody", "the index has no such document")]


def test_what_no_json_can_hold_is_replaced_as_in_a_folder(remote, embedder, tmp_path):
    text = Text("zoo", "a \ud800 zebra\0", "\udcff title", {"kind\ud800": ["\ud800", 1], "none": []})
    remote.add(text)
    with Index.open(tmp_path / "twin", embedder) as twin:
        twin.add(text)
        expected = twin.document("zoo")
    found = remote.document("zoo")
    assert (found.digest, found.chunks, found.fields) == (expected.digest, expected.chunks, expected.fields)
    assert remote.search("\ud800 zebra", 1, legs=["bm25"])[0].source == "zoo"
    assert remote.document("\udcff") is None
    assert counts(remote.delete("\udcff", "zoo")) == {"removed": 1, "failed": 1}


def test_a_later_text_of_one_name_wins_and_a_prefix_removes_what_begins_so(remote):
    texts = [Text(f"zoo/{number}", f"A zebra of number {number}.", modified=5.0) for number in range(130)]
    report = remote.add((text for text in [*texts, Text("zoo/1", "A late zebra.")]), ttl=3600)
    assert (report.documents["added"], report.documents["updated"]) == (130, 1)
    stored = {one.source: one for one in remote.documents("zoo/")}
    assert len(stored) == 130
    assert stored["zoo/2"].modified == 5.0
    assert all(3500 < one.expires - time.time() < 3600 for one in stored.values())
    assert remote.document("zoo/1").chunks[0].text == "A late zebra."
    assert remote.delete("zoo/", prefix=True).documents["removed"] == 130
    assert remote.delete("zoo/", prefix=True).failures == [Failure("zoo/", "the index has no such document")]
    long = [f"{'ü' * 150}{number}" for number in range(120)]
    assert [failure.source for failure in remote.delete(*long).failures] == long
    with pytest.raises(UsageError, match="empty prefix"):
        remote.delete("", prefix=True)


def test_files_with_names(remote, tmp_path):
    (tmp_path / "a.md").write_text("# Zebra\n\nA zebra.\n")
    (tmp_path / "b.pdf").write_bytes(b"no pdf")
    uploads = [Upload("zoo/a", tmp_path / "a.md"), Upload("zoo/b", tmp_path / "b.pdf"), Upload("c", tmp_path / "none")]
    report = remote.add(*uploads, ttl="1d")
    assert (report.documents["added"], report.documents["failed"]) == (1, 2)
    assert sorted(failure.source for failure in report.failures) == ["c", "zoo/b"]
    assert remote.document("zoo/a").media == "markdown"
    remote.delete("zoo/a")


def test_the_command_line_adds_and_deletes(beige, here, url, monkeypatch):
    monkeypatch.setenv("BEIGE_INDEX", url)
    (here / "records.jsonl").write_text(
        '{"id": "z1", "text": "a zebra", "year": 2020}\nno json\n{"id": "z2", "text": "x"}'
    )
    done = beige("add", "records.jsonl", "--ttl", "30d")
    assert done.code == 1
    assert done.out.startswith(f"{url}: 2 added, 1 failed in")
    assert "beige: line 2 was not indexed: " in done.err
    (here / "zebra.txt").write_text("A zebra in the lift.")
    assert beige("add", "zebra.txt", "--source", "z3", "--field", "floor=7", "--title", "Zebra").code == 0
    found = json.loads(beige("search", "zebra", "--filter", "floor:7", "--json").out)["hits"]
    assert [(hit["source"], hit["locator"]["headings"]) for hit in found] == [("z3", ["Zebra"])]
    assert beige("delete", "z", "--prefix").out == f"{url}: 3 removed\n"
    done = beige("delete", "z1")
    assert (done.code, done.err) == (1, "beige: z1 was not removed: the index has no such document\n")


@pytest.fixture
def sent(monkeypatch):
    """The names of the files that were sent."""
    names = []
    send = Sending.uploads

    def noting(self, uploads):
        every = list(uploads)
        names.extend(upload.source for upload in every)
        send(self, every)

    monkeypatch.setattr(Sending, "uploads", noting)
    return names


def counts(report):
    return {kind: count for kind, count in report.documents.items() if count}


def written(path, text, age=100.0):
    """A file that was changed some seconds ago."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, (time.time() - age,) * 2)


def test_a_folder_is_brought_and_kept_up_to_date(remote, embedder, here, tmp_path, sent):
    base = {one.source: one for one in remote.documents()}
    for name, text in {"a.md": "# A zebra\n\nIt runs.\n", "deep/b.txt": "a lion", "c.txt": "a wolf"}.items():
        written(here / "zoo" / name, text)
    written(here / "zoo/.gitignore", "c.txt\n")
    rows = ['{"id": "x", "text": "a tiger"}\n', '{"id": "y", "text": "a panther", "year": 2020}\n']
    written(here / "zoo/rows.jsonl", "".join(rows))
    assert counts(remote.add("zoo")) == {"added": 4}
    with Index.open(tmp_path / "twin", embedder) as twin:
        twin.add("zoo")
        expected = {one.source: (one.digest, one.size, one.modified, one.chunks) for one in twin.documents()}
    found = {one.source: one for one in remote.documents("zoo/")}
    assert {name: (one.digest, one.size, one.modified, one.chunks) for name, one in found.items()} == expected

    sent.clear()
    assert counts(remote.add(here / "zoo", "zoo/deep/../a.md")) == {"unchanged": 4}
    assert sent == []
    os.utime(here / "zoo/a.md")  # touched, and the same
    assert counts(remote.add("zoo")) == {"unchanged": 4}
    assert sent == []
    written(here / "zoo/a.md", "# A zebra\n\nIt is gone.\n")
    written(here / "zoo/rows.jsonl", rows[1], age=50)
    (here / "zoo/deep/b.txt").unlink()
    assert counts(remote.add("zoo/a.md")) == {"updated": 1}  # what lies elsewhere is not looked at
    assert counts(remote.add("zoo")) == {"unchanged": 2, "removed": 2}
    assert sent == ["zoo/a.md", "zoo/rows.jsonl"]
    assert [one.source for one in remote.documents("zoo/")] == ["zoo/a.md", "zoo/rows.jsonl#y"]
    assert counts(remote.add("zoo", ttl="30d")) == {"unchanged": 2}
    assert all(one.expires for one in remote.documents("zoo/"))
    assert counts(remote.add(".")) == {"unchanged": 2}
    shutil.rmtree(here / "zoo")
    assert counts(remote.add(".")) == {"removed": 2}
    assert {one.source: one for one in remote.documents()} == base  # what others have is as it was


def test_a_file_that_may_still_change_is_looked_at_again(remote, here, sent):
    written(here / "a.txt", "a zebra", age=0)
    written(here / "rows.jsonl", '{"id": "x", "text": "a lion"}\n', age=0)
    remote.add("a.txt", "rows.jsonl")
    os.utime(here / "a.txt", (5, 5))
    (here / "a.txt").write_text("a horse")
    os.utime(here / "a.txt", (5, 5))
    assert counts(remote.add("a.txt", "rows.jsonl")) == {"updated": 1, "unchanged": 1}
    assert sent == ["a.txt", "rows.jsonl"] * 2
    assert remote.delete("a.txt", "rows.jsonl#x").documents["removed"] == 2


def test_what_another_folder_sent_is_left_alone(remote, here, monkeypatch):
    for name in ("mine", "yours"):
        written(here / name / "zoo" / f"{name}.txt", f"a zebra of {name}")
        written(here / name / "zoo/both.txt", f"a lion of {name}")
        monkeypatch.chdir(here / name)
        remote.add("zoo")
    remote.add(Text("zoo/note", "a note"))
    names = [one.source for one in remote.documents("zoo/")]
    assert names == ["zoo/both.txt", "zoo/mine.txt", "zoo/note", "zoo/yours.txt"]
    assert remote.document("zoo/both.txt").chunks[0].text == "a lion of yours"
    shutil.rmtree(here / "yours/zoo")
    (here / "yours/zoo").mkdir()
    assert counts(remote.add("zoo")) == {"removed": 2}
    assert [one.source for one in remote.documents("zoo/")] == ["zoo/mine.txt", "zoo/note"]
    monkeypatch.chdir(here / "mine")
    assert counts(remote.add("zoo")) == {"added": 1, "unchanged": 1}
    (here / "mine/zoo/both.txt").unlink()
    (here / "mine/zoo/mine.txt").unlink()
    assert counts(remote.add("zoo")) == {"removed": 2}
    remote.delete("zoo/note")


def test_files_that_fail_keep_what_they_had_and_are_named(remote, here, sent):
    written(here / "zoo/a.txt", "a zebra")
    written(here / "zoo/rows.jsonl", '{"id": "x", "text": "a lion"}\n{"id": "y", "text": "a wolf"}\n')
    remote.add("zoo")
    written(here / "zoo/rows.jsonl", '{"id": "x", "text": "a lion"}\nbroken\n', age=50)
    written(here / "zoo/b.pdf", "no pdf")
    report = remote.add("zoo")
    assert counts(report) == {"unchanged": 2, "failed": 2}
    assert sorted(failure.source for failure in report.failures) == ["zoo/b.pdf", "zoo/rows.jsonl:2"]
    sent.clear()
    remote.add("zoo")
    assert sent == ["zoo/b.pdf", "zoo/rows.jsonl"]  # they are tried again
    shutil.rmtree(here / "zoo")
    (here / "zoo").mkdir()
    assert counts(remote.add("zoo")) == {"removed": 3}
    with pytest.raises(InputError, match="does not exist"):
        remote.add("nowhere")


def test_the_command_line_brings_a_folder(beige, here, url):
    written(here / "zoo/a.txt", "a zebra")
    written(here / "zoo/b.pdf", "no pdf")
    done = beige("index", "zoo", "--index", url, "--verbose")
    assert done.code == 1
    assert done.out.startswith(f"{url}: 1 added, 1 failed in")
    assert done.err.splitlines()[0] == "zoo/a.txt"
    assert "beige: zoo/b.pdf was not indexed: " in done.err
    (here / "zoo/b.pdf").unlink()
    assert beige("index", "zoo", "--index", url).out.startswith(f"{url}: 1 unchanged in")
    assert beige("delete", "zoo/", "--prefix", "--index", url).code == 0


def test_nobody_there_is_said_by_every_command(beige, here):
    (here / "a.txt").write_text("a zebra")
    for arguments in (("search", "x"), ("status",), ("add", "a.txt", "--source", "a"), ("delete", "a"), ("index", ".")):
        done = beige(*arguments, "--index", "http://127.0.0.1:9")
        assert (done.code, done.err.count("\n")) == (2, 1)
        assert done.err.startswith("beige: http://127.0.0.1:9 cannot be reached (")


def test_in_an_event_loop(remote):
    async def program():
        assert (await remote.aadd(Text("new", "a zebra"))).documents["added"] == 1
        assert (await remote.asearch("zebra", 1))[0].source == "new"
        assert (await remote.adelete("new")).documents["removed"] == 1

    asyncio.run(program())


def test_parts_of_other_frameworks_work_over_it(remote, local):
    from beige.adapters import langchain

    store = langchain.BeigeVectorStore(remote)
    assert store.embeddings is None
    (name,) = store.add_texts(["a zebra stands"], [{"source": "y", "id": 3}])
    assert [one.id for one in store.similarity_search("zebra", 1, filter={"source": "y"})] == [name]
    assert store.get_by_ids([name])[0].page_content == "a zebra stands"
    assert store.as_retriever(search_kwargs={"k": 1}).invoke("zebra")[0].metadata == {"source": "y", "id": 3}
    store.delete([name])
    assert store.get_by_ids([name]) == []
    expected = [hit.text for hit in local.search(QUERY, 2)]
    found = langchain.BeigeRetriever(index=remote, k=2).invoke(QUERY)
    assert [one.page_content for one in found] == expected


def test_copilots_have_tools_over_it(remote, local):
    import anyio
    from mcp import Client

    from beige.serve.mcp import build, of

    tools = [
        ("search", {"query": QUERY, "filter": "path:docs/**"}),
        ("read_passage", {"source": "docs/flow.md", "start": 10}),
        ("list_documents", {"prefix": "docs/", "limit": 2, "after": "docs/flow.md"}),
    ]

    async def answers(index):
        async with Client(build(of(index))) as client:
            return [(await client.call_tool(tool, given)).structured_content for tool, given in tools]

    found, expected = anyio.run(answers, remote), anyio.run(answers, local)
    assert found == near(expected)
    assert all(found)


def test_the_quality_of_search_is_measured_through_a_server_as_in_the_folder(beige, here, url, folder, folders, fp32):
    judged = [
        {"_id": "1", "text": QUERY, "relevant": ["docs/stone.txt", "flow.md"]},
        {"_id": "2", "text": "the speed of light", "relevant": {"docs/rows.jsonl#one": 2, "docs/rows.jsonl#two": 1}},
        {"_id": "3", "text": "who inspects the lift?", "relevant": ["notes/lift"]},
    ]
    (here / "q.jsonl").write_text("".join(json.dumps(line) + "\n" for line in judged))
    systems = ("dense", "bm25", "dense+bm25", str(folders["bert"]))
    readers = {url: folders["reranker"].name, folder / "index": folders["reranker"]}
    command = ["evaluate", "--queries", "q.jsonl", "--measure", "nDCG@10", "--measure", "RR@10", "--json"]
    command += [part for system in systems for part in ("--system", system)]
    done = [beige(*command, "--system", f"bm25,rerank={name}", "--index", index) for index, name in readers.items()]
    assert [one.code for one in done] == [0, 0], done
    said = [json.loads(one.out) for one in done]
    served, expected = ([one["measures"] for _, one in sorted(each["systems"].items())] for each in said)
    assert served == near(expected)
    assert [set(each["systems"]) > set(systems) for each in said] == [True, True]
    assert len({measures["nDCG@10"] for measures in served}) > 1
    assert said[0]["data"]["documents"] == said[1]["data"]["documents"] > 4
    assert said[0]["systems"]["dense"]["cost"]["dimensions"] == said[1]["systems"]["dense"]["cost"]["dimensions"]


def test_every_passage_is_given(remote, local):
    given, expected = (
        sorted((one.source, one.position, one.text, one.locator.headings) for one in index.passages())
        for index in (remote, local)
    )
    assert given == expected
    assert len(given) == local.count()[1]


def test_what_needs_the_index_itself_is_refused_in_a_sentence(beige, here, url, remote):
    (here / "q.jsonl").write_text('{"_id": "1", "text": "x", "relevant": []}\n')
    (here / "a.txt").write_text("x")
    for arguments in (
        ("backup", "kept.tar"),
        ("restore", "kept.tar"),
        ("serve",),
        ("migrate", "--finish"),
        ("move", "elsewhere"),
        ("watch", "."),
        ("tune", "--queries", "q.jsonl"),
        ("index", "a.txt", "--rebuild"),
        ("index", "a.txt", "--storage", "int8"),
        ("add", "a.txt", "--source", "a", "--model", "bge-small-en-v1.5"),
    ):
        done = beige(*arguments, "--index", url)
        assert done.code == 2, arguments
        assert f"{url} is a server" in done.err
        assert done.err.count("\n") == 1
    assert sorted(path.name for path in here.iterdir()) == ["a.txt", "q.jsonl"]  # nothing half-written
    with pytest.raises(UsageError, match="watch needs the index itself"):
        remote.watch()
    assert not hasattr(remote, "embedder")
    with pytest.raises(UsageError, match="leave embedder out"):
        Index.open(url, "bge-small-en-v1.5")


def test_the_first_text_makes_the_index_for_who_has_a_key_to_write(beige, folders, tmp_path, serve, monkeypatch):
    keys = tmp_path / "keys.json"
    reads, writes = (create(keys, scope, scope) for scope in ("read", "write"))
    (tmp_path / "a.txt").write_text("a zebra")
    add = ("add", tmp_path / "a.txt", "--source", "a", "--index")
    with serve(models=(str(folders["bert"]),), index=Folder(tmp_path / "index"), keys=keys) as server:
        for key, said in (
            ("", f"{server.url} needs a key: put one of its keys into BEIGE_API_KEY"),
            ("wrong", f"{server.url} does not know the key in BEIGE_API_KEY: put one of its keys there"),
            (reads, f"{server.url}: the key read may read only: take one whose scope is write"),
        ):
            monkeypatch.setenv("BEIGE_API_KEY", key)
            done = beige(*add, server.url)
            assert (done.code, done.err) == (2, f"beige: {said}\n")
        monkeypatch.setenv("BEIGE_API_KEY", writes)
        with Index.open(server.url) as remote:
            for use in (remote.status, lambda: remote.search("x"), lambda: list(remote.documents())):
                with pytest.raises(StoreError, match=f"{server.url}: there is no index yet"):
                    use()
            assert remote.document("a") is None
            assert beige(*add, server.url).code == 0
            assert remote.count() == (1, 1)
