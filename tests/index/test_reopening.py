"""Whoever searches goes on while others write to the index, rebuild it, or put another one in its place."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from beige import Text
from beige.index import Index
from beige.index.manifest import Choice
from beige.index.snapshot import backup, restore
from beige.models.checkpoint import open_checkpoint
from beige.search import Searcher
from tests.checkpoints import tiny_bert as make_tiny_bert
from tests.index.replacing import check_searches, give
from tests.index.test_kill import ROOT
from tests.standin import StandIn

READER = """
import sys, time
from beige.index import Index
from beige.search import Searcher

with Index.open("index") as index, Searcher(index) as searcher:
    last = None
    while True:
        found = " ".join(sorted(hit.source for hit in searcher.search("stone", 100, legs=["bm25"])))
        if found != last:
            print(found, flush=True)
            last = found
        time.sleep(0.01)
"""


def test_another_process_sees_what_was_acknowledged_and_goes_on_after_a_rebuild(here: Path, embedder: StandIn) -> None:
    give("index", embedder, "a")
    reader = subprocess.Popen(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{READER}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert reader.stdout is not None
    assert reader.stderr is not None
    try:
        assert reader.stdout.readline() == "a\n"
        delays = []
        for name in "bcd":
            told: list[float] = []
            with Index.open("index", embedder) as index:
                index.add(Text(name, f"the stone of {name}"), tell=lambda _, told=told: told.append(time.monotonic()))
            assert reader.stdout.readline().endswith(f"{name}\n")
            delays.append(time.monotonic() - told[0])
        assert min(delays) < 1, "others keep the machine busy, but not all the time"
        with Index.anew("index", embedder) as index:
            index.add(Text("new", "the stone of another index"))
        assert reader.stdout.readline() == "new\n"
        with Index.open("index", embedder) as index:
            index.delete("new")
        assert reader.stdout.readline() == "\n"
    finally:
        reader.kill()
        assert reader.communicate()[1] == ""


def test_searches_go_on_while_the_index_is_replaced_again_and_again(here: Path, embedder: StandIn) -> None:
    check_searches("index", embedder, 30, 4)


def test_after_a_restore_and_after_another_model(here: Path, embedder: StandIn, tmp_path: Path) -> None:
    other = StandIn(open_checkpoint(make_tiny_bert(tmp_path / "other", seed=7)))
    give("index", embedder, "a")
    backup(Path("index"), Path("kept"))
    give("index", embedder, "b")
    with Index.open("index", embedder) as index, Searcher(index, embedder) as searcher:
        assert len(searcher.search("stone")) == 2
        restore(Path("kept"), Path("index"), force=True)
        assert [hit.source for hit in searcher.search("stone")] == ["a"]
        with Index.anew("index", other) as new:
            new.add(Text("c", "the stone of c"))
        assert [hit.source for hit in searcher.search("stone")] == ["c"], "with the model of the new index"
        assert index.embedder.fingerprint == other.fingerprint
        index.add(Text("d", "the stone of d"))
        assert index.count()[0] == 2


def test_what_is_added_after_another_model_took_over_is_embedded_by_that(
    here: Path, embedder: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = StandIn(open_checkpoint(make_tiny_bert(tmp_path / "other", seed=7)))
    monkeypatch.setattr("beige.index.encoders.load", lambda model: other)
    with Index.open("index", embedder) as index:
        index.add(Text("a", "the stone of a"))
        with Index.anew("index", other, language="german") as new:
            new.add(Text("b", "the stone of b"))
        index.add(Text("c", "the stone of c"))  # nobody has looked at the index in between
        assert index.analyser.language == "german"
        assert index.count() == (2, 2)
    assert embedder.texts == ["the stone of a"]
    assert other.texts == ["the stone of b", "the stone of c"]


def test_who_searches_long_goes_the_way_that_another_has_tuned_the_index_to(
    here: Path, embedder: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server saw `beige tune` only after a restart."""
    monkeypatch.setattr("beige.index.serving.LOOK", 0.0)
    give("index", embedder, "a")
    with Index.open("index", embedder) as index, Searcher(index) as searcher:
        assert set(searcher.search("stone")[0].legs) == {"dense", "bm25"}
        with Index.open("index", embedder) as other:
            other.prefer(Choice(("bm25",)))
        assert set(searcher.search("stone")[0].legs) == {"bm25"}
