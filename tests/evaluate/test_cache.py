"""What is kept on disk."""

import multiprocessing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from beige.errors import InputError, StoreError
from beige.evaluate.cache import Answer, Cache, key_of
from beige.evaluate.encoder import Batch, Limit, batches, embed


def answer(*numbers: float) -> Answer:
    return Answer(np.array(numbers, np.float32), 3.0, None, 0.5, alone=False)


@given(st.lists(st.text(), max_size=4), st.lists(st.text(), max_size=4))
def test_different_parts_have_different_keys(first: list[str], second: list[str]):
    assert (key_of(first) == key_of(second)) == (first == second)


def test_answers_come_back_as_they_were(tmp_path: Path):
    keys = [key_of([str(number)]) for number in range(2500)]  # more than one query of SQLite's parameters
    with Cache(tmp_path / "folder" / "cache.sqlite") as cache:
        cache.put({key: answer(number, 0.1) for number, key in enumerate(keys)})
    with Cache(tmp_path / "folder" / "cache.sqlite") as cache:
        found = cache.get([*keys, key_of(["absent"])])
    assert set(found) == set(keys)
    kept = found[keys[7]]
    assert kept.value.tolist() == np.array([7, 0.1], np.float32).tolist()
    assert (kept.tokens, kept.truncated, kept.seconds, kept.alone) == (3.0, None, 0.5, False)


def _put(path: Path, start: int) -> None:
    with Cache(path) as cache:
        for number in range(start, start + 50):
            cache.put({key_of([str(number)]): answer(number)})


def test_several_processes_write_at_once(tmp_path: Path):
    path = tmp_path / "cache.sqlite"
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_put, args=(path, start)) for start in (0, 50)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    with Cache(path) as cache:
        assert len(cache.get([key_of([str(number)]) for number in range(100)])) == 100


def test_a_file_that_is_no_cache(tmp_path: Path):
    (tmp_path / "cache.sqlite").write_text("this is no database, but long enough to be read as one" * 40)
    with pytest.raises(StoreError, match=r"cannot be used .*; remove the file to begin anew"):
        Cache(tmp_path / "cache.sqlite")


@given(
    st.lists(st.text(max_size=30), min_size=1, max_size=40),
    st.integers(1, 8),
    st.integers(1, 60),
    st.integers(0, 10),
)
def test_calls_stay_within_their_limits(texts: list[str], most: int, characters: int, alone: int):
    rows = [(str(number).encode(), text) for number, text in enumerate(texts)]
    parts = list(batches(rows, Limit(most, characters), alone))
    assert [row for part in parts for row in part] == rows
    assert all(len(part) == 1 for part in parts[: min(alone, len(rows))])
    for part in parts:
        assert len(part) <= most
        assert len(part) == 1 or sum(len(text) for _, text in part) <= characters


class Counting:
    """An encoder that counts what it is asked."""

    limit, alone = Limit(4, 1000), 2

    def __init__(self) -> None:
        self.calls: list[tuple[str, ...]] = []

    def space(self, role):
        return "counting"

    def encode(self, texts, role):
        self.calls.append(tuple(texts))
        vectors = np.array([[len(text), 1.0] for text in texts], np.float32)
        return Batch(vectors, np.array([float(len(text)) for text in texts]), np.array([len(t) > 9 for t in texts]))


def test_equal_texts_are_asked_once_and_queries_first_alone(cache: Cache):
    encoder = Counting()
    told = []
    texts = ["a", "bb", "a", "ccc", "dddd", "eeeee", "a long text"]
    found = embed(encoder, texts, "query", cache, lambda done, total: told.append((done, total)))
    assert encoder.calls == [("a",), ("bb",), ("ccc", "dddd", "eeeee", "a long text")]
    assert told == [(0, 6), (1, 6), (2, 6), (6, 6)]
    assert np.allclose(np.linalg.norm(found.vectors, axis=1), 1)
    assert (found.vectors[0] == found.vectors[2]).all()
    assert (found.tokens, found.truncated) == (26, 1)
    assert np.isfinite(found.latencies).tolist() == [True, True, True, False, False, False, False]
    embed(encoder, texts, "query", cache)
    assert len(encoder.calls) == 3


def test_documents_are_asked_in_batches_alone(cache: Cache):
    encoder = Counting()
    embed(encoder, ["a", "bb", "ccc"], "document", cache)
    assert encoder.calls == [("a", "bb", "ccc")]


def test_nothing_to_embed(cache: Cache):
    with pytest.raises(InputError, match="nothing to embed"):
        embed(Counting(), [], "query", cache)
