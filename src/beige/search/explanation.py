"""Why a passage was found: the words that each leg matched, where they stand, and the sentences that hold them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from beige.analyser import Word
from beige.index import Index
from beige.index.manifest import Leg
from beige.index.store import Vector
from beige.search.folding import Bundle
from beige.search.highlight import joined
from beige.search.hit import Matched, Sentence, Span
from beige.search.request import Request
from beige.search.retrieval import Candidates
from beige.search.sentences import split, telling
from beige.values import Floats, Sparse

if TYPE_CHECKING:
    from beige.embedder import Embedder

MARKED = 0.1
"""A word of the query is marked if its IDF is at least this share of the highest: "the" and "of" are not."""

BY_MEANING = 20
"""The most hits that share no word with the query and get their nearest sentence: it has to be embedded."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """What is said of a passage beside its scores; words and sentences only where they were asked for."""

    highlights: tuple[Span, ...]
    words: Mapping[str, tuple[Matched, ...]] = field(default_factory=dict)
    sentences: tuple[Sentence, ...] = ()


class Explainer:
    """Explains the hits of an index; safe to use from several threads.

    Args:
        index: whose hits.
        embedder_of: gives the embedder for a model of the index.
    """

    def __init__(self, index: Index, embedder_of: "Callable[[str], Embedder]") -> None:
        self._index = index
        self._embedder_of = embedder_of

    def explain(self, request: Request, found: Candidates, bundles: Sequence[Bundle]) -> Mapping[int, Explanation]:
        """Each passage's explanation, by the id of its best chunk."""
        asked = self._index.analyser.query(request.query)
        idf = dict(zip(asked.ids.tolist(), self._idf(asked).tolist(), strict=True))
        marks = self._marks([bundle.passage.text for bundle in bundles], idf)
        highlights = [joined((word.start, word.end) for word in words) for words in marks]
        best = [bundle.best.id for bundle in bundles]
        if not request.explain:
            return {chunk: Explanation(spans) for chunk, spans in zip(best, highlights, strict=True)}
        words = self._words(request.query, found, best)
        sentences = self._sentences(found, bundles, marks, idf)
        return {
            chunk: Explanation(spans, {leg: said[chunk] for leg, said in words.items() if chunk in said}, chosen)
            for chunk, spans, chosen in zip(best, highlights, sentences, strict=True)
        }

    def _idf(self, asked: Sparse) -> Floats:
        """How rare each of a query's words is, (k,); all alike in an index that does not look for words."""
        words = self._index.manifest.legs_of(None)
        return self._index.store.idf(words[0].name, asked) if words else np.ones(len(asked), np.float32)

    def _marks(self, texts: Sequence[str], idf: Mapping[int, float]) -> list[list[Word]]:
        """The query's words in each text, without those that stand in almost every chunk."""
        found = [self._index.analyser.words(text, idf) for text in texts]
        enough = MARKED * max((idf[word.id] for words in found for word in words), default=0.0)
        return [[word for word in words if idf[word.id] >= enough] for words in found]

    def _words(self, query: str, found: Candidates, chunks: Sequence[int]) -> dict[str, dict[int, tuple[Matched, ...]]]:
        """What each sparse leg matched in each of these chunks."""
        said = {}
        for leg, asked in found.queries.items():
            if isinstance(asked, Sparse):
                names = self._names(query, leg, asked)
                idf = self._index.store.idf(leg, asked)
                vectors = self._index.store.vectors(leg, np.array(chunks, np.int64))
                said[leg] = {
                    chunk: matched(asked, idf, vector, names)
                    for chunk, vector in vectors.items()
                    if isinstance(vector, Sparse)
                }
        return said

    def _names(self, query: str, leg: str, asked: Sparse) -> dict[int, str]:
        """What a query's ids stand for: its words as it writes them first, or the tokens of the leg's model."""
        model = self._index.manifest.leg(leg).encoder
        if model is not None:
            falling = Sparse(asked.ids, np.arange(len(asked), 0, -1, dtype=np.float32))  # words come by falling weight
            return dict(zip(asked.ids.tolist(), self._embedder_of(model).words(falling), strict=True))
        return self._index.analyser.spelled(query)

    def _sentences(
        self,
        found: Candidates,
        bundles: Sequence[Bundle],
        marks: Sequence[Sequence[Word]],
        idf: Mapping[int, float],
    ) -> list[tuple[Sentence, ...]]:
        """Each passage's telling sentences: those with the query's words, else the one that is nearest in meaning."""
        texts = [bundle.passage.text for bundle in bundles]
        spans = [split(text) for text in texts]
        chosen = [telling(each, words, idf) for each, words in zip(spans, marks, strict=True)]
        asked = (leg for leg in self._index.manifest.legs if leg.name in found.queries)
        dense = next((leg for leg in asked if leg.kind == "dense"), None)
        if dense is not None:
            silent = [place for place, each in enumerate(chosen) if not each and spans[place]][:BY_MEANING]
            passages = [(texts[place], spans[place]) for place in silent]
            nearest = self._nearest(dense, found.queries[dense.name], passages)
            for place, span in zip(silent, nearest, strict=True):
                chosen[place] = [span]
        return [
            tuple(_sentence(span, bundle.passage.locator.start) for span in each)
            for bundle, each in zip(bundles, chosen, strict=True)
        ]

    def _nearest(self, leg: Leg, query: Vector, passages: Sequence[tuple[str, Sequence[Span]]]) -> list[Span]:
        """Of each passage, the sentence whose vector has the highest cosine with the query's."""
        if not passages:
            return []
        assert leg.encoder is not None
        assert not isinstance(query, Sparse)
        embedder = self._embedder_of(leg.encoder)
        vectors = embedder.encode_document([text[start:end] for text, spans in passages for start, end in spans]).dense
        assert vectors is not None
        cosines = np.split(vectors @ query, np.cumsum([len(spans) for _, spans in passages])[:-1])
        return [spans[int(np.argmax(one))] for (_, spans), one in zip(passages, cosines, strict=True)]


def _sentence(span: Span, start: int) -> Sentence:
    return Sentence(*span, start + span[0], start + span[1])


def matched(query: Sparse, idf: Floats, passage: Sparse, names: Mapping[int, str]) -> tuple[Matched, ...]:
    """The ids that query and passage share, with each one's share of the score, the largest first.

    The score is the sum over them of the query's weight, the passage's weight and the IDF, multiplied.

    Args:
        query: k ids.
        idf: what each of the query's weights is multiplied by, (k,).
        passage: the chunk's vector.
        names: the query's ids as a person reads them; one that has none is left out, such as that of a language that
            has no documents any more.
    """
    _, mine, theirs = np.intersect1d(query.ids, passage.ids, assume_unique=True, return_indices=True)
    parts = query.weights[mine].astype(np.float64) * idf[mine] * passage.weights[theirs]  # (shared,)
    total = parts.sum()
    order = np.argsort(-parts, kind="stable").tolist()
    shares = ((int(query.ids[mine[n]]), float(parts[n] / total)) for n in order)
    return tuple(Matched(names[id], share) for id, share in shares if id in names)
