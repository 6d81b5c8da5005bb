"""What is like a text or a stored passage, by the dense vectors of documents."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from beige.documents.chunk import Chunk
from beige.errors import InputError, UsageError
from beige.index import Index
from beige.index.expression import resolve
from beige.index.filter import Filter
from beige.index.manifest import Leg
from beige.index.store import Passage
from beige.index.vectors import of_chunk
from beige.values import Floats

BESIDE = 1000
"""The most chunks that are passed over since they are of the document itself."""


@dataclass(frozen=True, slots=True)
class Like:
    """A passage that is like another.

    Attributes:
        score: the cosine of their vectors.
        passage: it.
    """

    score: float
    passage: Passage

    def as_object(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "score": self.score,
            "source": self.passage.source,
            "locator": asdict(self.passage.locator),
            "text": self.passage.text,
        }


def like_text(index: Index, text: str, limit: int, where: Filter | str | None = None) -> list[Like]:
    """The passages that are most like a text, as another document would be.

    Args:
        index: where to look.
        text: read as a document; what the model does not read of it does not count.
        limit: the most passages.
        where: which may be found.

    Raises:
        UsageError: the index has no dense leg, or the filter cannot be read.
        InputError: the text is empty.
    """
    if not text.strip():
        raise InputError("the text is empty: say what is to be compared")
    leg = dense_leg(index)
    assert leg.encoder is not None
    (embedding,) = index.encoders.of(leg.encoder).encode_document([text], (leg.kind,))
    vector = of_chunk(leg, embedding)
    assert isinstance(vector, np.ndarray)
    return _nearest(index, leg, vector, limit, where)


def like_passage(index: Index, source: str, start: int, limit: int, where: Filter | str | None = None) -> list[Like]:
    """The passages of other documents that are most like a stored one.

    Args:
        index: where to look.
        source: the document of the passage.
        start: a character of the passage in its document, as in a hit's locator.
        limit: the most passages.
        where: which may be found.

    Raises:
        InputError: there is no such document, or no passage at that place.
        UsageError: as for `like_text`.
    """
    leg = dense_leg(index)
    chunk = passage_at(index, source, start)
    known = index.store.known(leg.name, [chunk.key])
    if chunk.key not in known:
        raise InputError(f"{source} has just changed: ask again")
    vector = known[chunk.key]
    assert isinstance(vector, np.ndarray)
    found = _nearest(index, leg, vector, min(limit + BESIDE, 2 * BESIDE), where)
    return [one for one in found if one.passage.source != source][:limit]


def passage_at(index: Index, source: str, start: int) -> Chunk:
    """The chunk of a document that holds a character, or the first one behind it.

    Raises:
        InputError: there is no such document, or no chunk there.
    """
    document = index.store.document(source)
    if document is None:
        raise InputError(f"the index has no document {source[:200]!r}")
    for chunk in document.chunks:
        if start < chunk.locator.end:
            return chunk
    raise InputError(f"{source} has no passage at character {start}")


def dense_leg(index: Index) -> Leg:
    """The leg whose vectors are compared.

    Raises:
        UsageError: the index has none.
    """
    for leg in index.manifest.legs:
        if leg.kind == "dense":
            return leg
    raise UsageError("the index has no dense vectors to compare: search it by words")


def _nearest(index: Index, leg: Leg, vector: Floats, limit: int, where: Filter | str | None) -> list[Like]:
    store = index.store
    found = store.top(leg.name, vector, limit, resolve(where, store.fields()))
    scores = dict(zip(found.ids.tolist(), found.scores.tolist(), strict=True))
    return [Like(scores[passage.id], passage) for passage in store.fetch(found.ids)]
