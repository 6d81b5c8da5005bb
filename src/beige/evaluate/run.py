"""One system on one data set: what it ranks, how well, and what that costs.

Everything that is slow or paid for goes through the cache, so that a run that was broken off goes on where it stopped.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from beige.analyser import AUTO
from beige.errors import InputError, ModelNotFoundError, UsageError
from beige.evaluate.cache import Cache
from beige.evaluate.cost import Cost, percentiles
from beige.evaluate.data import Pairs, Retrieval
from beige.evaluate.encoder import Embedded, Encoder, Tell, embed
from beige.evaluate.local import Local, Sentences
from beige.evaluate.measures import Measure, Run, by_query, ranks
from beige.evaluate.prices import Budget, Prices, prices
from beige.evaluate.ranking import DEPTH, Dense, Legs, Places, Ranking
from beige.evaluate.remote import PROVIDERS, Remote
from beige.evaluate.rerank import Remembering, reranking
from beige.evaluate.significance import Comparison, Interval, bootstrap, compare, shares
from beige.evaluate.systems import Model, System
from beige.evaluate.variants import STORAGES, shortened
from beige.evaluate.words import Words
from beige.index.place import Server
from beige.language import detect
from beige.models.catalogue import find_card
from beige.search.strangers import asked_in, is_stranger

if TYPE_CHECKING:
    from beige.search.any_index import AnyIndex

PASSAGES = 500
"""Passages that an index is searched for, the best of each document being the document's; fewer than 100 may remain."""

RETRIEVAL_MEASURES = ("nDCG@10", "R@100", "RR@10")
CORRELATIONS = ("Spearman", "Pearson")

Report = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done, and of how much."""


@dataclass(frozen=True, eq=False)
class Result:
    """A system's result.

    Attributes:
        system: what was measured.
        figures: by measure and query, or pair by its place from 0; the mean is the measure's figure.
        ranked: scores of the best documents by query; empty for pairs.
        cost: beside it.
        remarks: what one should know of it, one sentence each.
    """

    system: System
    figures: Mapping[str, Mapping[str, float]]
    ranked: Run
    cost: Cost
    remarks: tuple[str, ...] = ()

    def mean(self, measure: str) -> float:
        """The measure's figure."""
        return float(np.mean(list(self.figures[measure].values())))

    @cached_property
    def intervals(self) -> Mapping[str, Interval]:
        """Where each figure lies, were the queries drawn anew."""
        rows = np.array([list(figures.values()) for figures in self.figures.values()], np.float64)  # (measures, n)
        return dict(zip(self.figures, bootstrap(rows), strict=True))


@dataclass(frozen=True)
class Settings:
    """What a run may use.

    Attributes:
        cache: of vectors and scores.
        prices: what providers ask.
        budget: what may be spent.
        language: of the words that BM25 stems; by default each document's own.
        index: whose own vectors the system `dense` means; None without one.
        tell: told of the progress.
    """

    cache: Cache
    prices: Prices = field(default_factory=prices)
    budget: Budget = field(default_factory=Budget)
    language: str = AUTO
    index: "AnyIndex | None" = None
    tell: Report = lambda doing, done, total: None


def measures_of(data: Retrieval | Pairs, names: Sequence[str]) -> tuple[str, ...]:
    """The measures to take, by name; what the data is usually measured by for none.

    Raises:
        UsageError: no such measure, or one that is not of this kind of data.
    """
    if isinstance(data, Pairs):
        unknown = [name for name in names if name not in CORRELATIONS]
        if unknown:
            raise UsageError(f"{unknown[0]!r} is no measure of pairs: there are {', '.join(CORRELATIONS)}")
        return tuple(dict.fromkeys(names)) or CORRELATIONS
    if wrong := [name for name in names if name in CORRELATIONS]:
        raise UsageError(f"{wrong[0]} is a measure of pairs of sentences, and {data.name} has queries and documents")
    return tuple(dict.fromkeys(str(Measure.parse(name)) for name in names)) or RETRIEVAL_MEASURES


def run(system: System, data: Retrieval | Pairs, measures: Sequence[str], settings: Settings) -> Result:
    """Measure a system.

    Args:
        system: what.
        data: on what.
        measures: of `measures_of`.
        settings: with what.

    Raises:
        UsageError: the system cannot do what the data asks for.
        BeigeError: whatever its model, provider or reranker says.
    """
    with ExitStack() as stack:
        if isinstance(data, Pairs):
            return _pairs(system, data, measures, settings, stack)
        wanted = [Measure.parse(name) for name in measures]
        if settings.index is not None and _own(system):
            outcome = _searched(system, data, settings.index, settings)
        else:
            depth = max(DEPTH, *(measure.cutoff or 0 for measure in wanted))
            outcome = _ranked(system, data, depth, settings, stack)
        return _measured(system, data, wanted, outcome)


def rankings(system: System, data: Retrieval, settings: Settings) -> Run:
    """What a system finds, without judgements to measure it by.

    Raises:
        BeigeError: whatever its model, provider or reranker says.
    """
    with ExitStack() as stack:
        return _ranked(system, data, DEPTH, settings, stack).found


