"""`beige backup` and `beige restore`."""

import json
from pathlib import Path

import pytest

from beige.index import Index


def test_there_and_back(beige, here: Path, tiny_bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "a.md").write_text("the light of the river")
    beige("index", "a.md", "--model", tiny_bert)
    monkeypatch.setattr("beige.embedder.Embedder", lambda *_, **__: pytest.fail("the model was loaded"))
    done = beige("backup", "kept/today.tar")
    assert done.code == 0
    assert done.out.startswith("kept/today.tar: 1 documents, ")
    made = json.loads(beige("backup", "kept/folder", "--json").out)
    assert list(made["models"]) == [str(tiny_bert)]
    assert beige("backup", "kept/today.tar").err.startswith("beige: ")
    for name in ("today.tar", "folder"):
        said = json.loads(beige("restore", f"kept/{name}", "--index", f"new/{name}", "--json").out)
        assert (said["index"], said["documents"]) == (f"new/{name}", 1)
        with Index.open(f"new/{name}") as index:
            assert [document.source for document in index.store.documents()] == ["a.md"]
    refused = beige("restore", "kept/folder")
    assert (refused.code, refused.err.count("\n")) == (2, 1)
    assert "--force" in refused.err
    assert beige("restore", "kept/folder", "--force").code == 0
