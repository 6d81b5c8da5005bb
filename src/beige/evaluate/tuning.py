"""Which way of searching suits an index best, by the judgements of its users.

Every leg is asked once for each query; what a way of searching would have found follows from what the legs said. Ways
are compared by cross-validation: the best one on most queries is measured on the others, so that the gain that is told
is one on queries that had no say in the choice. docs/decisions/tuning.md says why so.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from beige.documents.chunk import Chunk
from beige.errors import InputError
from beige.evaluate.measures import Measure, by_query
from beige.evaluate.significance import Interval, bootstrap, randomisation
from beige.evaluate.validation import ROUNDS, gathered, held_out, topics, worth
from beige.evaluate.ways import DEPTHS, choices, depths, fused, reranked
from beige.index.manifest import Calibration, Choice
from beige.index.store import Ids
from beige.search.relevance import Relevance, fit
from beige.search.request import Request
from beige.search.reranking import Reads
from beige.search.retrieval import Candidates, Retrieval
from beige.values import Floats

if TYPE_CHECKING:
    from beige.evaluate.data import Retrieval as Data
    from beige.index import Index

CHOICES = ROUNDS + 1
"""How many choices tuning makes: those of cross-validation, and the last by all queries."""

FEWEST = 20
"""Judged queries below which nothing is chosen: a choice by fewer is one by chance."""

FEWEST_DOCUMENTS = 10
"""Documents that they are about, below which nothing is chosen: queries about the same one say much the same."""


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
        after: the mean of held-out queries, each searched as was surest to gain by the others.
        interval: of the gain; queries about one document are drawn together.
        p: of the paired randomisation test of the gain.
        choice: what is surest to gain by all queries.
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
    rerankers: Mapping[str, Reads] | None = None,
    tell: Callable[[int], None] = lambda _: None,
) -> Outcome:
    """Choose how an index is searched.

    Args:
        index: that was asked.
        data: queries with their judgements.
        heard: what `listen` gave.
        measure: to be as high as possible.
        rerankers: by their models' names: those of which it is to be found out whether they pay, and the one that the
            index is tuned to by now.
        tell: told how many more of `CHOICES` have been made.

    Raises:
        InputError: too few queries are judged, or about too few documents, or the index's own reranker is missing.
    """
    if len(heard) < FEWEST:
        raise InputError(
            f"{len(heard)} judged queries are too few to choose by: at least {FEWEST} are needed, "
            "some hundred are better (beige evaluate judge makes more)"
        )
    today = index.manifest.choice or Choice(legs=tuple(leg.name for leg in index.manifest.legs))
    if today.rerank and today.rerank not in (rerankers or {}):
        raise InputError(f"the index is tuned to the reranker {today.rerank}, without which it cannot be compared")
    trial = Trial(index, data, heard, measure, today, rerankers or {})
    count = len(trial.gains(today))
    if count < FEWEST_DOCUMENTS:
        raise InputError(
            f"the {len(heard)} judged queries are about {count} documents, which are too few to choose by: "
            f"judge queries about at least {FEWEST_DOCUMENTS}"
        )
    gain = held_out(lambda among: trial.gains(trial.surest(among)), count, tell)
    choice = trial.surest(np.ones(count, bool))
    tell(1)
    before = float(trial.figures(today).mean())
    interval, p = bootstrap(gain[None])[0], randomisation(gain[None])[0]
    return Outcome(
        str(measure),
        len(heard),
        before,
        before + float(gain.mean()),
        interval,
        p,
        choice,
        interval.low > 0 and choice != today,
        _calibration(index, data, heard, choice),
    )


@dataclass(eq=False)
class Trial:
    """What ways of searching give on judged queries.

    Args:
        index: that was asked.
        data: queries with their judgements.
        heard: what `listen` gave.
        measure: by which ways are compared.
        today: the way that gains are over.
        rerankers: by their models' names.
    """

    index: "Index"
    data: "Data"
    heard: Mapping[str, Heard]
    measure: Measure
    today: Choice
    rerankers: Mapping[str, Reads] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._judgements = {key: self.data.judgements[key] for key in self.heard}
        self._groups = topics(self._judgements)  # (queries,)
        legs = self.index.manifest.legs
        self._ways = [self.today, *(way for way in choices(legs) if way != self.today)]
        self._known: dict[str, NDArray[np.float64]] = {}  # figures by way
        self._gains: dict[str, NDArray[np.float64]] = {}  # likewise
        self._read: dict[tuple[str, str, int], float] = {}  # by model, query, place among its candidates

    def surest(self, among: NDArray[np.bool_]) -> Choice:
        """The way whose gain over today's is surest to be large, by some groups (groups,): the first of several.

        Legs, fusion, weights and feedback are chosen first, then the depth, then whether a reranker pays.
        """
        best = self._surest(self._ways, among)
        best = self._surest([best, *depths(best)], among)
        return self._surest([best, *(way for name in self.rerankers for way in reranked(best, name))], among)

    def _surest(self, ways: Sequence[Choice], among: NDArray[np.bool_]) -> Choice:
        return ways[int(worth(np.array([self.gains(way)[among] for way in ways])).argmax())]

    def gains(self, way: Choice) -> NDArray[np.float64]:
        """The gain of each group over today's way, (groups,)."""
        name = str(way)
        if name not in self._gains:
            self._gains[name] = gathered(self.figures(way) - self.figures(self.today), self._groups)
        return self._gains[name]

    def figures(self, way: Choice) -> NDArray[np.float64]:
        """The measure of each query, (queries,)."""
        name = str(way)
        if name not in self._known:
            run = {key: self._documents(key, way) for key in self.heard}
            found = by_query(self._judgements, run, [self.measure])[self.measure]
            self._known[name] = np.array([found[key] for key in self.heard])
        return self._known[name]

    def _documents(self, key: str, way: Choice) -> dict[str, float]:
        """The documents that a way finds for a query, each by its best chunk, with scores that rank them."""
        heard = self.heard[key]
        kept, scores = fused(heard.found, way)
        order = kept[np.lexsort((heard.found.ids[kept], -scores))]
        if way.rerank:
            order = np.concatenate([self._reranked(way.rerank, key, order[: way.read]), order[way.read :]])
        ranked = dict.fromkeys(heard.sources[place] for place in order.tolist())
        return {source: -float(place) for place, source in enumerate(ranked)}

    def _reranked(self, model: str, key: str, order: NDArray[np.int64]) -> NDArray[np.int64]:
        heard = self.heard[key]
        unread = [place for place in order.tolist() if (model, key, place) not in self._read]
        if unread:
            scores = self.rerankers[model].score(heard.query, self._texts(heard.found.ids[unread]))
            self._read |= {(model, key, place): float(score) for place, score in zip(unread, scores, strict=True)}
        given = np.array([self._read[model, key, place] for place in order.tolist()])
        return order[np.argsort(-given, kind="stable")]

    def _texts(self, ids: Ids) -> list[str]:
        """What a reranker reads of chunks, one each: nothing of one that is gone by now."""
        found = {passage.id: passage for passage in self.index.store.fetch(ids)}
        return [
            Chunk(found[chunk].text, found[chunk].locator).embedded_text if chunk in found else ""
            for chunk in ids.tolist()
        ]


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
