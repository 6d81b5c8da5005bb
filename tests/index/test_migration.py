"""A new model while the index is searched: the result, what happens meanwhile, and kills at every moment.

In a folder, and in a collection of qdrant-client's in-process mode; collections on a server are killed in
`test_qdrant_generations`.
"""

import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from beige import Text
from beige.errors import FingerprintError, LockedError, StoreError, UsageError
from beige.index import Index, place_of
from beige.index.report import Change
from beige.index.store import Entry
from beige.models.checkpoint import open_checkpoint
from beige.search import Searcher
from tests.checkpoints import tiny_bert as make_tiny_bert
from tests.index.contract import OneAtATime
from tests.index.test_kill import ROOT
from tests.index.test_pipeline import WORDS, answers, contents, write
from tests.standin import StandIn


class Other(StandIn):
    """A model that hashes words to other directions."""

    def _direction(self, word: str):
        return super()._direction(word[::-1] + "!")


@pytest.fixture
def other(tmp_path: Path) -> Other:
    return Other(open_checkpoint(make_tiny_bert(tmp_path / "other", seed=7)))


def text(chance: random.Random) -> str:
    return "\n\n".join(f"# {chance.choice(WORDS)}\n\n{' '.join(chance.choices(WORDS, k=12))}" for _ in range(3))


COLLECTION = pytest.param("collection", marks=pytest.mark.slow)
BOTH = pytest.mark.parametrize("where", ["folder", "collection"], indirect=True)
BOTH_SLOWLY = pytest.mark.parametrize("where", ["folder", COLLECTION], indirect=True)