def comparisons(results: Iterable[Result], measures: Sequence[str]) -> list[Comparison]:
    """Every pair of systems on every measure."""
    results = list(results)
    return [
        comparison
        for measure in measures
        for comparison in compare(measure, {result.system.name: result.figures[measure] for result in results})
    ]


def searched_elsewhere(system: System, settings: Settings) -> bool:
    """Whether a server searches for the system, with its own models and rerankers."""
    return settings.index is not None and isinstance(settings.index.place, Server) and _own(system)


def open_encoder(model: Model, settings: Settings, stack: ExitStack) -> Encoder:
    """Whoever runs the model.

    Args:
        model: of any runner but the index's own.
        settings: for prices and budget.
        stack: closes what was opened.

    Raises:
        UsageError: the model is the index's own.
        RemoteError: a provider's key is missing.
    """
    if model.runner in PROVIDERS:
        remote = Remote(model, settings.prices, settings.budget)
        stack.callback(remote.close)
        return remote
    if model.runner == "index":
        raise UsageError(
            "the system 'dense' means an index's own vectors as it keeps them: it goes with --index, and without "
            "vectors= and dimensions=; or name a model"
        )
    return Sentences(model) if model.runner == "st" else Local(model)


@dataclass(frozen=True, eq=False)
class _Outcome:
    """What a system found, before it is measured."""

    found: Run
    cost: Cost
    remarks: tuple[str, ...] = ()


def _ranked(system: System, data: Retrieval, depth: int, settings: Settings, stack: ExitStack) -> _Outcome:
    texts = list(data.queries.values())
    documents = [record.whole for record in data.documents.values()]
    latency = np.zeros(len(texts))
    cost, remarks, dense = Cost(), [], None
    if system.model is not None:
        encoder = open_encoder(system.model, settings, stack)
        passages = embed(encoder, documents, "document", settings.cache, _tell(settings, system, "documents"))
        queries = embed(encoder, texts, "query", settings.cache, _tell(settings, system, "queries"))
        latency = queries.latencies
        cost = _cost(settings.prices.of(system.model), passages, queries)
        remarks += _cut(system.model, passages)
        kept = STORAGES[system.vectors](shortened(passages.vectors, system.dimensions))
        cost = replace(cost, dimensions=kept.vectors.shape[1], bytes_per_vector=kept.bytes, precision=encoder.precision)
        strange = _strange(system.model, texts, documents) if system.words else None
        dense = Dense(kept, shortened(queries.vectors, system.dimensions), strange)
    words = _words(tuple(documents), settings.language) if system.words else None
    reader = None if system.rerank is None else Remembering(system.rerank, settings.cache)
    legs = Legs(dense, words, system.fusion, None if reader is None else reranking(reader, documents), depth)
    places = {key: place for place, key in enumerate(data.documents)}
    only = [_places(data.candidates.get(query), places) for query in data.queries]
    keys = list(data.documents)
    found: dict[str, dict[str, float]] = {}
    seconds = np.zeros(len(texts))
    for number, (query, ranking) in enumerate(zip(data.queries, legs.rank(texts, only), strict=True)):
        found[query] = _named(ranking, keys, data.sources)
        seconds[number] = ranking.seconds
        settings.tell(f"{system.name}: searches", number + 1, len(texts))
    return _Outcome(found, _with_latency(cost, latency + seconds), tuple(remarks))


def _strange(model: Model, queries: Sequence[str], documents: Sequence[str]) -> NDArray[np.bool_]:
    """Which queries are in a language that a model was not made for, (q,), as in an index of the documents."""
    try:
        card = find_card(model.name)
    except ModelNotFoundError:
        return np.zeros(len(queries), bool)
    present = _languages(tuple(documents))
    return np.array([is_stranger(card, asked_in(query, present)) for query in queries], bool)


@lru_cache(maxsize=1)
def _languages(documents: tuple[str, ...]) -> frozenset[str]:
    """The languages of the last data set, which several systems share."""
    return frozenset(map(detect, documents)) - {""}


@lru_cache(maxsize=1)
def _words(documents: tuple[str, ...], language: str) -> Words:
    """The words of the last data set, which several systems share."""
    return Words(documents, language)


