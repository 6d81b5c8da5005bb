"""The legs asked for a query, and what each says of every candidate."""

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from beige.documents.chunk import Chunk
from beige.errors import UsageError
from beige.index import Index
from beige.index.expression import resolve
from beige.index.filter import Filter
from beige.index.manifest import FEEDBACK, Leg
from beige.index.store import Ids, Passage, Ranking, Vector
from beige.index.vectors import of_query
from beige.search.fusion import Evidence, fuse, standings
from beige.search.request import DEPTH, FUSION, Request
from beige.search.rescoring import best, computed, opinion, standing
from beige.search.strangers import FIFTH, SAMPLE, asked_in, is_stranger, spread_of, trust
from beige.values import Floats, Sparse

if TYPE_CHECKING:
    from beige.embedder import Embedder

SEEDS = 2
"""The best candidates, whose like is looked for."""

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
    queries: Mapping[str, Vector]

    def only(self, kept: NDArray[np.bool_]) -> "Candidates":
        """Some of them.

        Args:
            kept: which, (n,).
        """
        evidence = {
            leg: replace(one, scores=one.scores[kept], ranks=one.ranks[kept]) for leg, one in self.evidence.items()
        }
        return Candidates(self.ids[kept], evidence, self.queries)


@dataclass(frozen=True, eq=False, slots=True)
class _Asked:
    """The query as a leg reads it, and the leg's best chunks; a multi leg finds none."""

    leg: Leg
    query: Vector
    ranking: Ranking | None
    strange: bool = False  # whether its model was not made for the language that is asked in


