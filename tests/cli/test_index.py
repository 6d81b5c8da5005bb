"""`beige index`: counts, remarks, and what is left when it is killed."""

import json
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from beige.embedder import Embedder
from beige.index import Index
from beige.search import Searcher

WORDS = "the light speed water stone river mountain paper engine wing flow heat plate pressure boundary layer".split()


def test_json_counts(beige, here: Path, tiny_bert: Path) -> None:
    (here / "docs").mkdir()
    for name in "abc":
        (here / f"docs/{name}.md").write_text(f"# {name}\n\nthe light of {name}")
    done = beige("index", "docs", "--model", tiny_bert, "--json", "--verbose")
    said = json.loads(done.out)
    assert done.code == 0
    assert said["documents"] == {"added": 3, "updated": 0, "unchanged": 0, "removed": 0, "failed": 0}
    assert said["chunks"] == 3
    assert said["tokens"] > 9
    assert said["seconds"] > 0
    assert set(said) == {"documents", "chunks", "tokens", "seconds"}
    assert sorted(done.err.splitlines()) == ["docs/a.md", "docs/b.md", "docs/c.md"]
    (here / "docs/a.md").write_text("changed")
    (here / "docs/b.md").unlink()
    (here / "docs/d.md").write_bytes(b"\0\1\2" * 99)
    done = beige("index", "docs", "--json", "--verbose")
    assert done.code == 1, "something failed"
    assert json.loads(done.out)["documents"] == {"added": 0, "updated": 1, "unchanged": 1, "removed": 1, "failed": 1}
    assert done.err.splitlines()[0] == "docs/a.md"
    assert done.err.splitlines()[1].startswith("beige: docs/d.md was not indexed: ")


def test_a_person_reads_a_sentence(beige, here: Path, tiny_bert: Path) -> None:
    (here / "a.md").write_text("the light")
    done = beige("index", ".", "--model", tiny_bert)
    assert re.fullmatch(r"\.beige: 1 added in [\d.]+ s \(1 chunks, [\d,]+ tokens/s\)\n", done.out)
    assert done.err == ""
    assert beige("index", ".").out.startswith(".beige: 1 unchanged in")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["missing"], "'missing' does not exist"),
        ([".", "--precision", "fp64"], "no precision 'fp64'"),
        ([".", "--language", "klingon"], "no stemmer for the language 'klingon'"),
        ([".", "--storage", "float8"], "no storage 'float8'; there are: float32, int8, binary"),
        ([".", "--index", "file"], "file"),
    ],
)
def test_errors_are_one_sentence(beige, here: Path, tiny_bert: Path, arguments: list[str], said: str) -> None:
    (here / "file").write_text("no folder")
    done = beige("index", *arguments, "--model", tiny_bert)
    assert (done.code, done.out) == (2, "")
    assert re.fullmatch(rf"beige: .*{re.escape(said)}.*\n", done.err)
    assert not (here / ".beige").exists()


def test_another_model_is_refused_until_a_rebuild(beige, here: Path, tiny_bert: Path, tiny_mean_bert: Path) -> None:
    (here / "a.md").write_text("the light")
    beige("index", ".", "--model", tiny_bert)
    done = beige("index", ".", "--model", tiny_mean_bert)
    assert done.code == 2
    assert f"beige migrate --index .beige --model {tiny_mean_bert}" in done.err
    assert beige("index", ".", "--rebuild", "--model", tiny_mean_bert, "--json").code == 0
    assert json.loads(beige("status", "--json").out)["manifest"]["encoders"][0]["model"] == str(tiny_mean_bert)
    assert beige("index", ".", "--rebuild").code == 0
    assert json.loads(beige("status", "--json").out)["manifest"]["encoders"][0]["model"] == str(tiny_mean_bert)


SMALL_WINDOWS = """
import beige.index.pipeline as pipeline
pipeline.FIRST_WINDOW = pipeline.SMALLEST_WINDOW = 3_000
pipeline.WINDOW_SECONDS = 0.02
from beige.cli import main
main()
"""
"""Many small transactions instead of a few large ones: more moments to be killed at."""


