"""Which way of searching suits an index best, by the judgements of its users.

Every leg is asked once for each query; what a way of searching would have found follows from what the legs said. Ways
are compared by cross-validation: the best one on most queries is measured on the others, so that the gain that is told
is one on queries that had no say in the choice.
"""

import hashlib
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from beige.documents.chunk import Chunk
from beige.errors import InputError
from beige.evaluate.measures import Measure, by_query
from beige.evaluate.significance import Interval, bootstrap, randomisation
from beige.index.manifest import FEEDBACK, Calibration, Choice, Leg
from beige.index.store import Ids
from beige.search.fusion import FUSIONS, Evidence, fuse
from beige.search.relevance import Relevance, fit
from beige.search.request import Request
from beige.search.reranking import Reads
from beige.search.retrieval import Candidates, Retrieval
from beige.values import Floats

if TYPE_CHECKING:
    from beige.evaluate.data import Retrieval as Data
    from beige.index import Index

FOLDS = 5

FEWEST = 20
"""Judged queries below which nothing is chosen: a choice by fewer is one by chance."""

DEPTHS = (50, 100, 200)
"""Candidates of each leg that are tried."""

WITH_FEEDBACK = (0.0, 0.3)
"""What likeness to the best candidates weighs, as it is tried."""

STEPS: Mapping[int, int] = {1: 1, 2: 20, 3: 8, 4: 6}
"""Into how many parts the weights of so many legs are divided; of more legs, into one more than their number."""

READ = (20, 50)
"""Candidates that a reranker reads, as they are tried."""


