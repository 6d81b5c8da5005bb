"""An index that follows folders: what it ends up with, what it embeds, what it waits for."""

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from beige import Text
from beige.documents import watching
from beige.errors import InputError, MissingExtraError
from beige.index import Index
from beige.index.sqlite_store import SqliteStore
from tests.index.test_pipeline import write
from tests.standin import StandIn


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "PAUSE", 0.05)
    monkeypatch.setattr(watching, "TICK", 0.05)
    monkeypatch.setattr("beige.index.following.IDLE", 0.2)


def contents(index: str = "../index") -> dict[str, list[str]]:
    """The texts of every document at one moment."""
    found: dict[str, list[str]] = {}
    with Index.open(index) as opened:
        for passage in opened.store.scan():
            found.setdefault(passage.source, []).append(passage.text)
    return found


class Watch:
    """What a watch that runs in a thread has told."""

    def __init__(self) -> None:
        self.changes: list[tuple[str, str]] = []
        self.said: list[str] = []
        self.rounds = 0

    def until(self, true: Callable[[], bool]) -> None:
        end = time.monotonic() + 60
        while not true():
            assert time.monotonic() < end, (self.changes, self.said)
            time.sleep(0.01)

    def stored(self, *sources: str) -> None:
        """Wait until these are all the documents that there are."""
        self.until(lambda: sorted(contents()) == sorted(sources))


@contextmanager
def watch(embedder: StandIn, *paths: str, ttl: str | None = None, index: str = "../index") -> Iterator[Watch]:
    told, stop = Watch(), threading.Event()

    def done(report: object) -> None:
        told.rounds += 1

    def run() -> None:
        with Index.open(index, embedder) as opened:
            opened.watch(
                *paths,
                ttl=ttl,
                tell=lambda change: told.changes.append((change.kind, change.source)),
                done=done,
                say=told.said.append,
                stop=stop,
            )

    thread = threading.Thread(target=run)
    thread.start()
    try:
        told.until(lambda: told.rounds > 0 or not thread.is_alive())
        yield told
    finally:
        stop.set()
        thread.join(60)
        assert not thread.is_alive()


def test_files_come_change_and_go(here: Path, embedder: StandIn) -> None:
    write(here / "docs/a.md", "one")
    write(here / "docs/b.md", "two")
    with watch(embedder, "docs") as told:
        assert sorted(contents()) == ["docs/a.md", "docs/b.md"]
        write(here / "docs/new/deep/c.md", "three")
        told.stored("docs/a.md", "docs/b.md", "docs/new/deep/c.md")
        (here / "docs/a.md").write_text("another")
        told.until(lambda: contents().get("docs/a.md") == ["another"])
        (here / "docs/b.md").unlink()
        told.stored("docs/a.md", "docs/new/deep/c.md")
        shutil.rmtree(here / "docs/new")
        told.stored("docs/a.md")
    assert set(told.changes) >= {
        ("added", "docs/a.md"),
        ("added", "docs/new/deep/c.md"),
        ("updated", "docs/a.md"),
        ("removed", "docs/b.md"),
        ("removed", "docs/new/deep/c.md"),
    }
    assert told.said == []


def test_what_is_renamed_keeps_its_vectors(here: Path, embedder: StandIn) -> None:
    for name in ("a", "b", "c"):
        write(here / f"docs/{name}.md", f"the text of {name}")
    with watch(embedder, "docs") as told:
        embedder.texts.clear()
        (here / "docs/a.md").rename(here / "docs/z.md")
        told.stored("docs/b.md", "docs/c.md", "docs/z.md")
        (here / "docs/sub").mkdir()
        (here / "docs/b.md").rename(here / "docs/sub/b.md")
        told.stored("docs/sub/b.md", "docs/c.md", "docs/z.md")
        (here / "docs/sub").rename(here / "docs/other")
        told.stored("docs/other/b.md", "docs/c.md", "docs/z.md")
    assert embedder.texts == []


