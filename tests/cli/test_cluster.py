"""An index in a collection: every command does with it what it does with a folder, or says why not."""

import json
from pathlib import Path

import pytest

from beige.index import Index
from tests.index.qdrant_server import State

WORDS = "stone river light speed water paper engine wing flow heat plate mountain".split()
QUERY = ("stone of the river", "--limit", 20, "--json")


@pytest.fixture
def there(qdrant: State) -> str:
    """The address of a collection."""
    return f"qdrant+{qdrant.url}/notes"


@pytest.fixture
def docs(here: Path, tiny_bert: Path) -> tuple[object, ...]:
    """Arguments that index some files by a small model."""
    (here / "docs").mkdir()
    for number, word in enumerate(WORDS):
        (here / f"docs/{number}.md").write_text(f"# {word}\n\nthe {word} and the {WORDS[number - 3]} of {number}\n")
    return "index", "docs", "--model", tiny_bert, "--precision", "fp32"


def hits(done) -> list[tuple[str, float]]:
    assert done.code == 0, done.err
    return [(hit["source"], round(hit["score"], 5)) for hit in json.loads(done.out)["hits"]]


def test_a_collection_is_used_as_a_folder_is(beige, here: Path, there: str, docs, monkeypatch) -> None:
    assert beige(*docs).code == 0
    assert beige(*docs, "--index", there).out.startswith(f"{there}: 12 added")
    assert beige("index", "docs", "--index", there).out.startswith(f"{there}: 12 unchanged")
    expected = hits(beige("search", *QUERY))
    assert expected
    monkeypatch.setenv("BEIGE_INDEX", there)
    assert hits(beige("search", *QUERY)) == expected
    found = hits(beige("search", *QUERY, "--filter", "path:docs/1*"))
    assert sorted(source for source, _ in found) == ["docs/1.md", "docs/10.md", "docs/11.md"]
    (here / "docs/0.md").unlink()
    assert ", 1 removed" in beige("index", "docs").out
    assert beige("delete", "docs/1.md").code == 0
    with monkeypatch.context() as moved:
        moved.chdir(here / "docs")  # sources are relative to the folder in which the index was made
        assert not {source for source, _ in hits(beige("search", *QUERY))} & {"0.md", "1.md"}
        assert {source for source, _ in hits(beige("search", *QUERY))} >= {"2.md", "11.md"}
    status = json.loads(beige("status", "--json").out)
    assert (status["path"], status["documents"], status["chunks"], status["bytes"]) == (there, 10, 10, None)
    assert status["manifest"]["base"] == str(here)
    shown = beige("status").out
    assert "documents  10" in shown
    assert "caches" not in shown


def test_texts_are_added_and_storage_is_changed(beige, here: Path, there: str, docs) -> None:
    assert beige(*docs, "--index", there, "--storage", "int8").code == 0
    (here / "lift.txt").write_text("the lift is on the third floor")
    assert beige("add", "lift.txt", "--source", "lift", "--index", there).code == 0
    with Index.open(there) as index:
        assert index.manifest.storage == "int8"
        assert index.count() == (13, 13)


def test_what_a_folder_alone_can_do_is_refused(beige, here: Path, there: str, docs) -> None:
    assert beige(*docs, "--index", there).code == 0
    for arguments, said in (
        (("index", "docs", "--legs", "dense"), f"make it anew with beige index --rebuild --index {there} --legs dense"),
        (("backup", "kept.tar"), "beige backup is for an index in a folder"),
        (("restore", "kept.tar"), "beige restore is for an index in a folder"),
    ):
        done = beige(*arguments, "--index", there)
        assert done.code == 2
        assert said in done.err
        assert done.err.count("\n") == 1


def test_another_model_and_a_rebuild(
    beige, qdrant: State, here: Path, there: str, docs, tiny_bert: Path, tiny_mean_bert: Path, monkeypatch
) -> None:
    monkeypatch.setenv("BEIGE_INDEX", there)
    assert beige(*docs).code == 0
    said = json.loads(beige("migrate", "--model", tiny_mean_bert, "--json").out)
    assert (said["serves"], said["swapped"], said["documents"]["added"]) == (str(tiny_mean_bert), True, 12)
    assert len(hits(beige("search", *QUERY))) == 12
    assert json.loads(beige("status", "--json").out)["generations"] == {"previous": str(tiny_bert)}
    assert beige("search", "stone", "--index", f"{there}.previous").code == 0
    assert beige("migrate", "--rollback").out.startswith(f"{tiny_bert} serves; ")
    assert json.loads(beige("migrate", "--finish", "--json").out) == {"dropped": [str(tiny_mean_bert)]}
    assert beige("index", "docs/1.md", "--rebuild", "--legs", "dense").out.startswith(f"{there}: 1 added in ")
    status = json.loads(beige("status", "--json").out)
    assert (status["documents"], status["generations"]) == (1, {})
    assert [leg["name"] for leg in status["manifest"]["legs"]] == ["dense"]
    assert len(qdrant.client.get_collections().collections) == 1


def test_what_is_wrong_is_said_in_a_sentence(
    beige, qdrant: State, there: str, docs, tiny_mean_bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*arguments: object, said: str) -> None:
        done = beige(*arguments)
        assert done.code == 2
        assert said in done.err
        assert done.err.count("\n") == 1

    refused("search", "stone", "--index", there, said="there is no collection")
    assert beige(*docs, "--index", there).code == 0
    refused(
        "index",
        "docs",
        "--index",
        there,
        "--model",
        tiny_mean_bert,
        said=f"beige migrate --index {there} --model {tiny_mean_bert}",
    )
    qdrant.key = "right"
    monkeypatch.setenv("BEIGE_QDRANT_API_KEY", "wrong")
    refused("search", "stone", "--index", there, said="refuses the key")
    for command in (("search", "stone"), ("index", "docs"), ("status",)):
        refused(*command, "--index", "qdrant+http://127.0.0.1:9/notes", said="cannot be reached")
    refused("status", "--index", "qdrant+http://127.0.0.1:9", said="is no address of a collection")


def test_there_and_back_without_embedding(beige, here: Path, there: str, docs, monkeypatch: pytest.MonkeyPatch) -> None:
    assert beige(*docs).code == 0
    expected = hits(beige("search", *QUERY))
    with monkeypatch.context() as without:
        without.setattr("beige.embedder.Embedder.__init__", None)  # no model is opened
        assert beige("index", "--to-cluster", there).out == f"{there}: 12 added\n"
        assert beige("move", there).out == f"{there}: 12 unchanged\n"
        assert beige("delete", "docs/3.md", "--index", there).code == 0
        assert beige("move", there).out == f"{there}: 1 added, 11 unchanged\n"
        assert beige("move", "back", "--index", there).out == "back: 12 added\n"
    for place in (there, "back"):
        assert hits(beige("search", *QUERY, "--index", place)) == expected
        assert beige("index", "docs", "--index", place).out.startswith(f"{place}: 12 unchanged")
    assert beige(*docs, "--index", "other", "--legs", "bm25").code == 0
    for wrong in (("index",), ("index", "docs", "--to-cluster", there)):
        assert beige(*wrong).code == 2
    done = beige("move", "other")
    assert (done.code, done.err) == (2, "beige: there is another index in other: name a place where there is none\n")
