"""Any history of adds, edits, deletes, merges and reopenings answers as a fresh index of the same documents."""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from beige.index.filter import Filter
from beige.index.sqlite_store import EXACT_ROWS, SqliteStore
from beige.index.store import Entry
from beige.values import Floats, Sparse
from tests.index.filters import FILTERS
from tests.index.samples import PlainStore, check_equal, check_filtered, entry, manifest

SOURCES = st.sampled_from([f"doc{number}" for number in range(8)])

STEPS = st.one_of(
    st.tuples(st.just("upsert"), st.lists(st.tuples(SOURCES, st.integers(0, 40)), min_size=1, max_size=4)),
    st.tuples(st.just("delete"), st.lists(SOURCES, min_size=1, max_size=3)),
    st.tuples(st.just("merge"), st.none()),
    st.tuples(st.just("reopen"), st.none()),
    st.tuples(st.just("search"), st.none()),
)

SIZES = pytest.mark.parametrize(
    ("exact_rows", "tail_rows"),
    [
        pytest.param(EXACT_ROWS, 1000, id="long tail"),
        pytest.param(EXACT_ROWS, 3, id="short tail"),
        # So few vectors that the graph finds them all: its answers too are exact.
        pytest.param(6, 3, id="graph"),
    ],
)


@contextmanager
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name) / "index"


@SIZES
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(steps=st.lists(STEPS, min_size=1, max_size=12), where=FILTERS)
def test_every_history_equals_the_plain_store(
    exact_rows: int, tail_rows: int, steps: list[tuple[str, list[tuple[str, int]]]], where: Filter
) -> None:
    plain = PlainStore()
    with folder() as path, ExitStack() as stack:
        writer = SqliteStore.create(path, manifest(), exact_rows=exact_rows, tail_rows=tail_rows)
        stack.callback(lambda: writer.close())  # noqa: PLW0108 the writer of that moment
        # A second process in all but name: it has its own connections and its own view.
        reader = stack.enter_context(SqliteStore.open(path, exact_rows=exact_rows))
        for action, argument in steps:
            if action == "upsert":
                entries = [entry(source, seed) for source, seed in argument]
                writer.upsert(entries)
                plain.upsert(entries)
            elif action == "delete":
                assert writer.delete(argument) == plain.delete(argument)  # type: ignore[arg-type]
            elif action == "merge":
                writer.merge()
            elif action == "reopen":
                writer.close()
                writer = SqliteStore.open(path, write=True, exact_rows=exact_rows, tail_rows=tail_rows)
            elif action == "search":
                check_equal(reader, plain, ks=(2,))
                check_filtered(reader, plain, where)
        for store in (reader, writer):
            check_equal(store, plain)
            check_filtered(store, plain, where)
        assert writer.notices == reader.notices == []


def check_centroid(store: SqliteStore, kept: dict[str, Entry]) -> None:
    """The mean of what is stored, bit by bit: float16 adds up exactly."""
    vectors = np.concatenate([entry.vectors["dense"] for entry in kept.values()]).astype(np.float16)
    mean = (vectors.sum(axis=0, dtype=np.float64) / len(vectors)).astype(np.float32)
    assert store.centroid("dense").tobytes() == mean.tobytes()


def bits(store: SqliteStore, queries: dict[str, list[Floats | Sparse]]) -> list[tuple[str, int, bytes]]:
    """Every hit with the very bits of its score."""
    found = []
    for leg, asked in queries.items():
        for query in asked:
            ranking = store.top(leg, query, 50)
            passages = store.fetch(ranking.ids)
            found += [(p.source, p.position, s.tobytes()) for p, s in zip(passages, ranking.scores, strict=True)]
    return found


def token_bits(store: SqliteStore, query: Floats) -> dict[tuple[str, int], bytes]:
    """What token vectors say of every chunk."""
    passages = list(store.scan())
    scores = store.scores("multi", query, np.array([passage.id for passage in passages]))
    assert len(set(scores.tolist())) > 100
    return {(p.source, p.position): s.tobytes() for p, s in zip(passages, scores, strict=True)}


@pytest.mark.parametrize("seed", range(3))
def test_scores_of_real_vectors_have_the_same_bits_in_a_fresh_index(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    dimension = 61  # no multiple of anything that a matrix product likes

    def unit(count: int) -> Floats:
        vectors = rng.standard_normal((count, dimension))
        vectors[rng.random(count) < 0.2] = 1.0  # some are equal
        return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)

    def weights() -> Sparse:
        ids = np.flatnonzero(rng.random(40) < 0.4).astype(np.uint32)
        return Sparse(ids, rng.random(len(ids)).astype(np.float32) + 0.1)

    def random_entry(number: int) -> Entry:
        document = entry(f"doc{number:03}", int(rng.integers(1000)), chunks=3).document
        return Entry(document, {"dense": unit(3), "bm25": tuple(weights() for _ in range(3)),
                                "sparse": tuple(weights() for _ in range(3)),
                                "multi": tuple(unit(int(rng.integers(1, 9))) for _ in range(3))})  # fmt: skip

    kept: dict[str, Entry] = {}
    with SqliteStore.create(tmp_path / "old", manifest(dimension), tail_rows=40) as old:
        for _ in range(40):
            entries = [random_entry(int(number)) for number in rng.integers(0, 120, 6)]
            old.upsert(entries)
            kept |= {e.document.source: e for e in entries}
            gone = [f"doc{number:03}" for number in rng.integers(0, 120, 2)]
            old.delete(gone)
            kept = {source: e for source, e in kept.items() if source not in gone}
        with SqliteStore.create(tmp_path / "fresh", manifest(dimension)) as fresh:
            fresh.upsert(list(kept.values()))
            queries: dict[str, list[Floats | Sparse]] = {
                "dense": list(unit(10)),
                "bm25": [weights() for _ in range(10)],
                "sparse": [weights() for _ in range(10)],
            }
            assert bits(old, queries) == bits(fresh, queries)
            assert len(bits(old, queries)) > 1000
            tokens = unit(5)
            assert token_bits(old, tokens) == token_bits(fresh, tokens)
            check_centroid(old, kept)
            check_centroid(fresh, kept)