def test_only_what_changed_is_looked_at(here: Path, embedder: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(20):
        write(here / f"docs/{number % 4}/{number}.md", f"text {number}")
    with watch(embedder, "docs") as told:
        told.changes.clear()
        write(here / "docs/1/new.md", "new", age=0)
        told.until(lambda: ("added", "docs/1/new.md") in told.changes)
        assert not [change for change in told.changes if change[0] == "unchanged"]


def test_editors_leave_nothing_behind(here: Path, embedder: StandIn) -> None:
    write(here / "docs/a.md", "one")
    with watch(embedder, "docs") as told:
        (here / "docs/4913").write_text("a trial")  # vim's way of saving
        (here / "docs/4913").unlink()
        (here / "docs/a.md").rename(here / "docs/a.md~")
        (here / "docs/a.md").write_text("two")
        (here / "docs/.a.md.swp").write_text("swap")
        (here / "docs/#a.md#").write_text("autosave")
        (here / "docs/~$a.docx").write_text("owner")
        (here / "docs/a.md.tmp").write_text("three")  # the way of most others
        (here / "docs/a.md.tmp").replace(here / "docs/a.md")
        told.until(lambda: contents().get("docs/a.md") == ["three"])
    assert sorted(contents()) == ["docs/a.md"]
    assert ("failed", "docs/4913") not in told.changes


def test_what_gitignore_says_counts_at_once(here: Path, embedder: StandIn) -> None:
    write(here / "docs/a.md", "one")
    write(here / "docs/build/b.md", "two")
    with watch(embedder, "docs") as told:
        (here / "docs/.gitignore").write_text("build/\n")
        told.stored("docs/a.md")
        (here / "docs/.gitignore").unlink()
        told.stored("docs/a.md", "docs/build/b.md")


def test_a_folder_that_goes_away_keeps_its_documents_until_it_is_back(here: Path, embedder: StandIn) -> None:
    write(here / "docs/a.md", "one")
    write(here / "docs/b.md", "two")
    write(here / "more/c.md", "three")
    with watch(embedder, "docs", "more") as told:
        (here / "docs").rename(here / "elsewhere")
        told.until(lambda: bool(told.said))
        assert told.said == [f"{here}/docs is gone: its documents are kept, and followed again when it is back"]
        write(here / "more/d.md", "four")
        told.stored("docs/a.md", "docs/b.md", "more/c.md", "more/d.md")
        (here / "elsewhere/b.md").unlink()
        (here / "elsewhere").rename(here / "docs")
        told.stored("docs/a.md", "more/c.md", "more/d.md")
        shutil.rmtree(here / "docs")
        write(here / "docs/e.md", "five")
        told.stored("docs/e.md", "more/c.md", "more/d.md")
    embedder.texts.clear()


def test_a_file_can_be_watched_and_is_replaced(here: Path, embedder: StandIn) -> None:
    write(here / "a.md", "one")
    with watch(embedder, "a.md") as told:
        write(here / "b.md", "two").replace(here / "a.md")
        told.until(lambda: contents() == {"a.md": ["two"]})
        (here / "a.md").write_text("three")
        told.until(lambda: contents() == {"a.md": ["three"]})


def test_texts_stay_and_the_index_within_is_not_followed(here: Path, embedder: StandIn) -> None:
    write(here / "a.md", "one")
    with watch(embedder, ".", index="visible") as told:
        with Index.open("visible", embedder) as index:
            index.add(Text("note", "a note"))
        rounds = told.rounds
        time.sleep(0.5)
        assert told.rounds == rounds, "writing to the index is no change"
        (here / "a.md").unlink()
        told.until(lambda: ("removed", "a.md") in told.changes)
    assert list(contents("visible")) == ["note"]


def test_it_waits_for_another_writer(here: Path, embedder: StandIn) -> None:
    write(here / "docs/a.md", "one")
    with watch(embedder, "docs") as told:
        told.until(lambda: told.rounds == 1)
        with SqliteStore.open(Path("../index"), write=True):
            write(here / "docs/b.md", "two")
            told.until(lambda: bool(told.said))
            assert told.said[0].startswith("waiting: process")
        told.stored("docs/a.md", "docs/b.md")
    assert len(told.said) == 1


def test_what_expires_goes_while_nothing_else_happens(here: Path, embedder: StandIn) -> None:
    write(here / "docs/a.md", "one")
    with watch(embedder, "docs", ttl="1s"), SqliteStore.open(Path("../index")) as store:
        assert [stored.expires is not None for stored in store.documents()] == [True]
        time.sleep(1.1)
        assert store.count() == (0, 0)
        with store._reading() as reading:
            assert not len(reading.expired()), "it was removed, not only hidden"


def test_it_begins_with_what_has_changed_before(here: Path, embedder: StandIn) -> None:
    write(here / "docs/a.md", "one")
    write(here / "docs/b.md", "two")
    with Index.open("../index", embedder) as index:
        index.add("docs")
    (here / "docs/a.md").unlink()
    write(here / "docs/c.md", "three")
    with watch(embedder, "docs") as told:
        assert sorted(told.changes) == [("added", "docs/c.md"), ("removed", "docs/a.md"), ("unchanged", "docs/b.md")]


def test_a_path_that_is_not_there(here: Path, embedder: StandIn) -> None:
    with Index.open("../index", embedder) as index, pytest.raises(InputError, match="'nowhere' does not exist"):
        index.watch("nowhere")


def test_the_missing_extra_is_named(here: Path, embedder: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "watchfiles", None)
    with (
        Index.open("../index", embedder) as index,
        pytest.raises(MissingExtraError, match=r"pip install 'beige\[watch\]'"),
    ):
        index.watch(".")