@pytest.fixture
def where(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where the index is."""
    if getattr(request, "param", "folder") == "folder":
        return "../index"
    client = OneAtATime()
    for module in ("connection", "store"):
        monkeypatch.setattr(f"beige.index.qdrant.{module}.connect", lambda _: client)
    return "qdrant+http://in-process/index"


@pytest.fixture
def many(where: str) -> int:
    """How many files and records; in-process collections are slow."""
    return 20 if where == "../index" else 6


@pytest.fixture
def filled(here: Path, embedder: StandIn, where: str, many: int) -> random.Random:
    """An index of files, records and texts, some of which expire."""
    chance = random.Random(5)
    write(here / "first.md", "boundary layer " * 10)
    with Index.open(where, embedder) as index:
        index.add("first.md")
        for number in range(many):
            write(here / f"docs/{number}.md", text(chance))
        write(
            here / "docs/rows.jsonl", "".join(f'{{"id": "{n}", "text": "row {n}", "year": {n}}}\n' for n in range(many))
        )
        index.add("docs")
        index.add((Text(f"note {n}", text(chance), title="Note", fields={"tags": ["a"]}) for n in range(5)), ttl="1h")
    return chance


def sources(where: str) -> dict[str, list[str]]:
    """The texts of every document's chunks."""
    found: dict[str, list[str]] = {}
    with Index.open(where) as index:
        for passage in sorted(index.store.scan(), key=lambda passage: passage.position):
            found.setdefault(passage.source, []).append(passage.text)
        assert index.count() == (len(found), sum(map(len, found.values())))
    return found


def check_fresh(where: str, embedder: StandIn) -> None:
    """The index answers as a fresh one of the same documents by this model."""
    fresh_one = f"{where}-fresh"
    with Index.open(where) as index:
        assert [encoder.fingerprint for encoder in index.manifest.encoders] == [embedder.fingerprint]
        documents = [index.store.document(stored.source) for stored in index.store.documents()]
    with Index.open(fresh_one, embedder) as fresh:
        fresh.add("first.md")
        fresh.add("docs")
        for document in (d for d in documents if d is not None and d.given):
            texts = [chunk.embedded_text for chunk in document.chunks]
            average = fresh.manifest.average_length
            vectors = {
                "dense": embedder.encode_document(texts, ("dense",)).dense,
                "bm25": tuple(fresh.analyser.document(words, average, document.language) for words in texts),
            }
            with fresh.place.open(write=True) as store:
                store.upsert([Entry(document, vectors)])
    assert sources(where) == sources(fresh_one)
    assert answers(where, embedder) == answers(fresh_one, embedder)


@BOTH_SLOWLY
def test_the_result_is_a_fresh_index_by_the_new_model(
    where: str, here: Path, embedder: StandIn, other: Other, filled: random.Random, many: int
) -> None:
    before = answers(where, embedder)
    told: list[Change] = []
    with Index.open(where, embedder) as index, Searcher(index) as searcher:
        before_fields = {p.source: (p.fields, p.given, p.language, p.locator) for p in index.store.scan()}
        expires = {s.source: (s.expires, s.modified, s.digest) for s in index.store.documents()}
        report = index.migrate(other, tell=told.append)
        assert report is not None
        assert report.documents["added"] == index.count()[0] == len(told)
        assert index.manifest.encoders[0].fingerprint == other.fingerprint
        assert {p.source: (p.fields, p.given, p.language, p.locator) for p in index.store.scan()} == before_fields
        assert {s.source: (s.expires, s.modified, s.digest) for s in index.store.documents()} == expires
        assert searcher.search("stone", legs=["bm25"])
        assert set(index.status().caches.values()) <= {"current"}
        with pytest.raises(FingerprintError):
            Index.open(where, embedder)
    check_fresh(where, other)
    with Index.open(where, other) as index:
        assert index.add("docs").documents["unchanged"] == 2 * many, "nothing is read again"
        index.rollback()
    assert answers(where, embedder) == before


@BOTH_SLOWLY
def test_what_changes_meanwhile_is_in_both(
    where: str, here: Path, embedder: StandIn, other: Other, filled: random.Random
) -> None:
    """Another process, here a thread, writes while the next generation is made, and searches go on in the old one."""
    begun = threading.Event()
    done = threading.Event()

    def tell(change: Change) -> None:
        begun.set()
        assert done.wait(60)

    def change() -> None:
        assert begun.wait(60)
        with Index.open(where, embedder) as index, Searcher(index) as searcher:
            (here / "docs/1.md").unlink()
            write(here / "docs/2.md", "changed altogether", age=50)
            write(here / "docs/new.md", "the stone of the new")
            index.add("docs")
            index.delete("note 1")
            assert "docs/new.md" in [hit.source for hit in searcher.search("stone of the new")]
        done.set()

    thread = threading.Thread(target=change)
    thread.start()
    with Index.open(where, embedder) as index:
        index.migrate(other, tell=tell)
    thread.join()
    assert sources(where)["docs/2.md"] == ["changed altogether"]
    assert not {"docs/1.md", "note 1"} & set(sources(where))
    check_fresh(where, other)


@BOTH
def test_it_goes_on_where_it_was(
    where: str, here: Path, embedder: StandIn, other: Other, filled: random.Random
) -> None:
    class Stop(Exception):
        pass

    def stop(change: Change) -> None:
        raise Stop

    with Index.open(where, embedder) as index:
        with pytest.raises(Stop):
            index.migrate(other, tell=stop)
        assert index.manifest.encoders[0].fingerprint == embedder.fingerprint
        embedded = len(other.texts)
        assert embedded
        third = Other(open_checkpoint(make_tiny_bert(here / "third", seed=8)))
        with pytest.raises(StoreError, match=r"is on its way to .*other: go on with beige migrate --model"):
            index.migrate(third)
        other.texts.clear()
        index.migrate(other)
        assert not other.texts
    check_fresh(where, other)


@BOTH_SLOWLY
def test_it_serves_only_if_approved(
    where: str, here: Path, embedder: StandIn, other: Other, filled: random.Random
) -> None:
    seen: list[int] = []

    def refuse(index: Index) -> bool:
        with Searcher(index) as searcher:
            seen.append(len(searcher.search("stone in the river")))
        return False

    with Index.open(where, embedder) as index:
        assert index.migrate(other, approve=refuse) is None
        assert seen == [10]
        assert index.manifest.encoders[0].fingerprint == embedder.fingerprint
        other.texts.clear()
        assert index.migrate(other, approve=lambda new: new.count() == index.count()) is not None
        assert other.texts == []
        assert index.manifest.encoders[0].fingerprint == other.fingerprint


@BOTH
def test_back_and_forth_and_finish(
    where: str, here: Path, embedder: StandIn, other: Other, filled: random.Random
) -> None:
    with Index.open(where, embedder) as index:
        with pytest.raises(StoreError, match="nothing to return to"):
            index.rollback()
        with pytest.raises(UsageError, match="already: name another model"):
            index.migrate(embedder)
        index.migrate(other)
        third = Other(open_checkpoint(make_tiny_bert(here / "third", seed=8)))
        with pytest.raises(StoreError, match=r"still keeps its generation by .*--rollback.*--finish"):
            index.migrate(third)
    with Index.open(where, other) as index:
        write(here / "docs/new.md", "the stone of the new")
        index.add("docs")
        index.delete("note 2")
        wanted = sources(where)
        embedder.texts.clear()
        index.rollback()
    assert sources(where) == wanted
    with Index.open(where, embedder) as index:
        assert index.manifest.encoders[0].fingerprint == embedder.fingerprint
        index.rollback()  # and forth again
        assert index.manifest.encoders[0].fingerprint == other.fingerprint
        assert len(index.finish()) == 1
        assert index.status().generations == {}
        assert index.finish() == []
        with pytest.raises(StoreError, match="nothing to return to"):
            index.rollback()
    assert sources(where) == wanted


@BOTH
def test_two_cannot_migrate_at_once(
    where: str, here: Path, embedder: StandIn, other: Other, filled: random.Random
) -> None:
    errors: list[Exception] = []

    def tell(change: Change) -> None:
        if not errors:
            with Index.open(where, embedder) as second, pytest.raises(LockedError) as error:
                second.migrate(other)
            errors.append(error.value)

    with Index.open(where, embedder) as index:
        index.migrate(other, tell=tell)
    assert len(errors) == 1


@BOTH_SLOWLY
def test_it_waits_for_whoever_writes(
    where: str, here: Path, embedder: StandIn, other: Other, filled: random.Random
) -> None:
    writer = place_of(where).open(write=True)
    told: list[Change] = []
    with Index.open(where, embedder) as index:
        thread = threading.Thread(target=index.migrate, args=(other,), kwargs={"tell": told.append})
        thread.start()
        while len(told) < index.count()[0]:
            time.sleep(0.01)
        time.sleep(0.2)
        assert thread.is_alive()
        writer.delete(["docs/3.md"])
        writer.close()
        thread.join(60)
        assert not thread.is_alive()
        assert "docs/3.md" not in sources(where)
        assert index.manifest.encoders[0].fingerprint == other.fingerprint


@BOTH_SLOWLY
def test_a_rebuild_drops_what_a_migration_left(
    where: str, here: Path, embedder: StandIn, other: Other, filled: random.Random
) -> None:
    with Index.open(where, embedder) as index:
        index.migrate(other)
    with Index.anew(where, embedder) as index:
        index.add("first.md")
    with Index.open(where) as index:
        assert index.status().generations == {}


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {root!r})
from beige.index import Index, folder_generations, migration
from beige.index.writing import Writing
from beige.models.checkpoint import open_checkpoint
from tests.index.test_migration import Other
from tests.standin import StandIn

