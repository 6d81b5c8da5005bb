import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from beige.documents.chunk import Document, Failure
from beige.documents.reader import Reader
from beige.documents.reading import Recipe, read
from beige.documents.records import Names
from beige.documents.walk import Found, find
from beige.errors import BeigeError, CheckpointError, UsageError
from tests.documents import files
from tests.documents.test_reading import build

linux = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")


def found(path: Path, source: str = "") -> Found:
    status = path.stat()
    return Found(path, source or path.name, status.st_size, status.st_mtime)


def children(pid: int) -> list[int]:
    """The processes that this one has started, the zombies among them too."""
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


def begun(pid: int) -> bool:
    """Whether a child runs its own program; if it is stopped before, this process, which waits for that, is too."""
    mine, its = (Path(f"/proc/{each}/cmdline").read_bytes() for each in ("self", pid))
    return mine != its


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def reader(tokenizer: Path) -> Iterator[Reader]:
    with Reader(tokenizer, chunk_tokens=64, workers=2) as reader:
        yield reader


@pytest.fixture
def slow(tmp_path: Path) -> Path:
    """A small file that takes seconds to read: it unpacks to millions of tokens."""
    return files.docx(tmp_path / "slow.docx", [(0, "z!" * 2_000_000)])


def by_source(results: Iterator[Document | Failure]) -> dict[str, Document | Failure]:
    return {result.source: result for result in results}


def test_the_workers_give_what_reading_here_gives(reader: Reader, recipe: Recipe, tmp_path: Path) -> None:
    build(tmp_path)
    (tmp_path / "c.jsonl").write_text('{"_id": "x", "title": "T", "text": "river \\ud800", "year": 3}\nbroken\n')
    (tmp_path / os.fsdecode(b"caf\xe9.txt")).write_text("中文 😀")
    (tmp_path / "binary.txt").write_bytes(bytes(100))
    listed = [file for file in find([tmp_path]) if isinstance(file, Found)]
    here = {result.source: result for file in listed for result in read(file, recipe)}
    assert by_source(reader.read(listed)) == here
    assert sum(isinstance(result, Failure) for result in here.values()) == 2
    assert by_source(reader.read(listed)) == here, "a reader reads more than once"


def test_many_small_files_and_failures_among_them(reader: Reader, tmp_path: Path) -> None:
    listed: list[Found | Failure] = []
    for number in range(500):
        path = tmp_path / f"{number}.txt"
        path.write_text(f"river {number}")
        listed.append(found(path))
        if number % 100 == 0:
            listed.append(Failure(f"shut{number}", "it cannot be read"))
    results = by_source(reader.read(listed))
    assert len(results) == 505
    assert all(
        isinstance(result, Failure) or result.chunks[0].text == f"river {source[:-4]}"
        for source, result in results.items()
    )


def test_nothing_to_read_starts_nothing(reader: Reader) -> None:
    assert list(reader.read([])) == []
    assert list(reader.read([Failure("a", "b")])) == [Failure("a", "b")]
    assert reader._all == []


def test_a_slow_file_fails_alone(tokenizer: Path, slow: Path, tmp_path: Path) -> None:
    listed = [found(slow)]
    for number in range(5):
        (tmp_path / f"{number}.txt").write_text("river")
        listed.append(found(tmp_path / f"{number}.txt"))
    with Reader(tokenizer, workers=1, seconds=0.5) as reader:
        results = by_source(reader.read([listed[1], *listed]))
    assert results.pop("slow.docx") == Failure("slow.docx", "it takes more than 1 s to read")
    assert len(results) == 5
    assert all(isinstance(result, Document) for result in results.values())


@linux
def test_a_parser_that_waits_for_ever_is_ended_too(tokenizer: Path, slow: Path) -> None:
    results: list[Document | Failure] = []
    with Reader(tokenizer, workers=1, seconds=0.2) as reader:
        thread = threading.Thread(target=lambda: results.extend(reader.read([found(slow)])))
        thread.start()
        wait_until(lambda: any(map(begun, children(os.getpid()))))
        os.kill(children(os.getpid())[0], signal.SIGSTOP)
        thread.join()
    assert results == [Failure("slow.docx", "it takes more than 1 s to read")]


@linux
def test_a_file_that_needs_too_much_memory_fails_alone(tokenizer: Path, tmp_path: Path) -> None:
    (tmp_path / "large.txt").write_bytes(b"river water \n" * 10_000_000)
    (tmp_path / "small.txt").write_text("river")
    (tmp_path / "other.txt").write_text("stone")
    with Reader(tokenizer, workers=1, memory=100 << 20) as reader:
        results = by_source(reader.read([found(tmp_path / f"{name}.txt") for name in ("small", "large", "other")]))
    assert results.pop("large.txt") == Failure("large.txt", "it needs more than 100 MiB of memory to read")
    assert sorted(results) == ["other.txt", "small.txt"]


@linux
def test_a_crash_is_tried_again_in_a_fresh_worker_and_then_fails_alone(
    tokenizer: Path, slow: Path, tmp_path: Path
) -> None:
    (tmp_path / "small.txt").write_text("river")
    (tmp_path / "after.txt").write_text("stone")
    listed = [found(tmp_path / "small.txt"), found(slow), found(tmp_path / "after.txt")]
    with Reader(tokenizer, workers=1) as reader:
        results = reader.read(listed)
        assert isinstance(next(results), Document)
        (first,) = children(os.getpid())
        os.kill(first, signal.SIGSEGV)
        rest: list[Document | Failure] = []
        thread = threading.Thread(target=lambda: rest.extend(results))
        thread.start()
        wait_until(lambda: children(os.getpid()) not in ([], [first]))
        for child in children(os.getpid()):
            os.kill(child, signal.SIGSEGV)
        thread.join()
    outcome = by_source(iter(rest))
    assert isinstance(outcome["after.txt"], Document)
    assert outcome["slow.docx"] == Failure("slow.docx", "it crashes its parser, or needs more than 1024 MiB of memory")


