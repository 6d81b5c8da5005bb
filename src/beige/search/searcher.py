"""A query in, hits out: every leg's best chunks, fused, explained and marked."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Self, Unpack

import numpy as np

from beige.index import Index
from beige.index.store import Passage
from beige.search.fusion import fuse
from beige.search.highlight import joined
from beige.search.hit import Hit, LegScore, Span
from beige.search.request import Options, Request
from beige.search.retrieval import Candidates, Retrieval
from beige.values import Floats

if TYPE_CHECKING:
    from beige.embedder import Embedder

MARKED = 0.1
"""A word of the query is marked if its IDF is at least this share of the highest: "the" and "of" are not."""


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
        if embedder is not None:
            index.check(embedder)
        self._retrieval = Retrieval(index, embedder)

    def search(self, query: str, limit: int = 10, **options: Unpack[Options]) -> list[Hit]:
        """The chunks that answer a query best.

        Args:
            query: a question or some words.
            limit: the most hits, from 1 to 1000.
            options: what to search and how; see `Request`.

        Returns:
            Hits, best first, ties by source and position.

        Raises:
            UsageError: the request makes no sense; see `Request`.
            FingerprintError: another model made the index.
        """
        request = Request.of(query, limit, options)
        found = self._retrieval.candidates(request)
        return self._hits(request, found, fuse(request.fusion, found.evidence, request.weights))

    def _hits(self, request: Request, found: Candidates, scores: Floats) -> list[Hit]:
        """The best candidates with their texts; whoever ties with the last is fetched, so that sources decide."""
        ids, limit = found.ids, request.limit
        kept = scores >= np.partition(scores, -limit)[-limit] if limit < len(ids) else np.ones(len(ids), bool)
        places = {int(chunk): place for place, chunk in enumerate(ids)}
        passages = sorted(
            self._index.store.fetch(ids[kept]),
            key=lambda passage: (-scores[places[passage.id]], passage.source, passage.position),
        )[:limit]
        marks = self._marks(request.query, passages)
        return [
            Hit(
                score=float(scores[place]),
                source=passage.source,
                locator=passage.locator,
                text=passage.text,
                media=passage.media,
                legs={
                    leg: LegScore(int(one.ranks[place]) or None, float(one.scores[place]))
                    for leg, one in found.evidence.items()
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
        self._retrieval.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
