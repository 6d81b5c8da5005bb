"""An embedder without an engine: what indexing and searching need of one, in microseconds."""

import re
import zlib
from collections.abc import Sequence

import numpy as np

from beige.models.checkpoint import Checkpoint
from beige.values import Embeddings


class StandIn:
    """Words hashed to random directions, summed: texts that share words are similar, as with a real model.

    Attributes:
        texts: every text that was embedded as a document, in order.
    """

    precision = "fp32"

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.checkpoint = checkpoint
        self.fingerprint = checkpoint.fingerprint
        self.texts: list[str] = []

    def encode_document(self, texts: Sequence[str]) -> Embeddings:
        self.texts += texts
        return self._encode(texts)

    def encode_query(self, texts: str | Sequence[str]) -> Embeddings:
        if isinstance(texts, str):
            return self._encode([texts])[0]
        return self._encode(texts)

    def _encode(self, texts: Sequence[str]) -> Embeddings:
        words = [re.findall(r"\w+", text.lower()) for text in texts]
        dense = np.stack([np.sum([self._direction(w) for w in ["", *found]], axis=0) for found in words])
        dense /= np.linalg.norm(dense, axis=1, keepdims=True)
        counts = np.array([len(found) + 2 for found in words], np.int32)
        return Embeddings(dense.astype(np.float32), None, None, counts, counts > self.checkpoint.max_tokens)

    def _direction(self, word: str) -> np.ndarray:
        return np.random.default_rng(zlib.crc32(word.encode())).standard_normal(self.checkpoint.dimension)
