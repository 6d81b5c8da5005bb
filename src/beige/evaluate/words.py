"""BM25 over whole documents, by the product's own analyser, postings and formula, without an index between."""

from collections.abc import Sequence

import numpy as np

from beige.analyser import AUTO, AVERAGE_LENGTH, Analyser
from beige.index.codec import SparseRows
from beige.index.postings import Postings, inverse_document_frequency
from beige.language import detect
from beige.values import Floats


class Words:
    """The documents' words.

    Args:
        documents: n texts.
        language: of the words that are stemmed; by default each document's own, as in an index.

    Raises:
        UsageError: no stemmer for the language.
    """

    def __init__(self, documents: Sequence[str], language: str = AUTO) -> None:
        codes = [detect(text) if language == AUTO else "" for text in documents]
        present = tuple(sorted(set(codes) - {""}))
        self._analyser = Analyser(language, lambda: present)
        vectors = [
            self._analyser.document(text, AVERAGE_LENGTH, code) for text, code in zip(documents, codes, strict=True)
        ]
        self._postings = Postings.of(
            SparseRows(
                np.arange(len(documents), dtype=np.int64),
                np.array([len(vector) for vector in vectors], np.int64),
                np.concatenate([vector.ids for vector in vectors]),
                np.concatenate([vector.weights for vector in vectors]),
            )
        )
        self._alive = np.ones(len(documents), bool)

    def scores(self, text: str) -> Floats:
        """BM25 of every document for a query, (n,); 0 where they share no word."""
        query = self._analyser.query(text)
        idf = inverse_document_frequency(len(self._alive), self._postings.frequencies(query, self._alive))
        return self._postings.scores(query, query.weights * idf).astype(np.float32)
