"""A corpus of any size: chunks of real sentences, with vectors in clusters within clusters as real ones are.

Block n is the same whoever makes it, so that a chunk can be written again with the vector that it had.
"""

import gzip
import json
import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from beige.analyser import Analyser, saturation
from beige.documents.chunk import Chunk, Document, Locator
from beige.evaluate.data import Record, read_retrieval
from beige.index.manifest import Encoder, Leg, Manifest
from beige.index.store import Entry, Vectors
from beige.values import Floats, Sparse

DIMENSION = 384
CHUNKS = 8
"""Of a document."""

BLOCK = 512
"""Documents that are made together."""

SENTENCES = 6
"""Of a chunk: some 130 words."""

FINGERPRINT = "5" * 64

_LANGUAGE = "english"
_TOPICS, _SUBJECTS = 64, 64


class Space:
    """Unit vectors around a common direction: topics, subjects within them, and texts around their subject.

    Directions differ in their variance as those of embeddings do, which is what makes a graph's life neither easy (few
    dimensions matter) nor impossible (all do).
    """

    def __init__(self) -> None:
        rng = np.random.default_rng(1)
        spread = (1 + np.arange(DIMENSION)) ** -0.4
        self._spread = spread / np.linalg.norm(spread)
        self._turn = np.linalg.qr(rng.standard_normal((DIMENSION, DIMENSION)))[0]
        topics = self._draw(rng, _TOPICS)
        self._centres = 0.8 * topics[:, None] + 0.5 * self._draw(rng, _TOPICS * _SUBJECTS).reshape(
            _TOPICS, _SUBJECTS, DIMENSION
        )
        self._common = 1.0 * self._turn[0]

    def vectors(self, rng: np.random.Generator, count: int) -> Floats:
        """Some texts' vectors, (count, 384)."""
        centres = self._centres[rng.integers(0, _TOPICS, count), rng.integers(0, _SUBJECTS, count)]
        vectors = self._common + centres + 0.6 * self._draw(rng, count)
        unit: Floats = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
        return unit

    def _draw(self, rng: np.random.Generator, count: int) -> NDArray[np.float64]:
        drawn: NDArray[np.float64] = (rng.standard_normal((count, DIMENSION)) * self._spread) @ self._turn.T
        return drawn


class Corpus:
    """The chunks.

    Args:
        data: the folder of the data sets.
    """

    def __init__(self, data: Path) -> None:
        self._data = data
        self._space = Space()
        self._analyser = Analyser(_LANGUAGE)

    @cached_property
    def sentences(self) -> Sequence[str]:
        """Every sentence of the English data sets."""
        texts = [one.whole for name in ("scifact", "cranfield", "xquad_r-en") for one in self._task(name)]
        with gzip.open(self._data / "train" / "medquad-pairs.jsonl.gz", "rt", encoding="utf-8") as lines:
            texts += [
                " ".join(value for value in json.loads(line).values() if isinstance(value, str)) for line in lines
            ]
        found = (s.strip() for text in texts for s in re.split(r"(?<=[.?!])\s+", text))
        return sorted({s for s in found if 40 <= len(s) <= 400})

    def queries(self, count: int) -> tuple[list[str], Floats]:
        """Questions that people asked, and vectors of texts that are not in the corpus, (count, 384)."""
        texts = [
            text
            for name in ("scifact", "cranfield", "xquad_r-en")
            for text in read_retrieval(self._data / "retrieval" / name).queries.values()
        ]
        chosen = np.random.default_rng(2).permutation(len(texts))[:count]
        return [texts[n] for n in chosen], self._space.vectors(np.random.default_rng(3), count)

    def manifest(self) -> Manifest:
        """Of an index of it."""
        return Manifest(
            encoders=(Encoder("synthetic", FINGERPRINT, "fp32", "{}", "{}"),),
            legs=(Leg("dense", "dense", DIMENSION, encoder="synthetic"), Leg("bm25", "sparse", idf=True)),
            chunk_tokens=256,
            analyser=self._analyser.name,
            average_length=130.0,
        )

    def block(self, number: int) -> list[Entry]:
        """`BLOCK` documents of `CHUNKS` chunks."""
        rng = np.random.default_rng((7, number))
        vectors = self._space.vectors(rng, BLOCK * CHUNKS).reshape(BLOCK, CHUNKS, DIMENSION)
        chosen = rng.integers(0, len(self.sentences), (BLOCK, CHUNKS, SENTENCES))
        return [self._entry(BLOCK * number + n, chosen[n], vectors[n]) for n in range(BLOCK)]

    def scifact(self) -> tuple[list[Entry], list[str], Floats]:
        """SciFact's documents in chunks of 120 words, with vectors as the others have; its queries, and vectors."""
        task, rng = read_retrieval(self._data / "retrieval" / "scifact"), np.random.default_rng(4)
        entries = []
        for number, (name, record) in enumerate(task.documents.items()):
            words = record.whole.split()
            texts = [" ".join(words[start : start + 120]) for start in range(0, len(words), 120)]
            chunks = tuple(Chunk(text, Locator(0, len(text), 1, 1)) for text in texts)
            vectors: dict[str, Vectors] = {
                "dense": self._space.vectors(rng, len(texts)),
                "bm25": tuple(self._analyser.document(text, 110.0) for text in texts),
            }
            entries.append(Entry(Document(f"{name}.txt", chunks, f"{number:064x}", 1, 1.0, "text"), vectors))
        queries = list(task.queries.values())
        return entries, queries, self._space.vectors(rng, len(queries))

    def _entry(self, number: int, chosen: NDArray[np.int64], vectors: Floats) -> Entry:
        texts = [" ".join(self.sentences[n] for n in row) for row in chosen]
        ends = np.cumsum([len(text) + 2 for text in texts]).tolist()
        chunks = tuple(
            Chunk(text, Locator(end - len(text) - 2, end - 2, n + 1, n + 1, None, ()))
            for n, (text, end) in enumerate(zip(texts, ends, strict=True))
        )
        document = Document(
            source=f"{number % 97:02}/{number:07}.txt",
            chunks=chunks,
            digest=f"{number:064x}",
            size=ends[-1],
            modified=1.0,
            media="text",
        )
        return Entry(document, {"dense": vectors, "bm25": tuple(self._words(row) for row in chosen)})

    def _words(self, chosen: NDArray[np.int64]) -> Sparse:
        """What the analyser makes of these sentences, each of which is analysed once."""
        ids, places = np.unique(np.concatenate([self._counted[n][0] for n in chosen]), return_inverse=True)
        counts = np.bincount(places, np.concatenate([self._counted[n][1] for n in chosen])).astype(np.float32)
        return Sparse(ids, saturation(counts, int(counts.sum()), 130.0))

    @cached_property
    def _counted(self) -> list[tuple[NDArray[np.uint32], NDArray[np.float64]]]:
        counted = []
        for sentence in self.sentences:
            counts = self._analyser.counts(sentence)
            counted.append((np.array(list(counts.keys()), np.uint32), np.array(list(counts.values()), np.float64)))
        return counted

    def _task(self, name: str) -> Iterator[Record]:
        return iter(read_retrieval(self._data / "retrieval" / name).documents.values())
