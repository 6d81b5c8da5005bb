"""An index's background: how similar a query and a chunk are that have nothing to do with each other.

Cosines of BGE's vectors bunch far above 0, differently for each model and collection; fusion and calibration scale
from here.
"""

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from beige.values import Floats

if TYPE_CHECKING:
    from beige.embedder import Embedder

CHUNKS = 256
QUERIES = 64


class Sample:
    """A uniform sample of the chunks that passed by, of bounded size (Vitter's algorithm R), the same in every run."""

    def __init__(self, size: int = CHUNKS) -> None:
        self._size = size
        self._random = random.Random(0)
        self._seen = 0
        self._kept: list[tuple[str, Floats]] = []

    def add(self, text: str, vector: Floats) -> None:
        """Offer a chunk: what was embedded, and its vector (d,)."""
        self._seen += 1
        if len(self._kept) < self._size:
            self._kept.append((text, vector))
        elif (place := self._random.randrange(self._seen)) < self._size:
            self._kept[place] = (text, vector)

    def background(self, embedder: "Embedder") -> float | None:
        """The mean cosine of one sentence of a chunk, as a query, with the other chunks; None of fewer than two."""
        if len(self._kept) < 2:
            return None
        asked = self._random.sample(range(len(self._kept)), min(QUERIES, len(self._kept)))
        queries = embedder.encode_query([self._sentence(self._kept[place][0]) for place in asked]).dense  # (q, d)
        assert queries is not None
        cosines = queries @ np.stack([vector for _, vector in self._kept]).T  # (q, n)
        own = np.zeros_like(cosines, dtype=bool)
        own[np.arange(len(asked)), asked] = True
        return float(cosines[~own].mean())

    def _sentence(self, text: str) -> str:
        from sentencex import segment

        sentences: Sequence[str] = [s for s in segment("en", text[:2000]) if not s.isspace()]
        return self._random.choice(sentences) if sentences else text
