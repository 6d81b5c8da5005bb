"""Texts that are given by name, documents that expire, and removal by name, beside files in one index."""

import json
import random
import time
from datetime import timedelta
from pathlib import Path

import pytest

from beige import Index, Text
from beige.errors import InputError, UsageError
from beige.index.lease import KEEP, Lease, lease
from beige.index.sqlite_store import SqliteStore
from beige.search import Request, Searcher
from tests.index.test_pipeline import WORDS, add, answers, contents, write
from tests.standin import StandIn


def give(embedder: StandIn, *texts: Text, ttl: str | None = None) -> dict[str, list[str]]:
    told: dict[str, list[str]] = {}
    with Index.open("../index", embedder) as index:
        index.add(texts, ttl=ttl, tell=lambda change: told.setdefault(change.kind, []).append(change.source))
    return told


def test_a_text_is_added_replaced_and_left_alone(here: Path, embedder: StandIn) -> None:
    assert give(embedder, Text("note", "the stone"), Text("other", "the river")) == {"added": ["note", "other"]}
    embedder.texts.clear()
    assert give(embedder, Text("note", "the stone"), Text("other", "the water")) == {
        "unchanged": ["note"],
        "updated": ["other"],
    }
    assert embedder.texts == ["the water"]
    assert contents() == {"note": ["the stone"], "other": ["the water"]}
    with Index.open("../index", embedder) as index, Searcher(index) as searcher:
        hit = searcher.search("stone")[0]
        assert (hit.source, hit.given) == ("note", True)


def test_fields_title_and_media_of_a_text_are_stored(here: Path, embedder: StandIn) -> None:
    fields = {"floor": 3, "open": True, "price": 2.5, "city": "Köln", "tags": ["a", "b"]}
    before = time.time()
    give(embedder, Text("lift", "# Up\n\nand down", title="Lift", fields=fields, media="markdown"))
    with Index.open("../index") as index:
        (passage,) = index.store.scan()
        (stored,) = index.store.documents()
    assert (passage.fields, passage.media, passage.locator.headings) == (fields, "markdown", ("Lift", "Up"))
    assert before <= stored.modified <= time.time()
    give(embedder, Text("lift", "# Up\n\nand down", title="Lift", fields=fields, media="markdown"))
    with Index.open("../index") as index:
        assert next(index.store.documents()).modified == stored.modified, "it has not changed since"
    give(embedder, Text("lift", "# Up\n\nand down", title="Lift", fields=fields | {"floor": 4}, media="markdown"))
    with Index.open("../index") as index:
        assert next(index.store.scan()).fields["floor"] == 4


def test_runs_over_paths_leave_texts_alone_and_the_other_way_round(here: Path, embedder: StandIn) -> None:
    write(here / "docs/a.md", "the text of a")
    write(here / "docs/rows.jsonl", '{"id": "r", "text": "a row"}\n')
    add(embedder, ".")
    given = ["docs/b.md", "docs/rows.jsonl#s", "note", "https://example.com/page", "docs"]
    give(embedder, *(Text(name, f"given as {name}") for name in given))
    kept = contents()
    assert add(embedder, ".") == {"unchanged": ["docs/a.md", "docs/rows.jsonl#r"]}
    write(here / "docs/rows.jsonl", '{"id": "t", "text": "another row"}\n', age=50)
    assert add(embedder, "docs") == {
        "added": ["docs/rows.jsonl#t"],
        "removed": ["docs/rows.jsonl#r"],
        "unchanged": ["docs/a.md"],
    }
    assert {name: contents()[name] for name in given} == {name: kept[name] for name in given}
    write(here / "docs/b.md", "a file after all")
    assert add(embedder, "docs")["updated"] == ["docs/b.md"], "whoever writes last has the name"
    (here / "docs/b.md").unlink()
    assert add(embedder, "docs")["removed"] == ["docs/b.md"], "it is a file now"