def start(*arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", SMALL_WINDOWS, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(*arguments: object) -> set[str]:
    """Run to the end; returns the lines of stderr."""
    process = start(*arguments)
    said = process.communicate(timeout=120)[1]
    assert process.returncode == 0, said
    return set(said.splitlines())


def write_documents(folder: Path) -> set[str]:
    """Files and records; returns their sources."""
    chance = random.Random(0)
    folder.mkdir()
    for number in range(150):
        text = "\n\n".join(" ".join(chance.choices(WORDS, k=60)) for _ in range(4))
        (folder / f"{number:03}.md").write_text(f"# number {number}\n\n{text}\n")
    rows = [{"id": f"r{n}", "text": " ".join(chance.choices(WORDS, k=30))} for n in range(150)]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return {f"docs/{number:03}.md" for number in range(150)} | {f"docs/rows.jsonl#r{n}" for n in range(150)}


def stored(index: str) -> list[str]:
    with Index.open(index) as opened:
        return [document.source for document in opened.store.documents()]


def answers(index: str, embedder: Embedder) -> object:
    """Every stored chunk, and hits whose scores do not depend on which documents came first."""
    with Index.open(index, embedder) as opened, Searcher(opened) as searcher:
        passages = opened.store.fetch(np.arange(1, 100_000))
        assert len(passages) == opened.count()[1]
        hits = [searcher.search(query, 100, legs=["dense"]) for query in ("boundary layer", "the speed of light")]
        return (
            sorted((passage.source, passage.position, passage.text) for passage in passages),
            [[(hit.source, hit.text, round(hit.score, 3)) for hit in found] for found in hits],
        )


@pytest.mark.parametrize("way", [signal.SIGKILL, signal.SIGINT])
def test_what_was_acknowledged_outlives_any_end(here: Path, tiny_bert: Path, way: signal.Signals) -> None:
    everything = write_documents(here / "docs")
    command = ("index", "docs", "--model", tiny_bert, "--precision", "fp32", "--verbose")
    assert finish(*command, "--index", "fresh") == everything
    chance = random.Random(way)
    acknowledged: set[str] = set()
    ended = 0
    while ended < 10:
        process = start(*command)
        assert process.stderr is not None
        time.sleep(chance.uniform(0, 0.5))
        said = [process.stderr.readline().strip() for _ in range(chance.choice([0, 1, 20, 100]))]
        time.sleep(chance.uniform(0, 0.05))
        process.send_signal(way)
        said += process.stderr.read().splitlines()
        process.communicate(timeout=60)
        if process.returncode == 0:  # it was quicker: the next one begins anew
            shutil.rmtree(".beige")
            acknowledged.clear()
            continue
        ended += 1
        early = any("Fatal Python error" in line for line in said)  # the interpreter had not begun
        assert process.returncode in (-way, 130) or early, said
        acknowledged |= everything & set(said)
        if Path(".beige/index.sqlite").exists():
            found = stored(".beige")
            assert acknowledged <= set(found)
            assert len(found) == len(set(found))
        else:
            assert not acknowledged
    finish(*command)
    assert set(stored(".beige")) == everything
    embedder = Embedder(tiny_bert, precision="fp32")
    assert answers(".beige", embedder) == answers("fresh", embedder)
    with Index.open() as index:
        assert set(index.status().caches.values()) == {"current"}


def test_a_killed_rebuild_leaves_the_old_index(here: Path, tiny_bert: Path) -> None:
    everything = write_documents(here / "docs")
    (here / "old.md").write_text("the old document")
    finish("index", "old.md", "--model", tiny_bert)
    process = start("index", "docs", "--rebuild", "--verbose")
    assert process.stderr is not None
    while process.stderr.readline().strip() not in everything:
        assert process.poll() is None
    process.kill()
    process.communicate()
    assert stored(".beige") == ["old.md"]
    finish("index", "docs", "--rebuild")
    assert set(stored(".beige")) == everything
    assert not Path(".beige/rebuild").exists()


def test_others_search_while_one_writes_and_see_what_was_acknowledged(here: Path, tiny_bert: Path) -> None:
    everything = write_documents(here / "docs")
    process = start("index", "docs", "--model", tiny_bert, "--verbose")
    assert process.stderr is not None
    acknowledged: list[str] = []
    while len(acknowledged) < 20:
        acknowledged.append(process.stderr.readline().strip())
    assert set(acknowledged) <= everything
    with Index.open() as index, Searcher(index) as searcher:
        while line := process.stderr.readline().strip():
            acknowledged.append(line)
            if len(acknowledged) % 10 == 0:
                found = searcher.search("stone river", 1000, legs=["bm25"])
                assert {hit.source for hit in found} & everything
                assert set(acknowledged) <= {document.source for document in index.store.documents()}
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert set(acknowledged) == everything
