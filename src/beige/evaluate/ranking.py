"""Documents ranked by the product's own parts: each leg's best, fused, reranked.

It knows nothing of models and data sets: vectors, words and scores come in, places of documents go out.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from beige.evaluate.variants import Kept, top
from beige.evaluate.words import Words
from beige.search.fusion import Evidence, fuse
from beige.search.request import READ
from beige.search.strangers import spread_of, trust
from beige.values import Floats, Ints, Output

DEPTH = 100
"""How many of each leg's best are candidates, and how many are kept of a ranking."""

_KINDS: Mapping[str, Output] = {"dense": "dense", "bm25": "sparse"}

Places = NDArray[np.int64]
Score = Callable[[str, Places], tuple[Floats, float]]
"""A reranker: the scores of a query's text with the documents at these places, (k,), and the seconds that it took."""


@dataclass(frozen=True, eq=False)
class Dense:
    """The dense leg.

    Attributes:
        documents: as they are kept, n of them.
        queries: unit vectors, (q, d).
        strange: which of the queries are in a language that the model was not made for, (q,); None for none.
    """

    documents: Kept
    queries: Floats
    strange: NDArray[np.bool_] | None = None

    @cached_property
    def centroid(self) -> Floats:
        """The mean of the documents' vectors, (d,): its dot product with a query is what an unrelated one scores."""
        mean: Floats = self.documents.vectors.mean(axis=0)
        return mean


@dataclass(frozen=True, eq=False)
class Ranking:
    """What was found for one query.

    Attributes:
        places: of documents, best first, (k,).
        scores: theirs, descending, (k,).
        seconds: that it took, the query's embedding not included.
    """

    places: Places
    scores: Floats
    seconds: float


@dataclass(frozen=True, eq=False)
class Legs:
    """What ranks; one leg at least.

    Attributes:
        dense: vectors; None without the leg.
        words: BM25; None without the leg.
        fusion: how two legs become one score.
        rerank: scores the best anew; None for no reranker.
        depth: how many of each leg's best are candidates, and how many are kept.
    """

    dense: Dense | None
    words: Words | None
    fusion: str = "convex"
    rerank: Score | None = None
    depth: int = DEPTH

    def rank(self, texts: Sequence[str], only: Sequence[Places | None]) -> Iterator[Ranking]:
        """Each query's ranking, in order.

        Args:
            texts: q queries.
            only: for each, the documents that are ranked; None for all.
        """
        for number, (text, some) in enumerate(zip(texts, only, strict=True)):
            started = time.perf_counter()
            places, scores = self._retrieve(number, text, some)
            seconds = time.perf_counter() - started
            if self.rerank is not None and len(places):
                given, longer = self.rerank(text, places[:READ])
                places, scores = _reranked(given, places)
                seconds += longer
            yield Ranking(places, scores, seconds)

    def _retrieve(self, number: int, text: str, some: Places | None) -> tuple[Places, Floats]:
        rows: dict[str, Floats] = {}  # each leg's score of every document, (n,)
        best: dict[str, Places] = {}
        floors, trusts = {"bm25": 0.0}, {"dense": 1.0, "bm25": 1.0}
        if self.dense is not None:
            query = self.dense.queries[number]
            floors["dense"] = float(self.dense.centroid @ query)
            rows["dense"] = self.dense.documents.scores(query)
            best["dense"] = self.dense.documents.best(query, rows["dense"], self.depth) if some is None else some
            if self.dense.strange is not None and self.dense.strange[number]:
                spread = spread_of(self.dense.documents.vectors, query, floors["dense"])
                trusts["dense"] = trust(float(rows["dense"].max()), floors["dense"], spread)
        if self.words is not None:
            rows["bm25"] = self.words.scores(text)
            found = top(rows["bm25"], self.depth) if some is None else some
            best["bm25"] = found[rows["bm25"][found] > 0]  # a document that shares no word was not found
        candidates = np.unique(np.concatenate(list(best.values()))) if some is None else np.sort(some)
        evidence = {
            leg: Evidence(row[candidates], _ranks(row, best[leg], candidates), floors[leg], _KINDS[leg], trusts[leg])
            for leg, row in rows.items()
        }
        scores = fuse(self.fusion, evidence)
        order = top(scores, self.depth)
        return candidates[order], scores[order]


def _ranks(row: Floats, best: Places, candidates: Places) -> Ints:
    """Each candidate's place among a leg's best, from 1; 0 where it is not among them."""
    ordered = best[np.argsort(-row[best], kind="stable")]
    ranks = np.zeros(len(candidates), np.int32)
    ranks[np.searchsorted(candidates, ordered)] = np.arange(1, len(ordered) + 1)
    return ranks


def _reranked(given: Floats, places: Places) -> tuple[Places, Floats]:
    """The first places by the scores given for them; the others follow in their order, below the lowest score."""
    order = np.argsort(-given, kind="stable")
    rest = given.min() - 1 - np.arange(len(places) - len(given), dtype=np.float32)
    scores = np.concatenate([given[order], rest]).astype(np.float32)
    return np.concatenate([places[: len(given)][order], places[len(given) :]]), scores