def test_paths_and_texts_in_one_run(here: Path, embedder: StandIn) -> None:
    write(here / "a.md", "one")
    with Index.open("../index", embedder) as index:
        report = index.add("a.md", Text("b", "two"), (Text(name, name) for name in ("c", "d")))
        assert report.documents["added"] == 4
        with pytest.raises(InputError, match=r"int.*beige\.Text"):
            index.add(Text("e", "three"), [7])
    assert list(contents()) == ["a.md", "b", "c", "d"]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"source": " "}, "needs a name"),
        ({"source": "a\nb"}, "no name can have"),
        ({"source": "\ud800"}, "no name can have"),
        ({"text": 7}, "must be strings"),
        ({"media": "pdf"}, "'pdf': choose text, markdown, code"),
        ({"fields": {"a": {}}}, "field 'a' of x"),
        ({"fields": {"a": float("nan")}}, "field 'a' of x"),
        ({"fields": {"": 1}}, "without a name"),
        ({"fields": [1]}, "values by name"),
    ],
)
def test_a_text_that_is_none_is_refused(values: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=said):
        Text(**{"source": "x", "text": "y"} | values)


def test_documents_are_removed_by_name(here: Path, embedder: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("docs/a.md", "docs/b.md", "docs2/c.md", "d.md"):
        write(here / name, name)
    add(embedder, ".")
    give(embedder, Text("docs/note", "a note"), Text("a.md", "a text that is called as a file"))
    with Index.open(here.parent / "index") as index:
        report = index.delete("docs/a.md", "nothing", "docs/a.md")
        assert (report.documents["removed"], [f.source for f in report.failures]) == (1, ["nothing"])
        monkeypatch.chdir("docs")
        assert index.delete("b.md", "a.md", from_here=True).documents["removed"] == 2, "one of each kind"
        monkeypatch.chdir("..")
        report = index.delete("docs", prefix=True, from_here=True)
        assert report.documents["removed"] == 2
        with pytest.raises(UsageError, match="empty prefix"):
            index.delete("", prefix=True)
    assert list(contents()) == ["d.md"]
    assert add(embedder, ".")["added"] == ["docs/a.md", "docs/b.md", "docs2/c.md"], "the files are still there"


def test_a_record_is_named_as_hits_name_it_whatever_its_id_is(
    here: Path, embedder: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = ["http://host//a", "../b", "c/", "#d"]
    write(here / "docs/x#/rows.jsonl", "\n".join(json.dumps({"id": one, "text": f"the {one}"}) for one in ids))
    write(here / "docs/x#/a.md", "a file")
    add(embedder, ".")
    monkeypatch.chdir(here / "docs")
    with Index.open(here.parent / "index", embedder) as index:
        for one in ids:
            name = f"x#/rows.jsonl#{one}"
            request = Request("the", filter=f'path:"{name}"')
            assert [hit.source for hit in index.run(request, from_here=True).hits] == [name]
            assert index.delete(name, from_here=True).documents["removed"] == 1
        assert index.delete("x#/../x#/a.md", from_here=True).documents["removed"] == 1
        assert index.count() == (0, 0)


def test_what_is_no_name_and_what_is_no_text_is_refused(here: Path, embedder: StandIn) -> None:
    give(embedder, Text("note", "the stone"))
    with Index.open("../index", embedder) as index:
        with pytest.raises(UsageError, match="by their names, which are texts, not list"):
            index.delete(["note"])  # type: ignore[arg-type]
        with pytest.raises(InputError, match="only paths and texts can be added, not int"):
            index.add(3)  # type: ignore[arg-type]
        assert index.count() == (1, 1)


def test_deleting_needs_no_model(here: Path, embedder: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    give(embedder, Text("note", "the stone"))
    monkeypatch.setattr("beige.embedder.Embedder", lambda *_: pytest.fail("the model was loaded"))
    with Index.open("../index") as index:
        assert index.delete("note").documents["removed"] == 1


def test_a_time_to_live() -> None:
    assert lease(None, 5) is KEEP
    assert lease("never", 5) == Lease()
    seconds = {"90s": 90, "15m": 900, "1.5h": 5400, " 30d ": 30 * 86400, "2w": 14 * 86400, 7: 7, 0.5: 0.5}
    for written, meant in seconds.items():
        assert lease(written, 5) == Lease(until=5 + meant)
    assert lease(timedelta(hours=1), 5) == Lease(until=3605)
    for wrong in ("30", "d", "-3d", "3 days", "", "0s", 0, -1, float("inf"), timedelta(0)):
        with pytest.raises(UsageError, match="time to live"):
            lease(wrong, 5)


class Clock:
    """Time that passes when the test says so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.late = 0.0
        now = time.time
        monkeypatch.setattr(time, "time", lambda: now() + self.late)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def listed() -> dict[str, bool]:
    """Every document, and whether it expires."""
    with Index.open("../index") as index:
        return {stored.source: stored.expires is not None for stored in index.store.documents()}


def test_a_run_with_a_time_to_live_renews_it_and_one_without_keeps_it(
    here: Path, embedder: StandIn, clock: Clock
) -> None:
    for name in "abc":
        write(here / f"{name}.md", name)
    add(embedder, "a.md", "b.md")
    with Index.open("../index", embedder) as index:
        assert index.add("a.md", ttl="1d").documents["unchanged"] == 1
    write(here / "a.md", "changed", age=50)
    assert add(embedder, ".") == {"updated": ["a.md"], "added": ["c.md"], "unchanged": ["b.md"]}
    assert listed() == {"a.md": True, "b.md": False, "c.md": False}
    clock.late = 86400 - 60
    embedder.texts.clear()
    with Index.open("../index", embedder) as index:
        index.add(".", ttl="1d")
    assert embedder.texts == []
    clock.late += 86400 - 60
    assert all(listed().values())
    with Index.open("../index", embedder) as index:
        index.add("c.md", ttl="never")
    clock.late += 120
    assert listed() == {"c.md": False}
    assert add(embedder, ".") == {"added": ["a.md", "b.md"], "unchanged": ["c.md"]}, "their files are still there"


def test_nothing_expired_is_found_and_the_next_writer_removes_it(here: Path, embedder: StandIn, clock: Clock) -> None:
    give(embedder, Text("stays", "the stone of the river"))
    give(embedder, Text("goes", "the stone of the mountain"), ttl="1h")
    with Index.open("../index", embedder) as reader, Searcher(reader) as searcher:
        both = [hit.source for hit in searcher.search("stone of the mountain")]
        assert both == ["goes", "stays"]
        ids = [passage.id for passage in reader.store.scan()]
        clock.late = 3600 + 1
        for legs in (["dense"], ["bm25"], ["dense", "bm25"]):
            assert [hit.source for hit in searcher.search("stone of the mountain", legs=legs)] == ["stays"]
        assert reader.count() == (1, 1)
        assert [passage.id for passage in reader.store.scan()] == [ids[0]]
        assert list(reader.store.stored(["goes", "stays"])) == ["stays"]
        with SqliteStore.open(Path("../index"), write=True) as writer:
            assert writer.remove_expired() == 0, "it did so when it was opened"
            clock.late = 0
            assert writer.count() == (1, 1)
        assert [hit.source for hit in searcher.search("mountain")] == ["stays"]


@pytest.mark.parametrize("seed", range(3))
def test_any_history_with_texts_and_expiry_answers_as_a_fresh_index(
    here: Path, embedder: StandIn, clock: Clock, seed: int
) -> None:
    chance = random.Random(seed)

    def text() -> str:
        return " ".join(chance.choices(WORDS, k=12))

    kept: dict[str, tuple[Text, float | None]] = {"first": (Text("first", text()), None)}
    give(embedder, kept["first"][0])
    for _ in range(25):
        given = {f"text {chance.randrange(8)}": text() for _ in range(3)}
        hours = chance.choice([None, 1, 3])
        match chance.randrange(3):
            case 0:
                gone = [f"text {chance.randrange(8)}" for _ in range(2)]
                with Index.open("../index") as index:
                    index.delete(*gone)
                kept = {source: value for source, value in kept.items() if source not in gone}
            case 1:
                clock.late += 3600 * chance.random()
            case _:
                give(embedder, *(Text(*pair) for pair in given.items()), ttl=f"{hours}h" if hours else "never")
                until = clock.late + 3600 * hours if hours else None
                kept |= {source: (Text(source, words), until) for source, words in given.items()}
        kept = {source: (what, until) for source, (what, until) in kept.items() if until is None or until > clock.late}
        assert set(contents()) == set(kept)
    with Index.open("../fresh", embedder) as fresh:
        fresh.add(what for what, _ in kept.values())
    before = answers("../index", embedder)  # by a reader, perhaps before a writer removes what has expired
    assert before == answers("../fresh", embedder)
    assert contents() == contents("../fresh")
