"""What a run does to an index, through `Index.add`, which is a pipeline and nothing else."""

import json
import os
import random
import threading
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from beige.documents.chunk import Document
from beige.errors import InputError, LockedError, NotFiniteError, StoreError
from beige.index import Index, pipeline
from beige.index.report import Change
from beige.index.sqlite_store import SqliteStore
from beige.index.store import Part
from beige.search import Searcher
from tests.documents import files
from tests.standin import StandIn

WORDS = "boundary layer flow heat wing engine plate pressure stone river mountain light speed water paper".split()


def write(path: Path, text: str, age: float = 100) -> Path:
    """A file that looks as if it had been written some seconds ago; a young one is read again in the next run."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    when = path.stat().st_mtime - age
    os.utime(path, (when, when))
    return path


def add(embedder: StandIn, *paths: str, index: str = "../index") -> dict[str, list[str]]:
    """Run, and tell the sources by what became of them."""
    told: dict[str, list[str]] = {}
    with Index.open(index, embedder) as opened:
        report = opened.add(*paths, tell=lambda change: told.setdefault(change.kind, []).append(change.source))
        assert {kind: len(sources) for kind, sources in told.items()} == {
            k: n for k, n in report.documents.items() if n
        }
        assert [failure.source for failure in report.failures] == told.get("failed", [])
    return {kind: sorted(sources) for kind, sources in told.items()}


def contents(index: str = "../index") -> dict[str, list[tuple[str, bytes]]]:
    """Every document's chunks, each with its text and stored vector."""
    with Index.open(index) as opened:
        passages = opened.store.fetch(np.arange(1, 100_000))
        found: dict[str, list[tuple[str, bytes]]] = {s.source: [] for s in opened.store.documents()}
        for passage in sorted(passages, key=lambda p: (p.source, p.position)):
            found[passage.source].append(passage.text)
        assert opened.count() == (len(found), sum(map(len, found.values())))
        return found


def test_a_run_adds_updates_removes_and_leaves_alone(here: Path, embedder: StandIn) -> None:
    for name in ("a.md", "b.md", "sub/c.md", "sub/d.md"):
        write(here / "docs" / name, f"# {name}\n\nthe text of {name}")
    everything = [f"docs/{name}" for name in ("a.md", "b.md", "sub/c.md", "sub/d.md")]
    assert add(embedder, "docs") == {"added": everything}
    assert add(embedder, "docs") == {"unchanged": everything}
    write(here / "docs/a.md", "another text", age=50)
    (here / "docs/sub/c.md").unlink()
    write(here / "docs/e.md", "a new one")
    assert add(embedder, "docs") == {
        "added": ["docs/e.md"],
        "updated": ["docs/a.md"],
        "unchanged": ["docs/b.md", "docs/sub/d.md"],
        "removed": ["docs/sub/c.md"],
    }
    assert contents()["docs/a.md"] == ["another text"]