def _searched(system: System, data: Retrieval, index: "AnyIndex", settings: Settings) -> _Outcome:
    """The index's own legs, by the search that users get; a server reads with its own rerankers."""
    legs = [leg for leg, wanted in (("dense", system.dense), ("bm25", system.words)) if wanted]
    elsewhere = searched_elsewhere(system, settings)
    reader = None if system.rerank is None or elsewhere else Remembering(system.rerank, settings.cache)
    reranker = system.rerank if elsewhere else reader
    found: dict[str, dict[str, float]] = {}
    seconds = np.zeros(len(data.queries))
    for number, (query, text) in enumerate(data.queries.items()):
        started = time.perf_counter()
        hits = index.search(text, PASSAGES, reranker=reranker, legs=legs, fusion=system.fusion)
        seconds[number] = time.perf_counter() - started - (0.0 if reader is None else reader.late)
        # The order is what a user sees; after a reranker it is not that of the fused scores.
        sources = dict.fromkeys(hit.source for hit in hits)
        found[query] = {source: float(len(sources) - place) for place, source in enumerate(sources)}
        settings.tell(f"{system.name}: searches", number + 1, len(data.queries))
    cost = Cost()
    if system.dense:
        made = index.status().manifest
        leg = made.leg("dense")
        assert leg.encoder is not None
        assert leg.dimension is not None
        precision = made.encoder(leg.encoder).precision
        cost = Cost(dimensions=leg.dimension, bytes_per_vector=2 * leg.dimension, precision=precision)  # float16
    measured = seconds[1:] if len(seconds) > 1 else seconds  # the first one waits for the model
    return _Outcome(found, _with_latency(cost, measured))


def _pairs(system: System, data: Pairs, measures: Sequence[str], settings: Settings, stack: ExitStack) -> Result:
    """Correlation of cosines with what people said; both sentences are embedded as documents."""
    if system.model is None or system.words or system.rerank is not None:
        raise UsageError(
            f"{data.name} holds pairs of sentences, which only a model alone can compare, not {system.name}"
        )
    encoder = open_encoder(system.model, settings, stack)
    tell = _tell(settings, system, "sentences")
    embedded = embed(encoder, [*data.first, *data.second], "document", settings.cache, tell)
    vectors = shortened(embedded.vectors, system.dimensions)
    kept = STORAGES[system.vectors](vectors)
    cosines = np.einsum("nd,nd->n", vectors[: len(data)], kept.vectors[len(data) :]).astype(np.float64)  # (n,)
    if np.ptp(cosines) < 1e-6:  # rounding alone
        raise InputError(f"{system.name} finds all pairs of {data.name} equally alike, so that nothing correlates")
    rows = {"Pearson": (cosines, data.scores), "Spearman": (ranks(cosines), ranks(data.scores))}
    figures = {
        measure: {str(place): float(share) for place, share in enumerate(shares(*rows[measure]))}
        for measure in measures
    }
    cost = replace(
        _cost(settings.prices.of(system.model), embedded),
        dimensions=vectors.shape[1],
        bytes_per_vector=kept.bytes,
        precision=encoder.precision,
    )
    return Result(system, figures, {}, cost, tuple(_cut(system.model, embedded)))


def _measured(system: System, data: Retrieval, measures: Sequence[Measure], outcome: _Outcome) -> Result:
    figures = by_query(data.judgements, outcome.found, measures)
    remarks = outcome.remarks
    silent = sum(not outcome.found[query] for query in data.queries)
    if silent:
        remarks = (*remarks, f"{silent} of {len(data.queries)} queries found nothing and score 0")
    rows = {str(measure): by for measure, by in figures.items()}
    return Result(system, rows, outcome.found, outcome.cost, remarks)


def _own(system: System) -> bool:
    """Whether an index's own search is meant: its vectors, its words, or both, as it keeps them; reranked or not."""
    plain = system.vectors == "float32" and system.dimensions is None
    return plain and (system.model is None or system.model.runner == "index")


def _named(ranking: Ranking, keys: Sequence[str], sources: Mapping[str, str]) -> dict[str, float]:
    """Scores by document, or by a passage's source, of which the best passage counts."""
    scores: dict[str, float] = {}
    for place, score in zip(ranking.places.tolist(), ranking.scores.tolist(), strict=True):
        scores.setdefault(sources.get(keys[place], keys[place]), score)
    return scores


def _places(candidates: Sequence[str] | None, places: Mapping[str, int]) -> Places | None:
    return None if candidates is None else np.array([places[key] for key in candidates], np.int64)


def _tell(settings: Settings, system: System, what: str) -> Tell:
    return lambda done, total: settings.tell(f"{system.name}: {what}", done, total)


def _cost(price: float | None, documents: Embedded, queries: Embedded | None = None) -> Cost:
    tokens = documents.tokens
    everything = tokens if queries is None or tokens is None else tokens + (queries.tokens or 0)
    return Cost(
        tokens=None if tokens is None else round(tokens),
        tokens_per_second=None if tokens is None or not documents.seconds else tokens / documents.seconds,
        dollars_per_million_tokens=price,
        dollars=None if price is None or everything is None else price * everything / 1e6,
    )


def _with_latency(cost: Cost, seconds: NDArray[np.float64]) -> Cost:
    p50, p95 = percentiles(seconds)
    return replace(cost, latency_p50_ms=p50, latency_p95_ms=p95)


def _cut(model: Model, documents: Embedded) -> list[str]:
    if documents.truncated:
        return [f"{documents.truncated} documents were cut to the length that {model.name} reads"]
    if documents.truncated is None and model.runner in PROVIDERS:
        return [f"{model.name} may have cut long documents: its provider does not say so"]
    return []
