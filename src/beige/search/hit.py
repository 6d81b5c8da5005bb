"""What a search gives back."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from beige.documents.chunk import Fields, Locator

Span = tuple[int, int]
"""First character of a stretch of a text, and one past its last."""


@dataclass(frozen=True, slots=True)
class Matched:
    """A word of the query that a sparse leg found in a hit.

    Attributes:
        word: as the query writes it; of a model's vocabulary, the token.
        share: its part of the leg's score; the shares of a leg sum to 1.
    """

    word: str
    share: float


@dataclass(frozen=True, slots=True)
class LegScore:
    """What one leg says of a hit.

    Attributes:
        rank: place in the leg's own results, from 1; None where the leg did not find it and was asked for its score.
        score: the leg's own score: the cosine of a dense leg, BM25 of `bm25`, the sum over shared tokens of another
            sparse leg, the mean of maxima of a multi leg.
        words: of a sparse leg, what it found, by falling share; only where an explanation was asked for.
        weight: the leg's part of all legs' weights in the fusion, from 0 to 1.
        trust: how much that is of its usual weight: less than 1 where its model was not made for the language that is
            asked in, and no weights were given.
    """

    rank: int | None
    score: float
    words: tuple[Matched, ...] = ()
    weight: float = 1.0
    trust: float = 1.0


@dataclass(frozen=True, slots=True)
class Reranked:
    """What the reranker says of a hit; both None where it was not read: beyond the depth, or not in time.

    Attributes:
        rank: place among the hits that were read, from 1.
        score: the reranker's raw score.
    """

    rank: int | None = None
    score: float | None = None


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence of a hit that says why it was found.

    Attributes:
        start: its first character in the hit's text.
        end: one past its last.
        document_start: its first character in the document's text, as in a `Locator`.
        document_end: one past its last.
    """

    start: int
    end: int
    document_start: int
    document_end: int


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage that answers a query: a chunk, or several neighbouring ones where they were joined.

    Attributes:
        score: the fused score, higher is better; of a single leg, that leg's own. A reranker and diversity change the
            order of hits and leave it as it is.
        source: the document's name.
        locator: where the passage stands in the document.
        text: the passage.
        media: what kind of document it is.
        legs: rank and score in each leg that was searched; a multi leg only where it was asked of the hit.
        rank: place in the fused order of all candidates that are relevant enough, from 1.
        relevance: how likely it has to do with the query, from 0 to 1; None where it cannot be told from the legs that
            were searched. See `beige.search.relevance`.
        reranked: what the reranker says; None where none was asked for.
        highlights: where the query's words stand in `text`, in reading order, not overlapping.
        sentences: those that say why it was found, in reading order; only where an explanation was asked for.
        fields: the document's own fields.
        chunks: how many chunks the passage was joined of; what is said of ranks and scores is the best one's.
        others: where hits are grouped, the further ones of the same document, best first.
        given: whether the source is a name that a text was given, and no file's.
    """

    score: float
    source: str
    locator: Locator
    text: str
    media: str
    legs: Mapping[str, LegScore]
    rank: int
    relevance: float | None
    reranked: Reranked | None = None
    highlights: tuple[Span, ...] = ()
    sentences: tuple[Sentence, ...] = ()
    fields: Fields = field(default_factory=dict)
    chunks: int = 1
    others: tuple["Hit", ...] = ()
    given: bool = False


@dataclass(frozen=True, slots=True)
class Results:
    """The answer to a search.

    Attributes:
        hits: best first.
        read: how many candidates the reranker read.
        late: how many more it was to read and did not, for want of time.
        irrelevant: how many candidates were left out because their relevance is below the least that was asked for.
        best_relevance: the highest of all candidates; None where there are none, or it cannot be told.
        facets: of each field whose values were to be counted, how many documents have each value; the most frequent
            first.
    """

    hits: tuple[Hit, ...]
    read: int = 0
    late: int = 0
    irrelevant: int = 0
    best_relevance: float | None = None
    facets: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    @property
    def nothing_relevant(self) -> bool:
        """Whether there are no hits only because none is relevant enough."""
        return not self.hits and self.irrelevant > 0
