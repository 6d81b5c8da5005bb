"""A query in, hits out: every leg's best chunks, fused, reranked, folded, explained and marked."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self, Unpack

import numpy as np
from numpy.typing import NDArray

from beige.documents.chunk import Chunk
from beige.errors import UsageError
from beige.index import Index
from beige.index.expression import resolve, unknown
from beige.index.filter import Filter
from beige.index.store import Ids, Passage
from beige.search.diversity import likeness, marginal, scaled
from beige.search.explanation import Explainer
from beige.search.folding import Bundle, fold
from beige.search.fusion import fuse, weigh
from beige.search.hit import Hit, LegScore, Reranked, Results
from beige.search.relevance import Relevance, relevance
from beige.search.request import DEPTH, FUSION, READ, Options, Request
from beige.search.reranking import Reads, read_in_time
from beige.search.retrieval import Candidates, Retrieval
from beige.values import Floats

if TYPE_CHECKING:
    from beige.embedder import Embedder


@dataclass(frozen=True, eq=False, slots=True)
class _Standing:
    """How the candidates stand.

    Attributes:
        found: what the legs say of n candidates.
        weights: of each leg, of their sum.
        scores: fused, (n,).
        chances: relevance, (n,); NaN where it cannot be told.
        ranks: in the fused order, by chunk.
        read: what the reranker says, by chunk; None where none was asked for.
    """

    found: Candidates
    weights: Mapping[str, float]
    scores: Floats
    chances: NDArray[np.float64]
    ranks: Mapping[int, int]
    read: Mapping[int, Reranked] | None


class Searcher:
    """Searches an index; safe to use from several threads.

    Args:
        index: what is searched.
        embedder: for the queries, one that made vectors of the index; None for the index's own.
        reranker: a `beige.Reranker` that reads the best candidates; None for none.

    Raises:
        FingerprintError: another model made the index.
    """

    def __init__(self, index: Index, embedder: "Embedder | None" = None, reranker: Reads | None = None) -> None:
        self._index = index
        self._embedder = embedder
        self._reranker = reranker
        self._beginning = threading.Lock()
        self._begin(embedder)

    def _begin(self, embedder: "Embedder | None") -> None:
        self._store = self._index.store
        self._retrieval = Retrieval(self._index, embedder)
        self._explainer = Explainer(self._index, self._retrieval.embedder_of)
        self._relevance = Relevance(self._store)

    def _follow(self) -> None:
        """Begin anew where another index has taken the place of the one that was searched."""
        if self._index.store is self._store:
            return
        with self._beginning:
            if self._index.store is not self._store:
                old, made = self._retrieval, {encoder.fingerprint for encoder in self._index.manifest.encoders}
                serves = self._embedder is not None and self._embedder.fingerprint in made
                self._begin(self._embedder if serves else None)
                old.close()

    def search(
        self, query: str, limit: int = 10, *, reranker: Reads | None = None, **options: Unpack[Options]
    ) -> list[Hit]:
        """The passages that answer a query best.

        Args:
            query: a question or some words.
            limit: the most hits, from 1 to 1000.
            reranker: as for `run`.
            options: what to search and how; see `Request`.

        Returns:
            Hits, best first, ties by source and position.

        Raises:
            UsageError: the request makes no sense; see `Request`.
            FingerprintError: another model made the index.
        """
        return list(self.run(Request.of(query, limit, options), reranker).hits)

    def run(self, request: Request, reranker: Reads | None = None) -> Results:
        """The answer to a request: its hits, and what was left out.

        Args:
            request: what is searched, and how.
            reranker: that reads the best candidates; None for the searcher's.

        Raises:
            UsageError: it asks for what is not there: a fusion, a leg to weigh, a reranker, vectors to compare.
            FingerprintError: another model made the index.
        """
        return self._index.steadily(lambda: self._run(request, reranker or self._reranker))

    def _run(self, request: Request, reranker: Reads | None) -> Results:
        self._follow()
        request = request.completed(self._index.manifest.choice, reranks=reranker is not None)
        depth = _depth(request, reranker)
        found = self._retrieval.candidates(request)
        fusion = request.fusion or FUSION
        scores = fuse(fusion, found.evidence, request.weights)
        weights = weigh(fusion, found.evidence, request.weights)
        weights = {leg: weight / sum(weights.values()) for leg, weight in weights.items()}
        chances = self._chances(request, found)
        enough = chances >= request.min_relevance if request.min_relevance else np.ones(len(found.ids), bool)
        folds = request.join or request.group
        pool = len(found.ids) if folds else max(request.limit, depth, DEPTH if request.diversity else 0)
        passages = self._best(found.ids[enough], scores[enough], pool)
        ranks = {passage.id: rank for rank, passage in enumerate(passages, 1)}
        read: dict[int, Reranked] = {}
        if reranker is not None and depth:
            passages, read = _reranked(reranker, request, passages, depth)
        if request.diversity:
            worth = {passage.id: float(scores[np.searchsorted(found.ids, passage.id)]) for passage in passages}
            worth |= {chunk: one.score for chunk, one in read.items() if one.score is not None}
            passages = self._diverse(passages, worth, request.diversity, len(read) or len(passages))
        bundles = fold(passages, request.limit, join=request.join, group=request.group)
        return Results(
            tuple(
                self._hits(request, bundles, _Standing(found, weights, scores, chances, ranks, read if depth else None))
            ),
            read=len(read),
            late=min(depth, len(ranks)) - len(read),
            irrelevant=int(np.count_nonzero(~enough)),
            best_relevance=_chance(chances.max()) if len(chances) else None,
            facets={field: self.facet(field, request.filter) for field in request.facets},
        )

    def facet(self, field: str, where: Filter | str | None = None) -> Mapping[str, int]:
        """How many documents have each value of a field, the most frequent first.

        Args:
            field: "type", "language", "heading", "page", or a field of records.
            where: which documents count, those with a chunk that passes; None for all.

        Raises:
            UsageError: there is no such field, or none with facets, or the filter cannot be read.
        """
        store = self._index.store
        known = store.fields()
        if problem := unknown(field, known):
            raise UsageError(problem)
        return store.facet(field, resolve(where, known))

    def _chances(self, request: Request, found: Candidates) -> NDArray[np.float64]:
        """The candidates' relevance, (n,); NaN where it cannot be told."""
        made = self._index.manifest
        chances = relevance(self._relevance.strengths(found), made.legs, made.calibration)
        if chances is None and request.min_relevance:
            raise UsageError(
                f"relevance cannot be told from {', '.join(found.evidence)}: search a dense leg or bm25 too, "
                "or leave min_relevance out"
            )
        return np.full(len(found.ids), np.nan) if chances is None else chances

    def _best(self, ids: Ids, scores: Floats, count: int) -> list[Passage]:
        """The best candidates in order; whoever ties with the last is fetched, so that sources decide."""
        kept = scores >= np.partition(scores, -count)[-count] if count < len(ids) else np.ones(len(ids), bool)
        by_id = dict(zip(ids[kept].tolist(), scores[kept].tolist(), strict=True))
        return sorted(
            self._index.store.fetch(ids[kept]),
            key=lambda passage: (-by_id[passage.id], passage.source, passage.position),
        )[:count]

    def _diverse(
        self, passages: list[Passage], worth: Mapping[int, float], diversity: float, count: int
    ) -> list[Passage]:
        """The first `count` passages by maximal marginal relevance, then the others as they were."""
        leg = next((leg.name for leg in self._index.manifest.legs if leg.kind == "dense"), None)
        if leg is None:
            raise UsageError("diversity compares dense vectors, and the index has none: leave it out")
        first, rest = passages[:count], passages[count:]
        vectors = self._index.store.vectors(leg, np.array([passage.id for passage in first], np.int64))
        first = [passage for passage in first if passage.id in vectors]  # the others were removed meanwhile
        if not first:
            return rest
        centroid = self._index.store.centroid(leg)
        order = marginal(
            scaled(np.array([worth[passage.id] for passage in first], np.float32)),
            likeness(np.stack([np.asarray(vectors[passage.id]) for passage in first]), float(centroid @ centroid)),
            1 - diversity,
        )
        return [first[place] for place in order.tolist()] + rest

    def _hits(
        self,
        request: Request,
        bundles: Sequence[Bundle],
        standing: _Standing,
    ) -> list[Hit]:
        every = [bundle for first in bundles for bundle in (first, *first.others)]
        explained = self._explainer.explain(request, standing.found, every)

        def hit(bundle: Bundle) -> Hit:
            best, passage = bundle.best, bundle.passage
            place = int(np.searchsorted(standing.found.ids, best.id))
            explanation = explained[best.id]
            return Hit(
                score=float(standing.scores[place]),
                source=passage.source,
                locator=passage.locator,
                text=passage.text,
                media=passage.media,
                legs={
                    leg: LegScore(
                        int(one.ranks[place]) or None,
                        float(one.scores[place]),
                        explanation.words.get(leg, ()),
                        standing.weights[leg],
                        1.0 if leg in (request.weights or {}) else one.trust,
                    )
                    for leg, one in standing.found.evidence.items()
                    if not np.isnan(one.scores[place])
                },
                rank=standing.ranks[best.id],
                relevance=_chance(standing.chances[place]),
                reranked=None if standing.read is None else standing.read.get(best.id, Reranked()),
                highlights=explanation.highlights,
                sentences=explanation.sentences,
                fields=passage.fields,
                chunks=bundle.chunks,
                others=tuple(map(hit, bundle.others)),
                given=passage.given,
            )

        return [hit(bundle) for bundle in bundles]

    def close(self) -> None:
        """Let go of the threads; index, embedder and reranker stay open."""
        self._retrieval.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _chance(chance: float) -> float | None:
    return None if np.isnan(chance) else float(chance)


def _depth(request: Request, reranker: Reads | None) -> int:
    """How many candidates are read."""
    if reranker is None:
        if request.rerank or request.rerank_within is not None:
            raise UsageError(
                "there is no reranker to read candidates: name one, such as bge-reranker-v2-m3, or leave out how many "
                "it reads and its time"
            )
        return 0
    return READ if request.rerank is None else request.rerank


def _reranked(
    reranker: Reads, request: Request, passages: list[Passage], depth: int
) -> tuple[list[Passage], dict[int, Reranked]]:
    """The passages that were read by falling score, then the others as they were; and what the reranker says."""
    texts = [Chunk(passage.text, passage.locator).embedded_text for passage in passages[:depth]]
    scores = read_in_time(reranker, request.query, texts, request.rerank_within)
    order = np.argsort(-scores, kind="stable").tolist()
    said = {passages[place].id: Reranked(rank, float(scores[place])) for rank, place in enumerate(order, 1)}
    return [passages[place] for place in order] + passages[len(order) :], said
