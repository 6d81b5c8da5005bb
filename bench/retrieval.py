"""Whole documents ranked by the product's own parts, without an index between: dense, BM25, and both fused."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from beige.analyser import Analyser
from beige.evaluate.measures import Run
from beige.index.codec import SparseRows
from beige.index.postings import Postings, inverse_document_frequency
from beige.search.fusion import Evidence, fuse
from beige.values import Floats, Ints

DEPTH = 100
"""How many of each leg's best are candidates, and how many are kept of a ranking."""


@dataclass(frozen=True, eq=False)
class Rankings:
    """Every query's scores of every document, leg by leg.

    Attributes:
        queries: ids, q of them.
        documents: ids, n of them.
        dense: cosines, (q, n).
        bm25: (q, n).
    """

    queries: Sequence[str]
    documents: Sequence[str]
    dense: Floats
    bm25: Floats

    def leg(self, name: str) -> Run:
        """One leg's best documents; BM25 ranks none that shares no word with the query."""
        scores: Floats = getattr(self, name)
        return {
            query: {
                self.documents[at]: float(row[at]) for at in _best(row) if name == "dense" or row[at] > 0
            }
            for query, row in zip(self.queries, scores, strict=True)
        }  # fmt: skip

    def hybrid(self, fusion: str = "convex") -> Run:
        """Both legs fused as a search fuses them: the candidates are either leg's best."""
        floors = {"dense": float(self.dense.mean()), "bm25": 0.0}
        runs = {}
        for number, query in enumerate(self.queries):
            rows = {"dense": self.dense[number], "bm25": self.bm25[number]}
            best = {leg: _best(row) for leg, row in rows.items()}
            best["bm25"] = best["bm25"][rows["bm25"][best["bm25"]] > 0]
            candidates = np.union1d(best["dense"], best["bm25"])
            legs = {
                leg: Evidence(row[candidates], _ranks(best[leg], candidates), floors[leg]) for leg, row in rows.items()
            }
            scores = fuse(fusion, legs)
            runs[query] = {self.documents[at]: float(score) for at, score in zip(candidates, scores, strict=True)}
        return runs


def bm25_scores(queries: Sequence[str], documents: Sequence[str], language: str) -> Floats:
    """BM25 of every query and document, (q, n), by the product's analyser, postings and formula."""
    analyser = Analyser(language)
    lengths = [analyser.counts(text).total() for text in documents]
    average = max(sum(lengths) / len(lengths), 1.0)
    vectors = [analyser.document(text, average) for text in documents]
    postings = Postings.of(
        SparseRows(
            np.arange(len(documents), dtype=np.int64),
            np.array([len(vector) for vector in vectors], np.int64),
            np.concatenate([vector.ids for vector in vectors]),
            np.concatenate([vector.weights for vector in vectors]),
        )
    )
    alive = np.ones(len(documents), bool)
    rows = []
    for text in queries:
        query = analyser.query(text)
        idf = inverse_document_frequency(len(documents), postings.frequencies(query, alive))
        rows.append(postings.scores(query, query.weights * idf).astype(np.float32))
    return np.stack(rows)  # (q, n)


def _best(row: Floats) -> NDArray[np.int64]:
    return np.argsort(-row, kind="stable")[:DEPTH]


def _ranks(best: NDArray[np.int64], candidates: NDArray[np.int64]) -> Ints:
    """Each candidate's place among the best, from 1; 0 where it is not among them."""
    places = {at: rank for rank, at in enumerate(best.tolist(), 1)}
    return np.array([places.get(at, 0) for at in candidates.tolist()], np.int32)