def test_unchanged_files_are_not_read(here: Path, embedder: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    write(here / "a.md", "one")
    add(embedder, ".")
    monkeypatch.setattr("beige.documents.reader.Process", lambda *_: pytest.fail("a worker was started"))
    assert add(embedder, ".") == {"unchanged": ["a.md"]}


def test_a_touched_file_is_read_but_not_embedded_and_then_skipped(here: Path, embedder: StandIn) -> None:
    path = write(here / "a.md", "one")
    add(embedder, ".")
    os.utime(path, (1e9, 1e9))
    embedder.texts.clear()
    assert add(embedder, ".") == {"unchanged": ["a.md"]}
    assert embedder.texts == []
    with Index.open("../index") as index:
        assert [stored.modified for stored in index.store.documents()] == [1e9]


def test_a_young_file_of_the_same_size_and_time_is_read_again(here: Path, embedder: StandIn) -> None:
    path = write(here / "a.md", "first", age=0)
    before = path.stat()
    add(embedder, ".")
    path.write_text("other")
    os.utime(path, ns=(before.st_mtime_ns, before.st_mtime_ns))
    assert add(embedder, ".") == {"updated": ["a.md"]}
    assert contents() == {"a.md": ["other"]}


def test_a_changed_document_embeds_only_its_new_chunks(here: Path, embedder: StandIn) -> None:
    sections = [f"# {word}\n\n" + f"the {word} is here " * 20 for word in WORDS]
    write(here / "a.md", "\n\n".join(sections))
    add(embedder, ".")
    chunks = len(contents()["a.md"])
    assert len(embedder.texts) == len(set(embedder.texts)) == chunks
    embedder.texts.clear()
    sections[3] = "# changed\n\nnothing but this"
    write(here / "a.md", "\n\n".join(sections), age=50)
    write(here / "copy.md", "\n\n".join(sections))
    assert add(embedder, ".") == {"updated": ["a.md"], "added": ["copy.md"]}
    assert [text.split() for text in embedder.texts] == [["#", "changed", "nothing", "but", "this"]]


def test_only_what_lies_beneath_the_paths_of_the_run_is_removed(here: Path, embedder: StandIn) -> None:
    for name in ("docs/a.md", "docs/b.md", "docs2/c.md", "d.md", "docs/sub/e.md", "docs/sub-e.md"):
        write(here / name, name)
    add(embedder, ".")
    for name in ("docs/b.md", "docs2/c.md", "d.md", "docs/sub/e.md", "docs/sub-e.md"):
        (here / name).unlink()
    assert add(embedder, "docs/sub") == {"removed": ["docs/sub/e.md"]}
    assert add(embedder, "docs") == {"unchanged": ["docs/a.md"], "removed": ["docs/b.md", "docs/sub-e.md"]}
    assert add(embedder, str(here / "docs2")) == {"removed": ["docs2/c.md"]}
    assert add(embedder, "..") == {"unchanged": ["docs/a.md"], "removed": ["d.md"]}


def test_one_index_from_two_folders(tmp_path: Path, embedder: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    """Equal names in two folders are two documents, and each folder's runs leave the other's alone."""
    for folder in ("one", "two"):
        write(tmp_path / folder / "a.md", f"the text of {folder}")
        write(tmp_path / folder / "rows.jsonl", f'{{"id": "r", "text": "a row of {folder}"}}\n')
    monkeypatch.chdir(tmp_path / "one")
    assert add(embedder, ".") == {"added": ["a.md", "rows.jsonl#r"]}
    monkeypatch.chdir(tmp_path / "two")
    two = [f"{tmp_path}/two/{name}" for name in ("a.md", "rows.jsonl#r")]
    assert add(embedder, ".") == {"added": two}
    assert add(embedder, ".", "../one/a.md") == {"unchanged": [two[0], two[1], "a.md"]}
    Path("a.md").unlink()
    write(tmp_path / "two/rows.jsonl", '{"id": "s", "text": "another"}\n', age=50)
    assert add(embedder, ".") == {"added": [f"{tmp_path}/two/rows.jsonl#s"], "removed": two}
    monkeypatch.chdir(tmp_path)
    assert add(embedder, "one", index="index") == {"unchanged": ["a.md", "rows.jsonl#r"]}
    assert sorted(contents("index")) == [f"{tmp_path}/two/rows.jsonl#s", "a.md", "rows.jsonl#r"]


def test_an_index_within_its_documents_moves_with_them(
    tmp_path: Path, embedder: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "old/a.md", "one")
    monkeypatch.chdir(tmp_path / "old")
    assert add(embedder, ".", index=".beige") == {"added": ["a.md"]}
    (tmp_path / "old").rename(tmp_path / "new")
    monkeypatch.chdir(tmp_path)
    assert add(embedder, "new", index="new/.beige") == {"unchanged": ["a.md"]}
    with Index.anew("new/.beige", embedder) as index:
        index.add("new")
    assert list(contents("new/.beige")) == ["new/a.md"], "a new index begins anew, here"


def test_a_file_that_fails_keeps_its_last_version(here: Path, embedder: StandIn) -> None:
    write(here / "a.md", "good")
    write(here / "b.md", "also good")
    add(embedder, ".")
    (here / "a.md").write_bytes(b"\x00\x01\x02" * 100)
    found = add(embedder, ".")
    assert found == {"failed": ["a.md"], "unchanged": ["b.md"]}
    assert contents()["a.md"] == ["good"]
    write(here / "a.md", "better", age=50)
    assert add(embedder, ".") == {"updated": ["a.md"], "unchanged": ["b.md"]}


def test_what_lies_in_a_folder_that_fails_is_kept(
    here: Path, embedder: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(here / "docs/locked/a.md", "one")
    add(embedder, "docs")
    real = os.scandir

    def scandir(path):
        if Path(path).name == "locked":
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert add(embedder, "docs") == {"failed": ["docs/locked"]}
    assert list(contents()) == ["docs/locked/a.md"]


def records(path: Path, rows: dict[str, str], age: float = 100) -> Path:
    return write(path, "".join(json.dumps({"id": key, "text": text}) + "\n" for key, text in rows.items()), age)


def test_records_are_added_updated_and_removed_one_by_one(here: Path, embedder: StandIn) -> None:
    rows = {f"r{n}": f"record number {n}" for n in range(300)}
    path = records(here / "x.jsonl", rows)
    assert len(add(embedder, ".")["added"]) == 300
    assert len(add(embedder, ".")["unchanged"]) == 300
    embedder.texts.clear()
    rows["r7"] = "changed"
    del rows["r9"]
    rows["new"] = "a new record"
    records(path, rows, age=50)
    found = add(embedder, "x.jsonl")
    assert (found["updated"], found["removed"], found["added"]) == (["x.jsonl#r7"], ["x.jsonl#r9"], ["x.jsonl#new"])
    assert sorted(embedder.texts) == ["a new record", "changed"]
    assert contents() == {f"x.jsonl#{key}": [text] for key, text in sorted(rows.items())}
    path.unlink()
    assert len(add(embedder, ".")["removed"]) == 300


def test_a_file_of_records_that_was_stored_in_part_is_read_again(here: Path, embedder: StandIn) -> None:
    records(here / "x.jsonl", {f"r{n}": f"record {n}" for n in range(50)})

    class Stop(Exception):
        pass

    def stop(change: Change) -> None:
        if change.source.endswith("#r20"):
            raise Stop

    with Index.open("../index", embedder) as index, pytest.raises(Stop):
        index.add(".", tell=stop)
    with Index.open("../index") as index:
        assert not any(stored.settled for stored in index.store.documents() if not stored.source.endswith("#r49"))
    assert sum(map(len, add(embedder, ".").values())) == 50
    assert len(contents()) == 50
    assert len(add(embedder, ".")["unchanged"]) == 50


def test_broken_records_are_named_and_the_others_kept(here: Path, embedder: StandIn) -> None:
    path = records(here / "x.jsonl", {"a": "first", "b": "second"})
    add(embedder, ".")
    write(path, path.read_text().replace("second", "changed") + "no json\n", age=50)
    assert add(embedder, ".") == {"failed": ["x.jsonl:3"], "unchanged": ["x.jsonl#a"], "updated": ["x.jsonl#b"]}


def test_a_name_with_a_hash_is_not_taken_for_a_record(here: Path, embedder: StandIn) -> None:
    write(here / "a", "plain text of a")
    write(here / "a#1.md", "its own file")
    assert add(embedder, ".") == {"added": ["a", "a#1.md"]}
    write(here / "a", "changed text of a", age=50)
    assert add(embedder, ".") == {"updated": ["a"], "unchanged": ["a#1.md"]}
    (here / "a").unlink()
    assert add(embedder, ".") == {"unchanged": ["a#1.md"], "removed": ["a"]}


def test_a_list_of_objects_that_becomes_a_document_and_back(here: Path, embedder: StandIn) -> None:
    path = write(here / "x.json", '[{"id": "one", "text": "first"}, {"id": "two", "text": "second"}]')
    assert add(embedder, ".") == {"added": ["x.json#one", "x.json#two"]}
    write(path, '{"a": "document"}', age=50)
    assert add(embedder, ".") == {"added": ["x.json"], "removed": ["x.json#one", "x.json#two"]}
    write(path, '[{"id": "one", "text": "first"}]', age=20)
    assert add(embedder, ".") == {"added": ["x.json#one"], "removed": ["x.json"]}


def test_paths_that_overlap_are_read_once(here: Path, embedder: StandIn) -> None:
    write(here / "docs/a.md", "one")
    assert add(embedder, "docs", "docs/a.md", str(here / "docs"), ".") == {"added": ["docs/a.md"]}


def test_the_index_does_not_index_itself(here: Path, embedder: StandIn) -> None:
    write(here / "a.md", "one")
    for _ in range(2):
        assert list(add(embedder, ".", index="visible").values()) == [["a.md"]]
    with Index.anew("visible", embedder) as index:
        assert index.add(".").documents["added"] == 1


def test_a_path_that_does_not_exist_changes_nothing(here: Path, embedder: StandIn) -> None:
    write(here / "a.md", "one")
    add(embedder, ".")
    (here / "a.md").unlink()
    with pytest.raises(InputError, match="missing"):
        add(embedder, ".", "missing")
    assert list(contents()) == ["a.md"]


def test_a_second_writer_is_refused(here: Path, embedder: StandIn) -> None:
    write(here / "a.md", "one")
    inside = threading.Event()
    done = threading.Event()

    def tell(change: Change) -> None:
        inside.set()
        assert done.wait(60)

    def run() -> None:
        with Index.open("../index", embedder) as index:
            index.add(".", tell=tell)

    thread = threading.Thread(target=run)
    thread.start()
    assert inside.wait(60)
    try:
        with Index.open("../index", embedder) as index, pytest.raises(LockedError):
            index.add(".")
    finally:
        done.set()
        thread.join()


def test_a_chunk_that_was_cut_is_counted(here: Path, embedder: StandIn) -> None:
    encode = embedder.encode_document

    def cut(texts, outputs):
        found = encode(texts, outputs)
        found.truncated[:] = True
        return found

    embedder.encode_document = cut
    write(here / "a.md", "one")
    with Index.open("../index", embedder) as index:
        assert index.add(".").cut == 1


class Failing(StandIn):
    """Fails at the first text with a given word."""

    word = "poison"

    def encode_document(self, texts, outputs=("dense",)):
        if any(self.word in text for text in texts):
            raise NotFiniteError(f"a text with {self.word} gives a vector that is not finite")
        return super().encode_document(texts, outputs)


@pytest.fixture
def small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every document is a transaction of its own."""
    monkeypatch.setattr("beige.index.pipeline.FIRST_WINDOW", 1)
    monkeypatch.setattr("beige.index.pipeline.SMALLEST_WINDOW", 1)
    monkeypatch.setattr("beige.index.pipeline.WINDOW_SECONDS", 0)


@pytest.mark.usefixtures("small_windows")
def test_an_error_of_the_embedder_ends_the_run_and_what_was_told_stays(here: Path, embedder: StandIn) -> None:
    for number in range(200):
        write(here / f"{number:03}.md", f"text {number}")
    write(here / "150.md", "poison")
    told: list[str] = []
    with Index.open("../index", Failing(embedder.checkpoint)) as index:
        with pytest.raises(NotFiniteError, match="poison"):
            index.add(".", tell=lambda change: told.append(change.source))
        assert index.add("001.md").documents["failed"] == 0, "the index is not left locked"
    assert told
    assert set(told) <= set(contents())
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("beige-")]


def test_an_error_of_the_caller_ends_the_run(here: Path, embedder: StandIn) -> None:
    write(here / "a.md", "one")
    with Index.open("../index", embedder) as index:
        with pytest.raises(ZeroDivisionError):
            index.add(".", tell=lambda change: 1 / 0)
        assert index.count() == (1, 1), "it was stored before it was told"


@pytest.mark.usefixtures("small_windows")
def test_an_error_of_the_store_ends_the_run_and_what_was_told_stays(
    here: Path, embedder: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(50):
        write(here / f"{number:02}.md", f"text {number}")
    upsert = SqliteStore.upsert
    calls = iter(range(3))

    def full(store: SqliteStore, entries) -> None:
        if next(calls, None) is None:
            raise StoreError("the disk is full")
        upsert(store, entries)

    monkeypatch.setattr(SqliteStore, "upsert", full)
    told: list[str] = []
    with Index.open("../index", embedder) as index, pytest.raises(StoreError, match="the disk is full"):
        index.add(".", tell=lambda change: told.append(change.source))
    assert len(told) == 3
    assert set(contents()) == set(told)


def test_an_interrupt_ends_a_slow_file_with_its_worker(here: Path, embedder: StandIn) -> None:
    write(here / "a.md", "one")
    files.docx(here / "slow.docx", [(0, "z!" * 2_000_000)])
    write(here / "z.md", "two")
    begun = threading.active_count()

    def interrupt(change: Change) -> None:
        assert change.source == "a.md"
        raise KeyboardInterrupt

    with Index.open("../index", embedder) as index, pytest.raises(KeyboardInterrupt):
        index.add(".", tell=interrupt)
    assert threading.active_count() == begun, "nobody reads on"
    (here / "slow.docx").unlink()
    assert add(embedder, ".") == {"added": ["z.md"], "unchanged": ["a.md"]}


def test_the_centroid_follows_the_chunks(here: Path, embedder: StandIn) -> None:
    chance = random.Random(0)

    def grow(numbers: range) -> None:
        for number in numbers:
            write(here / f"{number}.md", " ".join(chance.choices(WORDS, k=20)))
        add(embedder, ".")

    grow(range(10))
    with Index.open("../index") as index:
        first = index.store.centroid("dense")
    grow(range(5, 13))
    with Index.open("../index") as index:
        assert not np.array_equal(index.store.centroid("dense"), first)


def answers(index: str, embedder: StandIn) -> list[object]:
    with Index.open(index, embedder) as opened, Searcher(opened) as searcher:
        return [
            [(hit.source, hit.text, hit.legs) for hit in searcher.search(query, 50, legs=legs, fusion="reciprocal")]
            for query in ("boundary layer", "the stone in the river", "speed of light")
            for legs in (["dense"], ["bm25"], ["dense", "bm25"])
        ]


@pytest.mark.parametrize("seed", range(4))
def test_any_history_of_edits_answers_as_a_fresh_index(here: Path, embedder: StandIn, seed: int) -> None:
    chance = random.Random(seed)

    def text() -> str:
        return "\n\n".join(f"# {chance.choice(WORDS)}\n\n{' '.join(chance.choices(WORDS, k=12))}" for _ in range(3))

    for run in range(4):
        for _ in range(12):
            path = here / "docs" / chance.choice(["", "sub", "deep/er"]) / f"{chance.randrange(12)}.md"
            match chance.randrange(4):
                case 0:
                    path.unlink(missing_ok=True)
                case 1:
                    rows = {f"r{chance.randrange(9)}": text() for _ in range(chance.randrange(1, 9))}
                    records(path.with_suffix(".jsonl"), rows, age=90 - run)
                case _:
                    write(path, text(), age=90 - run if chance.random() < 0.7 else 0)
        add(embedder, "docs" if run % 2 else ".")
    add(embedder, ".", index="../fresh")
    assert contents() == contents("../fresh")
    assert answers("../index", embedder) == answers("../fresh", embedder)


def test_nothing_is_stored_twice(here: Path, embedder: StandIn) -> None:
    for number in range(30):
        write(here / f"{number}.md", f"text {number % 3}")
    add(embedder, ".")
    assert Counter(map(tuple, contents().values())).total() == 30
    assert sorted(embedder.texts) == ["text 0", "text 1", "text 2"]


def test_a_large_document_passes_in_parts_and_counts_as_a_whole(
    here: Path, embedder: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    def text(last: str) -> str:
        sections = [f"# {word} {number}\n\n" + f"the {word} is here " * 20 for number in range(3) for word in WORDS]
        return "\n\n".join([*sections, last])

    write(here / "docs/large.md", text("the end"))
    write(here / "docs/small.md", "the stone in the river")
    with Index.open("../index", embedder) as index:
        whole = index.add("docs")
    parts: list[int] = []
    store = SqliteStore.upsert_in_parts

    def counted(self: SqliteStore, document: Document, given: Iterable[Part]) -> None:
        store(self, document, (parts.append(len(part["dense"])) or part for part in given))

    monkeypatch.setattr(SqliteStore, "upsert_in_parts", counted)
    for name, characters in (("LARGE", 5000), ("FIRST_WINDOW", 3000), ("SMALLEST_WINDOW", 3000)):
        monkeypatch.setattr(pipeline, name, characters)
    monkeypatch.setattr(pipeline, "WINDOW_SECONDS", 0)
    embedder.texts.clear()
    with Index.open("../parts", embedder) as index:
        told: list[Change] = []
        report = index.add("docs", tell=told.append)
        assert len(parts) > 3
        assert sum(parts) == index.store.stored(["docs/large.md"])["docs/large.md"].chunks
        assert sorted(change.source for change in told) == ["docs/large.md", "docs/small.md"]
        assert (report.documents, report.chunks, report.tokens) == (whole.documents, whole.chunks, whole.tokens)
        assert len(embedder.texts) == report.chunks
    assert contents("../parts") == contents("../index")
    assert answers("../parts", embedder) == answers("../index", embedder)

    write(here / "docs/large.md", text("NaN"), age=50)
    with Index.open("../parts", embedder) as index:
        embedder.texts.clear()
        index.add("docs")
        assert len(embedder.texts) == 1, "the vectors of the version before serve"
        write(here / "docs/large.md", text("another end").replace("stone", "stones"), age=40)
        seen = contents("../parts")
        embed, calls = embedder.encode_document, []

        def failing(*texts: object) -> object:
            calls.append(texts)
            if len(calls) == 2:
                raise ZeroDivisionError
            return embed(*texts)  # type: ignore[arg-type]

        monkeypatch.setattr(embedder, "encode_document", failing)
        with pytest.raises(ZeroDivisionError):
            index.add("docs")
        assert contents("../parts") == seen