moment, which, model, kind = sys.argv[1:]

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

counted = [0]
def after(count, function):
    def call(*arguments, **named):
        counted[0] += 1
        if counted[0] == count:
            die()
        return function(*arguments, **named)
    return call

match moment:
    case "growing":
        migration.FromStore.steps = (lambda steps: lambda self, tell: (
            (n == 12 and die(), step)[1] for n, step in enumerate(steps(self, tell))))(migration.FromStore.steps)
    case "whole":
        folder_generations.swap = die
    case "linked" | "replaced" | "arrived":
        synced = folder_generations.sync_folder
        folder_generations.sync_folder = after(["linked", "replaced", "arrived"].index(moment) + 1, synced)
    case "swapped":
        folder_generations.shutil.rmtree = die
embedder = (Other if kind == "other" else StandIn)(open_checkpoint(model))
with Index.open("../index") as index:
    if which == "migrate":
        index.migrate(embedder)
    else:
        import beige.index.encoders as encoders
        encoders.load = lambda model: embedder
        index.rollback()
"""


MOMENTS = ("growing", "whole", "linked", "replaced", "arrived", "swapped")
KILLS = [
    *(("migrate", moment) for moment in MOMENTS),
    ("rollback", "replaced"),
    *(pytest.param("rollback", moment, marks=pytest.mark.slow) for moment in MOMENTS if moment != "replaced"),
]


@pytest.mark.parametrize(("which", "moment"), KILLS)
def test_kills(
    here: Path,
    embedder: StandIn,
    other: Other,
    filled: random.Random,
    moment: str,
    which: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source, target = embedder, other
    if which == "rollback":
        with Index.open("../index", embedder) as index:
            index.migrate(other)
        with Index.open("../index", other) as index:
            index.add(Text(f"more {n}", f"the stone {n}") for n in range(20))
        source, target = other, embedder
    wanted = contents()
    kind = "other" if target is other else "plain"
    done = subprocess.run(
        [sys.executable, "-c", KILLED.format(root=str(ROOT)), moment, which, str(target.checkpoint.path), kind],
        check=False,
    )
    if done.returncode == 0:
        assert (moment, which) == ("swapped", "rollback"), "nothing is removed then"
    else:
        assert done.returncode == -signal.SIGKILL
    with Index.open("../index") as index:
        serves = index.manifest.encoders[0].fingerprint
        arrived = moment in ("replaced", "arrived", "swapped")
        assert serves == (target if arrived else source).fingerprint
    assert contents() == wanted
    if arrived:
        with Index.open("../index", target) as index:
            with pytest.raises(StoreError, match="still keeps its generation"):
                index.migrate(source)
            assert index.finish()
    else:
        with Index.open("../index", source) as index:
            if which == "migrate":
                index.migrate(target)
            else:
                monkeypatch.setattr("beige.index.encoders.load", lambda model: target)
                index.rollback()
            assert index.manifest.encoders[0].fingerprint == target.fingerprint
    assert contents() == wanted
    answers("../index", target)
    with Index.open("../index") as index:
        index.finish()
        assert {path.name for path in Path("../index").iterdir() if path.is_dir()} == set()
