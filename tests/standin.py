"""An embedder without an engine: what indexing and searching need of one, in microseconds."""

import re
import zlib
from collections.abc import Sequence

import numpy as np

from beige.models.checkpoint import Checkpoint
from beige.values import Embeddings, Output, Sparse


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

    def encode_document(self, texts: Sequence[str], outputs: tuple[Output, ...] = ("dense",)) -> Embeddings:
        self.texts += texts
        return self._encode(texts, outputs)

    def encode_query(self, texts: str | Sequence[str], outputs: tuple[Output, ...] = ("dense",)) -> Embeddings:
        if isinstance(texts, str):
            return self._encode([texts], outputs)[0]
        return self._encode(texts, outputs)

    def _encode(self, texts: Sequence[str], outputs: tuple[Output, ...]) -> Embeddings:
        words = [re.findall(r"\w+", text.lower()) for text in texts]
        counts = np.array([len(found) + 2 for found in words], np.int32)
        return Embeddings(
            np.stack([self._dense(found) for found in words]) if "dense" in outputs else None,
            tuple(self._sparse(found) for found in words) if "sparse" in outputs else None,
            tuple(self._multi(found) for found in words) if "multi" in outputs else None,
            counts,
            counts > self.checkpoint.max_tokens,
        )

    def _dense(self, words: Sequence[str]) -> np.ndarray:
        vector = np.sum([self._direction(word) for word in ["", *words]], axis=0)
        return (vector / np.linalg.norm(vector)).astype(np.float32)

    def _sparse(self, words: Sequence[str]) -> Sparse:
        ids, counts = np.unique([zlib.crc32(word.encode()) % 30_000 for word in words], return_counts=True)
        return Sparse(ids.astype(np.uint32), np.sqrt(counts).astype(np.float32))

    def _multi(self, words: Sequence[str]) -> np.ndarray:
        vectors = np.stack([self._direction(word) for word in [*words, ""]])
        return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)

    def _direction(self, word: str) -> np.ndarray:
        return np.random.default_rng(zlib.crc32(word.encode())).standard_normal(self.checkpoint.dimension)