@dataclass(frozen=True, eq=False)
class Heard:
    """What an index says of a query.

    Attributes:
        found: by every leg, at the greatest depth.
        sources: of the candidates' documents, (n,).
        query: its text.
    """

    found: Candidates
    sources: Sequence[str]
    query: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What tuning found.

    Attributes:
        measure: that was tuned for.
        queries: judged ones.
        before: the mean as the index is searched now.
        after: the mean of held-out queries, each searched as was best for the others.
        interval: of the gain.
        p: of the paired randomisation test of the gain.
        choice: what is best on all queries.
        better: whether the gain is above 0 with 95 % confidence, and the choice another than today's.
        calibration: by which relevance follows from the legs, fitted on these judgements; None where they are of one
            kind only.
    """

    measure: str
    queries: int
    before: float
    after: float
    interval: Interval
    p: float
    choice: Choice
    better: bool
    calibration: Calibration | None


def listen(index: "Index", data: "Data", tell: Callable[[int], None] = lambda _: None) -> dict[str, Heard]:
    """Ask every leg of an index for every judged query.

    Args:
        index: open.
        data: queries with their judgements.
        tell: told how many more queries have been asked.

    Raises:
        FingerprintError: a model has changed since the index was made.
    """
    retrieval = Retrieval(index, None)
    feedback = 1.0 if any(leg.kind == "dense" for leg in index.manifest.legs) else 0.0
    heard = {}
    try:
        for key in data.judgements:
            query = data.queries[key]
            found = retrieval.candidates(Request(query, depth=max(DEPTHS), feedback=feedback, rescore=max(DEPTHS)))
            passages = {passage.id: passage for passage in index.store.fetch(found.ids)}
            kept = [chunk for chunk in found.ids.tolist() if chunk in passages]
            heard[key] = Heard(
                found.only(np.isin(found.ids, kept)),
                [passages[chunk].source for chunk in kept],
                query,
            )
            tell(1)
    finally:
        retrieval.close()
    return heard


def tune(
    index: "Index",
    data: "Data",
    heard: Mapping[str, Heard],
    measure: Measure,
    *,
    reranker: tuple[str, Reads] | None = None,
    tell: Callable[[int], None] = lambda _: None,
) -> Outcome:
    """Choose how an index is searched.

    Args:
        index: that was asked.
        data: queries with their judgements.
        heard: what `listen` gave.
        measure: to be as high as possible.
        reranker: a model's name and the model, where it is to be found out whether it pays.
        tell: told how many more of `FOLDS + 1` choices have been made.

    Raises:
        InputError: too few queries are judged.
    """
    if len(heard) < FEWEST:
        raise InputError(
            f"{len(heard)} judged queries are too few to choose by: at least {FEWEST} are needed, "
            "some hundred are better (beige evaluate judge makes more)"
        )
    trial = _Trial(index, data, heard, measure, reranker)
    keys = list(heard)
    today = index.manifest.choice or Choice(legs=tuple(leg.name for leg in index.manifest.legs))
    ways = [today, *(way for way in choices(index.manifest.legs) if way != today)]
    plain = np.array([trial.figures(way) for way in ways])  # (ways, queries)
    current = plain[0]
    fold = np.array([int(hashlib.sha256(key.encode()).hexdigest(), 16) % FOLDS for key in keys])
    held_out = np.empty(len(keys))
    for number in range(FOLDS):
        rest = fold != number
        best = trial.best(ways, plain, rest)
        held_out[~rest] = trial.figures(best)[~rest]
        tell(1)
    choice = trial.best(ways, plain, np.ones(len(keys), bool))
    tell(1)
    gain = held_out - current
    interval, p = bootstrap(gain[None])[0], randomisation(gain[None])[0]
    return Outcome(
        str(measure),
        len(keys),
        float(current.mean()),
        float(held_out.mean()),
        interval,
        p,
        choice,
        interval.low > 0 and choice != today,
        _calibration(index, data, heard, choice),
    )


def choices(legs: Sequence[Leg]) -> Iterator[Choice]:
    """The ways of searching that are tried: legs, fusions, weights, depths and feedback.

    A leg of token vectors finds nothing, so that another one is always beside it. Feedback is heard of the best that
    all legs find together, so that it is tried with all of them.
    """
    names = [leg.name for leg in legs]
    alone = {leg.name for leg in legs if leg.kind != "multi"}
    dense = {leg.name for leg in legs if leg.kind == "dense"}
    for count in range(1, len(names) + 1):
        for chosen in itertools.combinations(names, count):
            if not alone & set(chosen):
                continue
            weights = list(_weights(count))
            fusions = list(FUSIONS) if count > 1 else ["convex"]
            feedback = WITH_FEEDBACK if dense & set(chosen) and alone <= set(chosen) else WITH_FEEDBACK[:1]
            for depth, fusion, shares, back in itertools.product(DEPTHS, fusions, weights, feedback):
                yield Choice(chosen, fusion, dict(zip(chosen, shares, strict=True)) if count > 1 else {}, depth, back)


def _weights(count: int) -> Iterator[tuple[float, ...]]:
    """Every way to share 1 among so many legs in equal steps, none of them with nothing."""
    steps = STEPS.get(count, count + 1)
    for cuts in itertools.combinations(range(1, steps), count - 1):
        bounds = (0, *cuts, steps)
        yield tuple(round((after - before) / steps, 6) for before, after in itertools.pairwise(bounds))


@dataclass(eq=False)
class _Trial:
    """The judged queries, and what a reranker has said so far."""

    index: "Index"
    data: "Data"
    heard: Mapping[str, Heard]
    measure: Measure
    reranker: tuple[str, Reads] | None
    read: dict[tuple[str, int], float] = field(default_factory=dict)  # by query and place among its candidates

    def figures(self, way: Choice) -> NDArray[np.float64]:
        """The measure of each query, (queries,)."""
        run = {key: self._documents(key, way) for key in self.heard}
        judgements = {key: self.data.judgements[key] for key in self.heard}
        found = by_query(judgements, run, [self.measure])[self.measure]
        return np.array([found[key] for key in self.heard])

    def best(self, ways: Sequence[Choice], plain: NDArray[np.float64], among: NDArray[np.bool_]) -> Choice:
        """The way with the highest mean among some queries, the first of several; reranked, where that is higher."""
        means = plain[:, among].mean(axis=1)
        best = ways[int(means.argmax())]
        if self.reranker is None or best.rerank:
            return best
        name = self.reranker[0]
        tried = [best, *(replace(best, rerank=name, read=read) for read in READ)]
        return tried[int(np.argmax([self.figures(way)[among].mean() for way in tried]))]

    def _documents(self, key: str, way: Choice) -> dict[str, float]:
        """The documents that a way finds for a query, each by its best chunk, with scores that rank them."""
        heard = self.heard[key]
        kept, scores = fused(heard.found, way)
        order = kept[np.lexsort((heard.found.ids[kept], -scores))]
        if way.rerank and self.reranker is not None:
            order = np.concatenate([self._reranked(key, order[: way.read]), order[way.read :]])
        ranked = dict.fromkeys(heard.sources[place] for place in order.tolist())
        return {source: -float(place) for place, source in enumerate(ranked)}

    def _reranked(self, key: str, order: NDArray[np.int64]) -> NDArray[np.int64]:
        assert self.reranker is not None
        heard = self.heard[key]
        unread = [place for place in order.tolist() if (key, place) not in self.read]
        if unread:
            scores = self.reranker[1].score(heard.query, self._texts(heard.found.ids[unread]))
            self.read |= {(key, place): float(score) for place, score in zip(unread, scores, strict=True)}
        worth = np.array([self.read[key, place] for place in order.tolist()])
        return order[np.argsort(-worth, kind="stable")]

    def _texts(self, ids: Ids) -> list[str]:
        """What a reranker reads of chunks, one each: nothing of one that is gone by now."""
        found = {passage.id: passage for passage in self.index.store.fetch(ids)}
        return [
            Chunk(found[chunk].text, found[chunk].locator).embedded_text if chunk in found else ""
            for chunk in ids.tolist()
        ]


def fused(found: Candidates, way: Choice) -> tuple[NDArray[np.int64], Floats]:
    """The candidates that a way of searching has, as places among those found, and their fused scores.

    Args:
        found: by every leg, at a depth that is at least the way's.
        way: of searching.
    """
    evidence = {leg: _within(found.evidence[leg], way.depth) for leg in way.legs}
    if way.feedback and FEEDBACK in found.evidence:
        evidence[FEEDBACK] = replace(_within(found.evidence[FEEDBACK], way.depth), beside=way.feedback)
    finders = [one for one in evidence.values() if one.kind != "multi"]
    kept = np.flatnonzero(np.any([one.ranks > 0 for one in finders], axis=0)) if finders else np.empty(0, np.int64)
    some = {leg: replace(one, scores=one.scores[kept], ranks=one.ranks[kept]) for leg, one in evidence.items()}
    scores = fuse(way.fusion, some, way.weights or None)
    return kept, np.nan_to_num(scores, nan=-np.inf)


def _within(evidence: Evidence, depth: int) -> Evidence:
    """What a leg would have said had it been asked for so many candidates."""
    if evidence.kind == "multi":
        return evidence
    return replace(evidence, ranks=np.where(evidence.ranks <= depth, evidence.ranks, 0))


def _calibration(index: "Index", data: "Data", heard: Mapping[str, Heard], choice: Choice) -> Calibration | None:
    """How relevance follows from the legs of the choice, by what is judged relevant among their candidates."""
    meaning = Relevance(index.store)
    strengths: dict[str, list[Floats]] = {leg: [] for leg in choice.legs}
    relevant: list[bool] = []
    for key, one in heard.items():
        places, _ = fused(one.found, choice)
        evidence = {leg: one.found.evidence[leg] for leg in choice.legs}
        some = replace(one.found, evidence=evidence).only(np.isin(np.arange(len(one.found.ids)), places))
        for leg, said in meaning.strengths(some).items():
            strengths[leg].append(said)
        grades = data.judgements[key]
        relevant += [grades.get(one.sources[place], 0) > 0 for place in places.tolist()]
    judged = np.array(relevant, bool)
    if judged.all() or not judged.any():
        return None
    return fit({leg: np.concatenate(parts) for leg, parts in strengths.items()}, judged)
