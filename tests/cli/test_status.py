import json
from pathlib import Path


def test_status(beige, here: Path, tiny_bert: Path) -> None:
    (here / "a.md").write_text("the light of the water")
    beige("index", "a.md", "--model", tiny_bert, "--language", "german")
    said = json.loads(beige("status", "--json").out)
    assert (said["path"], said["documents"], said["chunks"]) == (".beige", 1, 1)
    assert said["bytes"] == sum(path.stat().st_size for path in Path(".beige").iterdir())
    assert said["caches"] == {"dense": "current", "bm25": "current"}
    assert said["manifest"]["encoders"][0]["model"] == str(tiny_bert)
    shown = beige("status").out
    assert said["growth"]["day"] == {"documents": 1, "chunks": 1, "bytes": len("the light of the water")}
    for line in (
        "documents    1",
        "growth       +1 documents, +1 chunks, +0.0 MB in the last hour",
        "bm25: words, german",
        "caches       dense current, bm25 current",
    ):
        assert line in shown


def test_without_an_index(beige, here: Path) -> None:
    done = beige("status")
    assert (done.code, done.err) == (
        2,
        "beige: there is no index in .beige: make one with beige index PATH --index .beige\n",
    )
