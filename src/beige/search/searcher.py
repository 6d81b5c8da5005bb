"""A query in, hits out: every leg's best chunks, fused, explained and marked."""

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from beige.errors import UsageError
from beige.index import Index
from beige.index.store import Ids, Passage, Ranking
from beige.search.fusion import Evidence, fuse
from beige.search.highlight import joined
from beige.search.hit import Hit, LegScore, Span
from beige.values import Floats, Sparse

if TYPE_CHECKING:
    from beige.embedder import Embedder

LEGS = ("dense", "bm25")

DEPTH = 100
"""Candidates of each leg; more where more hits are asked for."""

MOST = 1000
"""Hits that can be asked for: a search is no export."""

MARKED = 0.1
"""A word of the query is marked if its IDF is at least this share of the highest: "the" and "of" are not."""


_log = logging.getLogger("beige")


@dataclass(frozen=True, eq=False, slots=True)
class _Asked:
    """The query as a leg reads it, and the leg's best chunks."""

    query: Floats | Sparse
    ranking: Ranking


class Searcher:
    """Searches an index; safe to use from several threads.

    Args:
        index: what is searched.
        embedder: for the queries; None for the index's own.

    Raises:
        FingerprintError: another model made the index.
    """

    def __init__(self, index: Index, embedder: "Embedder | None" = None) -> None:
        self._index = index
        self._embedder = embedder
        if embedder is not None:
            index.check(embedder)
        self._pool = ThreadPoolExecutor(thread_name_prefix="beige-leg")

    def search(
        self,
        query: str,
        limit: int = 10,
        *,
        legs: Sequence[str] = LEGS,
        fusion: str = "convex",
        weights: Mapping[str, float] | None = None,
    ) -> list[Hit]:
        """The chunks that answer a query best.

        Args:
            query: a question or some words.
            limit: the most hits, from 1 to 1000.
            legs: what to search, "dense" or "bm25" or both; only "dense" needs the model.
            fusion: how several legs become one score, one of `FUSIONS`.
            weights: of the legs in the fusion, in place of its own.

        Returns:
            Hits, best first, ties by source and position.

        Raises:
            UsageError: an empty query, a limit out of bounds, an unknown leg or fusion.
            FingerprintError: another model made the index.
        """
        if not query.strip():
            raise UsageError("the query is empty: say what to look for")
        if not 1 <= limit <= MOST:
            raise UsageError(f"the limit must be from 1 to {MOST}, not {limit}")
        if unknown := [leg for leg in legs if leg not in LEGS]:
            raise UsageError(f"no leg {unknown[0]!r}; there are: {', '.join(LEGS)}")
        if not legs:
            raise UsageError(f"no leg to search; there are: {', '.join(LEGS)}")
        asked = self._ask_all(query, legs, max(limit, DEPTH))
        ids = np.unique(np.concatenate([one.ranking.ids for one in asked.values()]))  # (n,)
        evidence = {leg: self._evidence(leg, one, ids) for leg, one in asked.items()}
        alive = ~np.any([np.isnan(found.scores) for found in evidence.values()], axis=0)  # removed while we searched
        evidence = {leg: Evidence(f.scores[alive], f.ranks[alive], f.floor) for leg, f in evidence.items()}
        return self._hits(query, ids[alive], fuse(fusion, evidence, weights), evidence, limit)

    def _ask_all(self, query: str, legs: Sequence[str], depth: int) -> dict[str, _Asked]:
        """Ask the legs at the same time: in a new process the one loads its stemmer while the other loads the model."""
        first, *others = dict.fromkeys(legs)
        waiting = {leg: self._pool.submit(self._ask, leg, query, depth) for leg in others}
        return {first: self._ask(first, query, depth)} | {leg: asked.result() for leg, asked in waiting.items()}

    def _ask(self, leg: str, query: str, depth: int) -> _Asked:
        read = self._words if leg == "bm25" else self._vector
        asked = read(query)
        return _Asked(asked, self._index.store.top(leg, asked, depth))

    def _words(self, query: str) -> Sparse:
        return self._index.analyser.query(query)

    def _vector(self, query: str) -> Floats:
        embedder = self._embedder or self._index.embedder
        found = embedder.encode_query(query)
        if found.truncated:
            _log.warning(
                f"the query has {found.tokens} tokens and {embedder.checkpoint.name} reads "
                f"{embedder.checkpoint.max_tokens}: what is beyond is searched by its words only"
            )
        assert found.dense is not None
        return found.dense

    def _evidence(self, leg: str, asked: _Asked, ids: Ids) -> Evidence:
        """What a leg says of the candidates of all legs, whose ids are (n,) ascending."""
        scores = np.full(len(ids), np.nan, np.float32)  # (n,)
        ranks = np.zeros(len(ids), np.int32)  # (n,)
        found = np.searchsorted(ids, asked.ranking.ids)
        scores[found] = asked.ranking.scores
        ranks[found] = np.arange(1, len(found) + 1)
        missing = ranks == 0
        if missing.any():
            scores[missing] = self._index.store.scores(leg, asked.query, ids[missing])
        query = asked.query
        floor = 0.0 if isinstance(query, Sparse) else float(self._index.store.centroid(leg) @ query)
        return Evidence(scores, ranks, floor)

    def _hits(
        self,
        query: str,
        ids: Ids,
        scores: Floats,
        evidence: Mapping[str, Evidence],
        limit: int,
    ) -> list[Hit]:
        """The best candidates with their texts; whoever ties with the last is fetched, so that sources decide."""
        kept = scores >= np.partition(scores, -limit)[-limit] if limit < len(ids) else np.ones(len(ids), bool)
        places = {int(chunk): place for place, chunk in enumerate(ids)}
        passages = sorted(
            self._index.store.fetch(ids[kept]),
            key=lambda passage: (-scores[places[passage.id]], passage.source, passage.position),
        )[:limit]
        marks = self._marks(query, passages)
        return [
            Hit(
                score=float(scores[place]),
                source=passage.source,
                locator=passage.locator,
                text=passage.text,
                media=passage.media,
                legs={
                    leg: LegScore(int(found.ranks[place]) or None, float(found.scores[place]))
                    for leg, found in evidence.items()
                },
                highlights=spans,
                fields=passage.fields,
            )
            for passage, spans in zip(passages, marks, strict=True)
            for place in [places[passage.id]]
        ]

    def _marks(self, query: str, passages: Sequence[Passage]) -> list[tuple[Span, ...]]:
        """Where the query's words stand in each passage, without those that stand in almost every chunk."""
        analyser = self._index.analyser
        asked = analyser.query(query)
        idf = dict(zip(asked.ids.tolist(), self._index.store.idf("bm25", asked).tolist(), strict=True))
        found = [analyser.words(passage.text, idf) for passage in passages]
        enough = MARKED * max((idf[word.id] for words in found for word in words), default=0.0)
        return [joined((word.start, word.end) for word in words if idf[word.id] >= enough) for words in found]

    def close(self) -> None:
        """Let go of the threads; index and embedder stay open."""
        self._pool.shutdown()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
