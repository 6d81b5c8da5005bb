"""The legs asked for a query, and what each says of every candidate."""

import logging
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from beige.index import Index
from beige.index.expression import resolve
from beige.index.filter import Filter
from beige.index.store import Ids, Ranking
from beige.search.fusion import Evidence
from beige.search.request import DEPTH, Request
from beige.values import Floats, Sparse

if TYPE_CHECKING:
    from beige.embedder import Embedder

_log = logging.getLogger("beige")


@dataclass(frozen=True, eq=False, slots=True)
class Candidates:
    """Chunks that some leg found.

    Attributes:
        ids: (n,), ascending.
        evidence: by leg, what it says of these n chunks.
        queries: by leg, the query as the leg reads it.
    """

    ids: Ids
    evidence: Mapping[str, Evidence]
    queries: Mapping[str, Floats | Sparse]


@dataclass(frozen=True, eq=False, slots=True)
class _Asked:
    """The query as a leg reads it, and the leg's best chunks."""

    query: Floats | Sparse
    ranking: Ranking


class Retrieval:
    """Asks the legs of an index; safe to use from several threads.

    Args:
        index: what is searched.
        embedder: for the queries; None for the index's own, loaded when a leg first needs it.
    """

    def __init__(self, index: Index, embedder: "Embedder | None") -> None:
        self._index = index
        self._embedder = embedder
        self._pool = ThreadPoolExecutor(thread_name_prefix="beige-leg")

    def candidates(self, request: Request) -> Candidates:
        """Every leg's best chunks, each with what all legs say of it.

        Raises:
            FingerprintError: another model made the index.
            UsageError: the filter names a field that the index does not have.
        """
        where = None if request.filter is None else resolve(request.filter, self._index.store.fields())
        asked = self._ask_all(request, where)
        ids = np.unique(np.concatenate([one.ranking.ids for one in asked.values()]))  # (n,)
        evidence = {leg: self._evidence(leg, one, ids) for leg, one in asked.items()}
        alive = ~np.any([np.isnan(found.scores) for found in evidence.values()], axis=0)  # removed while we searched
        return Candidates(
            ids[alive],
            {leg: Evidence(f.scores[alive], f.ranks[alive], f.floor) for leg, f in evidence.items()},
            {leg: one.query for leg, one in asked.items()},
        )

    def close(self) -> None:
        """Let go of the threads; index and embedder stay open."""
        self._pool.shutdown()

    def _ask_all(self, request: Request, where: Filter | None) -> dict[str, _Asked]:
        """Ask the legs at the same time: in a new process the one loads its stemmer while the other loads the model."""
        depth = max(request.limit, DEPTH)
        first, *others = dict.fromkeys(request.legs)
        waiting = {leg: self._pool.submit(self._ask, leg, request.query, depth, where) for leg in others}
        mine = self._ask(first, request.query, depth, where)
        return {first: mine} | {leg: one.result() for leg, one in waiting.items()}

    def _ask(self, leg: str, query: str, depth: int, where: Filter | None) -> _Asked:
        read = self._words if leg == "bm25" else self._vector
        asked = read(query)
        return _Asked(asked, self._index.store.top(leg, asked, depth, where))

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
