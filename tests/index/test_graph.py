"""Recall of the graph, in a store, through its life."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from beige.errors import StoreError
from beige.index.cache_file import CacheFile, read
from beige.index.expression import parse
from beige.index.manifest import Storage
from beige.index.sqlite_store import SqliteStore
from beige.index.store import Entry
from beige.values import Floats, Sparse
from tests.index.samples import entry, manifest

DIMENSION, CHUNKS = 48, 4


def clustered(rng: np.random.Generator, count: int) -> Floats:
    """Unit vectors in sixty bunches, as texts of as many subjects are."""
    centres = np.random.default_rng(0).standard_normal((60, DIMENSION))
    vectors = centres[rng.integers(0, 60, count)] + 0.7 * rng.standard_normal((count, DIMENSION))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def recall(store: SqliteStore, kept: dict[str, Floats], queries: Floats) -> float:
    places = [(source, position) for source in kept for position in range(CHUNKS)]
    scores = np.concatenate(list(kept.values())) @ queries.T  # (n, q)
    found = 0
    for query, column in zip(queries, scores.T, strict=True):
        best = {places[row] for row in np.argsort(-column)[:10]}
        found += len(best & {(p.source, p.position) for p in store.fetch(store.top("dense", query, 10).ids)})
    return found / (10 * len(queries))


NOTHING = (Sparse(np.empty(0, np.uint32), np.empty(0, np.float32)),) * CHUNKS
EMPTY = {"bm25": NOTHING, "sparse": NOTHING, "multi": (np.empty((0, DIMENSION), np.float32),) * CHUNKS}


def fill(store: SqliteStore, rng: np.random.Generator, count: int) -> dict[str, Floats]:
    made = {f"doc{number}": clustered(rng, CHUNKS) for number in range(count)}
    store.upsert(
        [Entry(entry(source, 0, CHUNKS).document, EMPTY | {"dense": vectors}) for source, vectors in made.items()]
    )
    return {source: vectors.astype(np.float16).astype(np.float32) for source, vectors in made.items()}


@pytest.mark.parametrize(
    ("storage", "floor", "bytes_each"), [("int8", 0.97, DIMENSION), ("binary", 0.9, DIMENSION // 8)]
)
def test_a_storage_is_changed_without_embedding_and_its_hits_have_exact_scores(
    tmp_path: Path, storage: Storage, floor: float, bytes_each: int
) -> None:
    rng = np.random.default_rng(5)
    folder, queries = tmp_path / "index", clustered(rng, 60)

    def kept() -> CacheFile:
        return read(folder / "dense.cache")

    with SqliteStore.create(folder, manifest(DIMENSION), exact_rows=400) as store:
        vectors = fill(store, rng, 600)
    assert kept().kind == "graph"
    before = len(kept().arrays["graph"])
    with SqliteStore.open(folder, write=True, exact_rows=400) as store, SqliteStore.open(folder) as reader:
        store.update_manifest(legs=store.manifest.kept_as(storage).legs)
        assert recall(reader, vectors, queries) >= 0.97  # as it stands
        with pytest.raises(StoreError, match="'legs' is fixed"):
            store.update_manifest(legs=store.manifest.legs[:1])
    with SqliteStore.open(folder, write=True, exact_rows=400) as store, SqliteStore.open(folder) as reader:
        assert store.notices == []
        assert kept().kind == f"graph-{storage}"
        assert before - len(kept().arrays["graph"]) == 600 * CHUNKS * (2 * DIMENSION - bytes_each)
        assert recall(reader, vectors, queries) >= floor
        scores = np.concatenate(list(vectors.values())) @ queries[0]
        ranking = reader.top("dense", queries[0], 10)
        assert ranking.scores[0] == pytest.approx(scores.max(), abs=1e-6)
        store.delete([f"doc{number}" for number in range(0, 600, 7)])
        vectors = {source: kept for source, kept in vectors.items() if int(source[3:]) % 7}
        store.merge()
        assert recall(reader, vectors, queries) >= floor


def test_recall_through_growth_edits_deletions_and_reopenings(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    queries = clustered(rng, 60)
    kept: dict[str, Floats] = {}

    def put(store: SqliteStore, numbers: list[int]) -> None:
        for start in range(0, len(numbers), 50):
            batch = {f"doc{number}": clustered(rng, CHUNKS) for number in numbers[start : start + 50]}
            store.upsert(
                [
                    Entry(entry(source, 0, CHUNKS).document, EMPTY | {"dense": vectors})
                    for source, vectors in batch.items()
                ]
            )
            kept.update({source: vectors.astype(np.float16).astype(np.float32) for source, vectors in batch.items()})

    folder = tmp_path / "index"
    with SqliteStore.create(folder, manifest(DIMENSION), exact_rows=800, tail_rows=250) as store:
        put(store, list(range(150)))
        store.merge()
        assert read(folder / "dense.cache").kind == "matrix"
        assert recall(store, kept, queries) == 1
        put(store, list(range(150, 1000)))
        store.merge()
        assert read(folder / "dense.cache").kind == "graph"
        assert recall(store, kept, queries) >= 0.97
    for _ in range(3):
        with SqliteStore.open(folder, write=True, exact_rows=800, tail_rows=250) as store:
            put(store, rng.permutation(1000)[:200].tolist())
            gone = [f"doc{number}" for number in rng.integers(0, 1000, 30)]
            store.delete(gone)
            kept = {source: vectors for source, vectors in kept.items() if source not in gone}
            assert recall(store, kept, queries) >= 0.97
        assert len(read(folder / "dense.cache").arrays["ids"]) == CHUNKS * len(kept)  # the dead are gone
        with SqliteStore.open(folder, exact_rows=800) as reader:
            assert recall(reader, kept, queries) >= 0.97
    with SqliteStore.open(folder, write=True, exact_rows=800, tail_rows=100_000) as store:
        many = sorted(kept)[90:]
        store.delete(many)
        kept = {source: vectors for source, vectors in kept.items() if source not in set(many)}
        assert read(folder / "dense.cache").kind == "graph"
        # Every neighbour that the graph knew may be dead: it must look past them.
        assert recall(store, kept, queries) >= 0.97
        store.merge()
        assert read(folder / "dense.cache").kind == "matrix"
        assert recall(store, kept, queries) == 1


def test_recall_within_filters_however_they_lie_to_the_query(tmp_path: Path) -> None:
    """Each document lies in one bunch, and filters take bunches: what passes may be all far from the query."""
    rng = np.random.default_rng(3)
    bunches = rng.integers(0, 60, 2000)
    centres = np.random.default_rng(0).standard_normal((60, DIMENSION))
    with SqliteStore.create(tmp_path / "index", manifest(DIMENSION), exact_rows=1000) as store:
        entries = []
        for number, bunch in enumerate(bunches.tolist()):
            vectors = (centres[bunch] + 0.7 * rng.standard_normal((CHUNKS, DIMENSION))).astype(np.float16)
            document = replace(entry(f"doc{number}", 0, CHUNKS).document, fields={"bunch": bunch})
            entries.append(Entry(document, {**EMPTY, "dense": vectors.astype(np.float32)}))
        store.upsert(entries)
        store.merge()
        assert read(tmp_path / "index/dense.cache").kind == "graph"
        matrix = np.concatenate([np.asarray(each.vectors["dense"]) for each in entries])
        for text, passing in {
            "bunch:7": bunches == 7,
            "bunch:7,8,9 path:*3": np.isin(bunches, (7, 8, 9)) & (np.arange(2000) % 10 == 3),
            "bunch<6": bunches < 6,
            "bunch>=20": bunches >= 20,
            "-bunch:0": bunches != 0,
            "path:doc*[0-4]": np.arange(2000) % 10 < 5,
        }.items():
            where, rows = parse(text), np.flatnonzero(np.repeat(passing, CHUNKS))
            found = 0
            for bunch in range(12):
                query = (centres[bunch] / np.linalg.norm(centres[bunch])).astype(np.float32)
                best = rows[np.argsort(-(matrix[rows] @ query), kind="stable")[:10]]
                passages = store.fetch(store.top("dense", query, 10, where).ids)
                places = {CHUNKS * int(passage.source[3:]) + passage.position for passage in passages}
                assert places <= set(rows.tolist())
                found += len(places & set(best.tolist()))
            assert found >= 0.97 * 12 * min(10, len(rows)), text