class Retrieval:
    """Asks the legs of an index; safe to use from several threads.

    Args:
        index: what is searched.
        embedder: for the queries; None for the index's own, each loaded when one of its legs is first asked.

    Raises:
        FingerprintError: the embedder made no vectors of the index.
    """

    def __init__(self, index: Index, embedder: "Embedder | None") -> None:
        self._index = index
        self._given = {} if embedder is None else {index.encoders.check(embedder).model: embedder}
        self._pool = ThreadPoolExecutor(thread_name_prefix="beige-leg")

    def candidates(self, request: Request) -> Candidates:
        """Every leg's best chunks, each with what all legs say of it, multi legs of the best alone.

        Raises:
            FingerprintError: another model made the index.
            UsageError: the index has no such leg or no field that the filter names, none of the legs finds anything by
                itself, or no model of the index gives the token vectors that are to be computed.
        """
        where = None if request.filter is None else resolve(request.filter, self._index.store.fields())
        asked = self._ask_all(request, where)
        finders = [one for one in asked if one.ranking is not None]
        found = self._found(finders)
        if request.feedback:
            found = self._like_the_best(request.feedback, finders, found)
        for one in asked:
            if one.ranking is None:
                found = self._rescored(request, one, found)
        return found

    def _found(self, asked: Sequence[_Asked]) -> Candidates:
        """The best chunks of all, each with what all say of it."""
        rankings = [(one, one.ranking) for one in asked if one.ranking is not None]
        ids = np.unique(np.concatenate([ranking.ids for _, ranking in rankings]))  # (n,)
        evidence = {one.leg.name: self._evidence(one, ranking, ids) for one, ranking in rankings}
        gone = np.any([np.isnan(found.scores) for found in evidence.values()], axis=0)  # removed while we searched
        return Candidates(ids, evidence, {one.leg.name: one.query for one in asked}).only(~gone)

    def _like_the_best(self, feedback: float, finders: Sequence[_Asked], found: Candidates) -> Candidates:
        """The candidates with how like they are to the best of the usual fusion, by the mean of these' vectors.

        Pseudo-relevance feedback: Rocchio, "Relevance Feedback in Information Retrieval" (1971), on vectors as in Li et
        al., "Pseudo Relevance Feedback with Deep Language Models and Dense Retrievers" (2021),
        https://arxiv.org/abs/2108.11044, but as an opinion of its own, so that the query's own scores stay what they
        are, and of the candidates alone. Without it where there are none, or the model was not made for the language.
        """
        dense = next((one for one in finders if one.leg.kind == "dense"), None)
        if dense is None:
            raise UsageError("feedback compares dense vectors, and no such leg is searched: leave it out")
        if dense.strange or not len(found.ids):
            return found
        store, leg = self._index.store, dense.leg.name
        seeds = found.ids[best(fuse(FUSION, found.evidence), SEEDS)]
        vectors = list(store.vectors(leg, seeds).values())
        if not vectors:
            return found
        mean = np.stack([np.asarray(vector) for vector in vectors]).sum(axis=0, dtype=np.float64)  # (d,)
        centre: Floats = (mean / max(float(np.linalg.norm(mean)), 1e-12)).astype(np.float32)
        scores = store.scores(leg, centre, found.ids)
        said = Evidence(scores, standings(scores), float(store.centroid(leg) @ centre), "dense", beside=feedback)
        return replace(found, evidence={**found.evidence, FEEDBACK: said}).only(~np.isnan(scores))

    def close(self) -> None:
        """Let go of the threads; index and embedder stay open."""
        self._pool.shutdown()

    def _legs(self, request: Request) -> list[Leg]:
        """The legs to ask, of the manifest, and one of token vectors that is not in it where they may be computed."""
        has = {leg.name: leg for leg in self._index.manifest.legs}
        names = list(dict.fromkeys(has if request.legs is None else request.legs))
        if unknown := [name for name in names if name not in has]:
            raise UsageError(f"no leg {unknown[0]!r}; the index has {', '.join(has)}")
        legs = [has[name] for name in names]
        if all(leg.kind == "multi" for leg in legs):
            raise UsageError(f"the leg {names[0]!r} finds nothing by itself: it scores what other legs find, name some")
        if request.multi_within is not None and not any(leg.kind == "multi" for leg in legs):
            stored = next((leg for leg in has.values() if leg.kind == "multi"), None)
            legs.append(stored or self._unstored())
        return legs

    def _unstored(self) -> Leg:
        for encoder in self._index.manifest.encoders:
            checkpoint = self.embedder_of(encoder.model).checkpoint
            if "multi" in checkpoint.outputs:
                return Leg("multi", "multi", checkpoint.multi_dimension, encoder=encoder.model)
        raise UsageError(f"token vectors cannot be computed: none are given by {self._index.manifest.models}")

    def embedder_of(self, model: str) -> "Embedder":
        """The embedder for a model of the index: the one that was given, or the index's own."""
        return self._given.get(model) or self._index.encoders.of(model)

    def _ask_all(self, request: Request, where: Filter | None) -> list[_Asked]:
        """Ask the legs, those of one model after one pass of it; in their order.

        The models and the words go at the same time: in a new process one loads its stemmer while others load models.
        """
        depth = _depth(request)
        legs = self._legs(request)
        first, *others = dict.fromkeys(leg.encoder for leg in legs)
        groups = {model: [leg for leg in legs if leg.encoder == model] for model in (first, *others)}

        def ask(model: str | None) -> list[_Asked]:
            return self._ask(model, groups[model], request.query, depth, where)

        waiting = [self._pool.submit(ask, model) for model in others]
        found = [*ask(first), *(one for others in waiting for one in others.result())]
        models = [model for model in groups if model is not None]
        strange = self._strange(models, request.query) if len(legs) > 1 else set()
        return sorted(
            (replace(one, strange=one.leg.encoder in strange) for one in found), key=lambda one: legs.index(one.leg)
        )

    def _strange(self, models: Sequence[str], query: str) -> set[str]:
        """Those of the models that were not made for the language that a query is in."""
        cards = {model: self.embedder_of(model).checkpoint.card for model in models}
        present = self._index.store.languages()
        if not any(is_stranger(card, [code]) for card in cards.values() for code in present):
            return set()
        asked = asked_in(query, present)
        return {model for model, card in cards.items() if is_stranger(card, asked)}

    def _ask(
        self, model: str | None, legs: Sequence[Leg], query: str, depth: int, where: Filter | None
    ) -> list[_Asked]:
        """Ask the legs of one model, or of the analyser."""
        store = self._index.store
        if model is None:
            asked: list[Vector] = [self._index.analyser.query(query)] * len(legs)
        else:
            asked = self._vectors(model, legs, query)
        return [
            _Asked(leg, one, None if leg.kind == "multi" else store.top(leg.name, one, depth, where))
            for leg, one in zip(legs, asked, strict=True)
        ]

    def _vectors(self, model: str, legs: Sequence[Leg], query: str) -> list[Vector]:
        """The query as each of a model's legs reads it."""
        embedder = self.embedder_of(model)
        found = embedder.encode_query(query, tuple(dict.fromkeys(leg.kind for leg in legs)))
        if found.truncated:
            _log.warning(
                f"the query has {found.tokens} tokens and {embedder.checkpoint.name} reads "
                f"{embedder.checkpoint.max_tokens}: what is beyond is searched by its words only"
            )
        return [of_query(leg, found) for leg in legs]

    def _evidence(self, asked: _Asked, ranking: Ranking, ids: Ids) -> Evidence:
        """What a leg says of the candidates of all legs, whose ids are (n,) ascending."""
        scores = np.full(len(ids), np.nan, np.float32)  # (n,)
        ranks = np.zeros(len(ids), np.int32)  # (n,)
        found = np.searchsorted(ids, ranking.ids)
        scores[found] = ranking.scores
        ranks[found] = np.arange(1, len(found) + 1)
        missing = ranks == 0
        if missing.any():
            scores[missing] = self._index.store.scores(asked.leg.name, asked.query, ids[missing])
        query = asked.query
        if isinstance(query, Sparse):
            return Evidence(scores, ranks, 0.0, asked.leg.kind, FIFTH if asked.strange else 1.0)
        floor = float(self._index.store.centroid(asked.leg.name) @ query)
        if not asked.strange or not len(ranking.scores):
            return Evidence(scores, ranks, floor, asked.leg.kind)
        spread = spread_of(self._index.store.sample(asked.leg.name, SAMPLE), query, floor)
        return Evidence(scores, ranks, floor, asked.leg.kind, trust(float(ranking.scores[0]), floor, spread))

    def _rescored(self, request: Request, asked: _Asked, found: Candidates) -> Candidates:
        """The candidates with what a multi leg says of the best of them."""
        finders = {name: one for name, one in found.evidence.items() if one.kind != "multi"}
        fused = standing(request, finders)
        chosen = best(fused, request.rescore)
        scores = np.full(len(found.ids), np.nan, np.float32)
        gone = np.zeros(len(found.ids), bool)
        if asked.leg in self._index.manifest.legs:
            scores[chosen] = self._index.store.scores(asked.leg.name, asked.query, found.ids[chosen])
            gone = chosen & np.isnan(scores)
        elif chosen.any():
            scores[chosen] = self._computed(request, asked, found.ids[chosen], fused[chosen])
        said = replace(opinion(scores), trust=FIFTH if asked.strange else 1.0)
        evidence = {**found.evidence, asked.leg.name: said}
        return replace(found, evidence=evidence).only(~gone)

    def _computed(self, request: Request, asked: _Asked, ids: Ids, fused: Floats) -> Floats:
        """What token vectors say of these chunks, whose fused scores are (n,), as far as the time suffices: (n,)."""
        assert request.multi_within is not None
        assert asked.leg.encoder is not None
        assert not isinstance(asked.query, Sparse)
        places = {chunk: place for place, chunk in enumerate(ids.tolist())}

        def order(passage: Passage) -> tuple[float, str, int]:
            return -float(fused[places[passage.id]]), passage.source, passage.position

        passages = sorted(self._index.store.fetch(ids), key=order)
        texts = [Chunk(passage.text, passage.locator).embedded_text for passage in passages]
        given = computed(self.embedder_of(asked.leg.encoder), asked.query, texts, request.multi_within)
        if np.isnan(given).any():
            _log.warning(
                f"token vectors of {np.count_nonzero(~np.isnan(given))} of {len(given)} candidates were computed in "
                f"{request.multi_within:g} s; the others count as the last of these"
            )
        scores = np.full(len(ids), np.nan, np.float32)
        scores[[places[passage.id] for passage in passages]] = given
        return scores


def _depth(request: Request) -> int:
    """How many candidates each leg gives."""
    return max(request.limit, request.depth or DEPTH)
