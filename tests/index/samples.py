"""Documents with vectors, made from a seed, and a store so plain that it can be believed."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from beige.documents.chunk import Chunk, Document, Locator
from beige.index.manifest import Leg, Manifest
from beige.index.store import Entry, Store
from beige.values import Floats, Sparse

DIMENSION = 6
TERMS = 12

Answer = list[tuple[str, int, float]]
"""Source, position and score of each hit, in order."""


def manifest(dimension: int = DIMENSION) -> Manifest:
    return Manifest(
        model="tiny",
        fingerprint="0" * 64,
        precision="fp32",
        query_template="{}",
        document_template="{}",
        dimension=dimension,
        legs=(Leg("dense", "dense", dimension), Leg("bm25", "sparse", idf=True), Leg("sparse", "sparse")),
        chunk_tokens=256,
        analyser="test/1",
        average_length=10.0,
    )


def dense(rng: np.random.Generator, count: int, dimension: int = DIMENSION) -> Floats:
    """Small whole numbers: sums are exact in any order, and many scores are equal."""
    return rng.integers(-3, 4, (count, dimension)).astype(np.float32)


def sparse(rng: np.random.Generator) -> Sparse:
    ids = np.flatnonzero(rng.random(TERMS) < 0.3).astype(np.uint32)
    return Sparse(ids, (rng.integers(1, 9, len(ids)) / 4).astype(np.float32))


def entry(source: str, seed: int, chunks: int | None = None) -> Entry:
    """A document that is all the seed's: its text, its vectors, and how many chunks it has unless that is said."""
    rng = np.random.default_rng(seed)
    count = int(rng.integers(0, 5)) if chunks is None else chunks
    document = Document(
        source=source,
        chunks=tuple(
            Chunk(
                f"{source} {seed} {position} \ud800\0é",
                Locator(position, position + 9, 1 + position, 2 + position, position or None, ("Über", str(position))),
            )
            for position in range(count)
        ),
        digest=f"{seed:064x}",
        size=seed,
        modified=seed + 0.25,
        media="markdown",
        fields={"seed": seed, "name": "ü", "even": seed % 2 == 0, "half": seed / 2},
    )
    return Entry(
        document,
        {
            "dense": dense(rng, count),
            "bm25": tuple(sparse(rng) for _ in range(count)),
            "sparse": tuple(sparse(rng) for _ in range(count)),
        },
    )


QUERIES: Mapping[str, Sequence[Floats | Sparse]] = {
    "dense": [dense(np.random.default_rng(seed), 1)[0] for seed in range(3)],
    "bm25": [sparse(np.random.default_rng(seed)) for seed in range(3)],
    "sparse": [sparse(np.random.default_rng(seed)) for seed in range(3)],
}


@dataclass
class PlainStore:
    """What a store must answer, computed the obvious way."""

    entries: dict[str, Entry] = field(default_factory=dict)

    def upsert(self, entries: Iterable[Entry]) -> None:
        self.entries |= {entry.document.source: entry for entry in entries}

    def delete(self, sources: Iterable[str]) -> int:
        return sum(self.entries.pop(source, None) is not None for source in sources)

    def count(self) -> tuple[int, int]:
        return len(self.entries), sum(len(entry.document.chunks) for entry in self.entries.values())

    def all_scores(self, leg: str, query: Floats | Sparse) -> dict[tuple[str, int], float]:
        vectors = {
            (source, position): vector
            for source, entry in self.entries.items()
            for position, vector in enumerate(entry.vectors[leg])
        }
        if not isinstance(query, Sparse):
            return {place: float(vector @ query) for place, vector in vectors.items()}
        scores = dict.fromkeys(vectors, 0.0)
        for term, weight in zip(query.ids.tolist(), query.weights.tolist(), strict=True):
            having = {
                place: vector.weights[vector.ids == term].item()
                for place, vector in vectors.items()
                if term in vector.ids
            }
            idf = math.log1p((len(vectors) - len(having) + 0.5) / (len(having) + 0.5)) if leg == "bm25" else 1.0
            for place, stored in having.items():
                scores[place] += stored * (weight * idf)
        return scores

    def top(self, leg: str, query: Floats | Sparse, k: int) -> Answer:
        scores = {place: float(np.float32(score)) for place, score in self.all_scores(leg, query).items()}
        order = sorted(scores, key=lambda place: (-scores[place], place))
        return [(*place, scores[place]) for place in order if leg == "dense" or scores[place] > 0][:k]


def top(store: Store, leg: str, query: Floats | Sparse, k: int) -> Answer:
    """A store's answer, without the ids, which are its own affair."""
    ranking = store.top(leg, query, k)
    passages = store.fetch(ranking.ids)
    assert len(passages) == len(ranking.ids)
    return [(p.source, p.position, s) for p, s in zip(passages, ranking.scores.tolist(), strict=True)]


def check_equal(store: Store, plain: PlainStore, ks: Sequence[int] = (1, 3, 1000)) -> None:
    """The store holds what the plain one holds, nothing twice, and answers as it does."""
    assert store.count() == plain.count()
    assert [stored.source for stored in store.documents()] == sorted(plain.entries)
    for leg, queries in QUERIES.items():
        for query in queries:
            for k in ks:
                assert top(store, leg, query, k) == plain.top(leg, query, k), (leg, k)
