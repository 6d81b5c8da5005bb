"""A writer that is killed at any moment loses nothing that it acknowledged, stores nothing twice, breaks nothing."""

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from beige.index.sqlite_store import SqliteStore
from tests.index import writing
from tests.index.samples import PlainStore, check_equal, manifest

ROOT = Path(__file__).parents[2]


def start(folder: Path, first: int, *moment: str) -> subprocess.Popen[str]:
    writer = subprocess.Popen(
        [sys.executable, "-m", "tests.index.writing", str(folder), str(first), *moment],
        stdout=subprocess.PIPE,
        cwd=ROOT,
        text=True,
    )
    assert writer.stdout is not None
    assert writer.stdout.readline() == "ready\n"
    return writer


def acknowledged(writer: subprocess.Popen[str]) -> int:
    """How many steps a writer that has ended acknowledged."""
    assert writer.stdout is not None
    with writer, writer.stdout as lines:
        return len([line for line in lines if line.endswith("\n")])


def make(folder: Path) -> None:
    SqliteStore.create(folder, manifest(), exact_rows=writing.EXACT_ROWS, tail_rows=writing.TAIL_ROWS).close()


def check(folder: Path, plain: PlainStore, done: int, at_least: int) -> int:
    """Compare with the acknowledged steps and, where it was done too, the one that was under way; returns the next."""
    for number in range(done, at_least):
        writing.step(plain, number)
    with SqliteStore.open(folder, exact_rows=writing.EXACT_ROWS) as reader:
        under_way = PlainStore(dict(plain.entries))
        writing.step(under_way, at_least)
        fields = {s.source: s.digest for s in reader.documents()}
        if fields != {e.document.source: e.document.digest for e in plain.entries.values()}:
            plain.entries = under_way.entries
            at_least += 1
        check_equal(reader, plain, ks=(3, 1000))
        assert reader.notices == []
    return at_least


def test_kills_at_random_moments(tmp_path: Path) -> None:
    folder, plain, done = tmp_path / "index", PlainStore(), 0
    make(folder)
    moments = random.Random(3)
    for _ in range(20):
        writer = start(folder, done)
        assert writer.stdout is not None
        heard = moments.randint(1, 3)  # steps, however long a busy machine takes for them
        assert all(writer.stdout.readline() for _ in range(heard))
        time.sleep(moments.random() * 0.1)
        writer.kill()
        done = check(folder, plain, done, done + heard + acknowledged(writer))
    assert done > 20
    with SqliteStore.open(folder, write=True, exact_rows=writing.EXACT_ROWS) as store:
        check_equal(store, plain)
        assert store.notices == []


@pytest.mark.parametrize("moment", writing.MOMENTS)
def test_kills_during_a_merge(tmp_path: Path, moment: str) -> None:
    folder, plain = tmp_path / "index", PlainStore()
    make(folder)
    with SqliteStore.open(folder, write=True, exact_rows=writing.EXACT_ROWS) as store:
        for number in range(30):
            writing.step(store, number)
            writing.step(plain, number)
    writer = start(folder, 30, moment)
    done = acknowledged(
        writer
    )  # the merge that kills it may be that of the thread, before or after the step is told of
    assert done <= 1
    assert writer.returncode == -9
    check(folder, plain, 30, 30 + done)
    with SqliteStore.open(folder, write=True, exact_rows=writing.EXACT_ROWS) as store:
        check_equal(store, plain)
        store.merge()
        check_equal(store, plain)
        assert store.notices == []
        assert sorted(path.name for path in folder.glob("*.cache*")) == ["bm25.cache", "dense.cache", "sparse.cache"]
