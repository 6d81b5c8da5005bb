"""Documents with vectors, made from a seed, and a store so plain that it can be believed."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
from pathspec import PathSpec

from beige.documents.chunk import Chunk, Document, Locator
from beige.index import filter
from beige.index.filter import All, Filter, Not
from beige.index.manifest import Encoder, Leg, Manifest
from beige.index.store import Entry, Store
from beige.values import Floats, Sparse

DIMENSION = 6
TERMS = 12

Answer = list[tuple[str, int, float]]
"""Source, position and score of each hit, in order."""


def manifest(dimension: int = DIMENSION) -> Manifest:
    return Manifest(
        encoders=(Encoder("tiny", "0" * 64, "fp32", "{}", "{}"),),
        legs=(
            Leg("dense", "dense", dimension, encoder="tiny"),
            Leg("bm25", "sparse", idf=True),
            Leg("sparse", "sparse", encoder="tiny"),
            Leg("multi", "multi", dimension, encoder="tiny"),
        ),
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


def multi(rng: np.random.Generator, tokens: int, dimension: int = DIMENSION) -> Floats:
    """Whole numbers of which one is 127 or -127: they are stored as they are."""
    vectors = rng.integers(-100, 101, (tokens, dimension))
    vectors[np.arange(tokens), rng.integers(0, dimension, tokens)] = 127 * rng.choice([-1, 1], tokens)
    return vectors.astype(np.float32)


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
        modified=float(86_400 * 20 * seed) and 86_400 * 20 * seed + 0.25,  # 0: not known
        media=("markdown", "pdf", "record")[seed % 3],
        fields={
            "seed": seed,
            "name": "ü" * (1 + seed % 2),
            "even": seed % 2 == 0,
            "half": seed / 2,
            "text": str(seed % 7),  # as a table of text has its numbers
            "tags": ["draft", "old", "a b", 7, seed % 5, True][seed % 4 : 3 + seed % 4],
            **({"type": "own", "some field": "1e3"} if seed % 4 == 1 else {}),
        },
        language=("", "en", "de")[seed % 3],
        settled=seed % 2 == 0,
    )
    return Entry(
        document,
        {
            "dense": dense(rng, count),
            "bm25": tuple(sparse(rng) for _ in range(count)),
            "sparse": tuple(sparse(rng) for _ in range(count)),
            "multi": tuple(multi(rng, int(rng.integers(0, 5))) for _ in range(count)),
        },
    )


QUERIES: Mapping[str, Sequence[Floats | Sparse]] = {
    "dense": [dense(np.random.default_rng(seed), 1)[0] for seed in range(3)],
    "bm25": [sparse(np.random.default_rng(seed)) for seed in range(3)],
    "sparse": [sparse(np.random.default_rng(seed)) for seed in range(3)],
}

"""Of the legs that find something by themselves."""

TOKENS = [dense(np.random.default_rng(seed), 1 << seed) for seed in range(3)]
"""Queries of the multi leg; their numbers are powers of two, so that means are exact."""


@dataclass
class PlainStore:
    """What a store must answer, computed the obvious way."""

    entries: dict[str, Entry] = field(default_factory=dict, repr=False)  # too long for what hypothesis shows

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
        if leg == "multi":
            return {
                place: float((query @ vector.T).max(axis=1).mean()) if len(vector) else 0.0
                for place, vector in vectors.items()
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

    def top(self, leg: str, query: Floats | Sparse, k: int, where: Filter | None = None) -> Answer:
        scores = {place: float(np.float32(score)) for place, score in self.all_scores(leg, query).items()}
        order = sorted((place for place in scores if self.passes(where, *place)), key=lambda p: (-scores[p], p))
        return [(*place, scores[place]) for place in order if leg == "dense" or scores[place] > 0][:k]

    def passes(self, where: Filter | None, source: str, position: int) -> bool:
        document = self.entries[source].document
        return where is None or holds(where, document, document.chunks[position])

    def passing(self, where: Filter | None) -> list[Document]:
        documents = [self.entries[source].document for source in sorted(self.entries)]
        return [d for d in documents if where is None or any(holds(where, d, chunk) for chunk in d.chunks or (None,))]

    def facet(self, field: str, where: Filter | None = None) -> dict[str, int]:
        counts: Counter[str] = Counter()
        for document in self.passing(where):
            chunks = [chunk for chunk in document.chunks or (None,) if where is None or holds(where, document, chunk)]
            values = {str(value) for chunk in chunks for value in values_of(field, document, chunk)}
            counts.update({"True": "true", "False": "false"}.get(value, value) for value in values)
        return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def values_of(field: str, document: Document, chunk: Chunk | None) -> list[Any]:
    """What filters see of a field, without the endings of files."""
    own = {
        "type": [document.media],
        "language": [document.language] if document.language else [],
        "heading": list(chunk.locator.headings) if chunk else [],
        "page": [chunk.locator.page] if chunk and chunk.locator.page is not None else [],
    }
    if field in own:
        return own[field]
    value = document.fields.get(field.removeprefix("record."), [])
    return value if isinstance(value, list) else [value]


def holds(where: Filter, document: Document, chunk: Chunk | None) -> bool:
    """What a filter means, said once more in the obvious way; without a chunk, for a document that has none."""
    if isinstance(where, Not):
        return not holds(where.part, document, chunk)
    if isinstance(where, All):
        return all(holds(part, document, chunk) for part in where.parts)
    if isinstance(where, filter.Any):
        return any(holds(part, document, chunk) for part in where.parts)
    if where.field == "path":
        return where.operator == "any" or any(
            PathSpec.from_lines("gitignore", [glob]).match_file(document.source) for glob in where.values
        )
    if where.field == "modified":
        if not document.modified:
            return False
        moment = datetime.fromtimestamp(document.modified).isoformat()
        return where.operator == "any" or any(
            compare(moment[: len(str(value))], where.operator, str(value)) for value in where.values
        )
    values = values_of(where.field, document, chunk)
    if where.operator == "any":
        return bool(values)
    return any(agrees(where.field, value, where.operator, wanted) for value in values for wanted in where.values)


def agrees(field: str, value: Any, operator: str, wanted: Any) -> bool:
    if field == "heading":
        return str(value).casefold() == str(wanted).casefold()
    if isinstance(wanted, bool):
        wanted = str(wanted).lower()
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if isinstance(wanted, str):
        return compare(text, operator, wanted.lower() if field in ("type", "language") else wanted)
    try:
        return not isinstance(value, bool) and compare(float(value), operator, float(wanted))
    except ValueError:
        return False


def compare(value: Any, operator: str, wanted: Any) -> bool:
    return {
        "=": value == wanted,
        "<": value < wanted,
        "<=": value <= wanted,
        ">": value > wanted,
        ">=": value >= wanted,
    }[operator]


def top(store: Store, leg: str, query: Floats | Sparse, k: int, where: Filter | None = None) -> Answer:
    """A store's answer, without the ids, which are its own affair."""
    ranking = store.top(leg, query, k, where)
    passages = store.fetch(ranking.ids)
    assert len(passages) == len(ranking.ids)
    return [(p.source, p.position, s) for p, s in zip(passages, ranking.scores.tolist(), strict=True)]


def check_filtered(store: Store, plain: PlainStore, where: Filter | None, k: int = 4) -> None:
    """The store finds within a filter what the plain one finds."""
    for leg, queries in QUERIES.items():
        assert top(store, leg, queries[0], k, where) == plain.top(leg, queries[0], k, where), (leg, where)
    assert [s.source for s in store.documents(where=where)] == [d.source for d in plain.passing(where)], where


def check_equal(store: Store, plain: PlainStore, ks: Sequence[int] = (1, 3, 1000)) -> None:
    """The store holds what the plain one holds, nothing twice, and answers as it does."""
    assert store.count() == plain.count()
    assert [stored.source for stored in store.documents()] == sorted(plain.entries)
    for leg, queries in QUERIES.items():
        for query in queries:
            for k in ks:
                assert top(store, leg, query, k) == plain.top(leg, query, k), (leg, k)
    everything = store.top("dense", QUERIES["dense"][0], 1000).ids
    places = [(passage.source, passage.position) for passage in store.fetch(everything)]
    for query in TOKENS:
        expected = plain.all_scores("multi", query)
        assert store.scores("multi", query, everything).tolist() == [expected[place] for place in places]