def test_workers_read_no_further_ahead_than_their_pipes(reader: Reader, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("river water stone. " * 5000)
    taken = 0

    def endless() -> Iterator[Found]:
        nonlocal taken
        while True:
            taken += 1
            yield found(path, f"{taken}")

    results = reader.read(endless())
    for _ in range(20):
        assert isinstance(next(results), Document)
    assert taken < 100
    results.close()


@linux
def test_a_caller_that_has_enough_leaves_no_worker(tokenizer: Path, slow: Path, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("river")
    with Reader(tokenizer, workers=1) as reader:
        results = reader.read([found(tmp_path / "a.txt"), found(slow)])
        next(results)
        results.close()
        assert children(os.getpid()) == []
        assert len(list(reader.read([found(tmp_path / "a.txt")]))) == 1
        assert len(children(os.getpid())) == 1
    assert children(os.getpid()) == []


def test_closing_from_another_thread_ends_a_read_at_once(tokenizer: Path, slow: Path) -> None:
    reader = Reader(tokenizer, workers=1)
    results: list[Document | Failure] = []
    thread = threading.Thread(target=lambda: results.extend(reader.read([found(slow)])))
    thread.start()
    wait_until(lambda: bool(reader._all))
    reader.close()
    thread.join()
    assert results == []
    assert reader._all == []


def test_what_the_workers_refuse_is_raised_here(tokenizer: Path, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("river")
    for reader, error, words in (
        (Reader(tokenizer, chunk_tokens=4), UsageError, "leave no room"),
        (Reader(tmp_path / "none.json"), CheckpointError, r"none.json cannot be read: No such file.*pull the model"),
    ):
        with reader, pytest.raises(error, match=words):
            list(reader.read([found(tmp_path / "a.txt")]))


def test_workers_that_cannot_start(tokenizer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "python").write_text("#!/bin/sh\necho no such interpreter >&2\nexit 3\n")
    (tmp_path / "python").chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with Reader(tokenizer) as reader, pytest.raises(BeigeError, match="could not start: no such interpreter"):
        list(reader.read([found(tmp_path / "python")]))


def test_names_of_fields_reach_the_workers(tokenizer: Path, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "no", "abstract": "yes"}\n')
    with Reader(tokenizer, names=Names(text=("abstract",))) as reader:
        (document,) = reader.read([found(tmp_path / "a.jsonl")])
    assert isinstance(document, Document)
    assert document.chunks[0].text == "yes"


PROGRAM = """
from pathlib import Path
from beige.documents.reader import Reader
from beige.documents.walk import find
print("started")
with Reader(Path({tokenizer!r}), workers=2) as reader:
    for document in reader.read(find({paths!r})):
        print(document.source, flush=True)
"""


def program(folder: Path, tokenizer: Path, *paths: Path) -> list[str]:
    """A plain script without a main guard."""
    script = folder / "script.py"
    script.write_text(textwrap.dedent(PROGRAM).format(tokenizer=str(tokenizer), paths=[str(path) for path in paths]))
    return [sys.executable, str(script)]


def test_a_script_needs_no_main_guard_and_documents_cannot_pose_as_modules(tokenizer: Path, tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    for module in ("json.py", "queue.py", "tokenizers.py", "sitecustomize.py", "beige.py"):
        (docs / module).write_text("raise SystemExit('imported from the documents')")
    done = subprocess.run(
        program(tmp_path, tokenizer, docs), cwd=docs, capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.split() == ["started", "beige.py", "json.py", "queue.py", "sitecustomize.py", "tokenizers.py"]


@linux
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL, signal.SIGTERM])
def test_no_worker_outlives_its_reader(tokenizer: Path, slow: Path, tmp_path: Path, how: signal.Signals) -> None:
    (tmp_path / "a.txt").write_text("river")
    command = program(tmp_path, tokenizer, tmp_path / "a.txt", slow)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        lines = [parent.stdout.readline() for _ in range(2)]
        assert lines[1].endswith("a.txt\n")
        workers = children(parent.pid)
        assert workers
        parent.send_signal(how)
        parent.communicate(timeout=60)
    assert parent.returncode == -how if how != signal.SIGINT else parent.returncode in (1, -signal.SIGINT, 130)
    wait_until(lambda: not any(_runs(worker) for worker in workers))


def _runs(pid: int) -> bool:
    """Whether a process still runs; an orphan that has ended may stay as a zombie where no init reaps it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_a_zip_bomb_and_other_hostile_files_beside_good_ones(reader: Reader, tmp_path: Path) -> None:
    from tests.documents.test_office import bomb

    (tmp_path / "bomb.docx").write_bytes(bomb(None))
    (tmp_path / "broken.pdf").write_bytes(b"%PDF-1.7 junk")
    files.pdf(tmp_path / "secret.pdf", [["x"]], encrypted=True)
    (tmp_path / "nested.html").write_text("<div>" * 200_000)
    (tmp_path / "nested.json").write_text("[" * 200_000)
    (tmp_path / "good.txt").write_text("river")
    results = by_source(reader.read(file for file in find([tmp_path])))
    failed = {Path(source).name: result.reason for source, result in results.items() if isinstance(result, Failure)}
    assert sorted(failed) == ["bomb.docx", "broken.pdf", "nested.html", "secret.pdf"]
    assert "zip bomb" in failed["bomb.docx"]
    assert all("\n" not in reason and len(reason) < 200 for reason in failed.values())
