"""What a leg weighs whose model was not made for the language that is asked in.

Such a model goes by names, numbers and letters. What it finds is then between good, in a language near to its own, and
noise, and the query's own scores tell which: among noise the best stands some two or three standard deviations above
the mean of all, a real find four and more. docs/decisions/fusion.md has the figures.
"""

from collections.abc import Collection

import numpy as np

from beige.language import detect
from beige.models.card import ModelCard
from beige.values import Floats

FIFTH = 0.2
"""Of its usual weight, what a stranger has at most; the smallest part is a tenth of that."""

SAMPLE = 512
"""Chunks by which a spread is measured: it is then right within some 3 %."""

NOISE = 3.0
"""Standard deviations up to which the best of a leg may be noise; one more, and it is none."""


def asked_in(query: str, documents: Collection[str]) -> frozenset[str]:
    """The languages that a query may be in, ISO 639-1: its own where some document is in it, else those of documents.

    Args:
        query: what is asked.
        documents: the languages that documents have.
    """
    told = detect(query)
    return frozenset({told} if told in documents else documents)


def is_stranger(card: ModelCard | None, asked: Collection[str]) -> bool:
    """Whether a model was made for none of these languages; of one without a card, nobody knows.

    Args:
        card: the model's; None where it has none.
        asked: languages, ISO 639-1; none where they are not known.
    """
    return card is not None and bool(asked) and not any(map(card.reads, asked))


def trust(best: float, floor: float, spread: float) -> float:
    """What part of its usual weight a stranger's dense leg has.

    Args:
        best: the highest score of the query.
        floor: the mean of its scores with all chunks.
        spread: their standard deviation.
    """
    beyond = (best - floor) / spread - NOISE if spread > 0 else 0.0
    return FIFTH * min(max(beyond, 0.1), 1.0)


def spread_of(sample: Floats, query: Floats, floor: float) -> float:
    """How far a query's scores lie from their mean, as root mean square over a sample.

    Args:
        sample: vectors, (n, d).
        query: (d,).
        floor: the mean of its scores with all vectors.
    """
    if not len(sample):
        return 0.0
    return float(np.sqrt(np.mean((np.vecdot(sample, query) - np.float32(floor)) ** 2)))
