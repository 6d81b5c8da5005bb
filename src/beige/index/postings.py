"""Sparse legs: for each id, the chunks that have it and with what weight."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from beige.index.codec import SparseRows
from beige.index.store import Ids
from beige.index.view import Alive
from beige.values import Sparse

ENTRY = np.dtype([("row", "<i4"), ("weight", "<f4")])

_BLOCK = 1 << 20
"""Entries that a merge holds in memory at a time."""


@dataclass(frozen=True, eq=False)
class Postings:
    """Sparse vectors by id.

    Attributes:
        ids: chunks, int64, (n,), ascending; an entry's row is a place in it.
        terms: distinct ids of the sparse space, uint32, (t,), ascending.
        offsets: where each term's entries begin, int64, (t + 1,).
        entries: of `ENTRY`, (p,), by term and then row.
    """

    ids: Ids
    terms: NDArray[np.uint32]
    offsets: NDArray[np.int64]
    entries: NDArray[np.void]

    @classmethod
    def of(cls, rows: SparseRows) -> "Postings":
        """The postings of some chunks' vectors."""
        order = np.argsort(rows.terms, kind="stable")
        entries = np.empty(len(order), ENTRY)
        entries["row"] = np.repeat(np.arange(len(rows.ids), dtype=np.int32), rows.lengths)[order]
        entries["weight"] = rows.weights[order]
        terms, counts = np.unique(rows.terms, return_counts=True)
        return cls(rows.ids, terms, _offsets(counts), entries)

    def of_term(self, term: int) -> NDArray[np.void]:
        """The entries of one id of the sparse space."""
        place = int(np.searchsorted(self.terms, term))
        if place == len(self.terms) or self.terms[place] != term:
            return self.entries[:0]
        return self.entries[self.offsets[place] : self.offsets[place + 1]]

    def frequencies(self, query: Sparse, alive: Alive) -> NDArray[np.int64]:
        """How many living chunks have each of the query's ids: (k,)."""
        whole = bool(alive.all())
        found = [self.of_term(term)["row"] for term in query.ids]
        return np.array([len(rows) if whole else np.count_nonzero(alive[rows]) for rows in found], np.int64)

    def scores(self, query: Sparse, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Each chunk's score: (n,), summed in the order of the ids, so that it is the same wherever the chunk stands.

        Args:
            query: its ids; its weights are not looked at.
            weights: of the query's ids, with what they are to be multiplied by.
        """
        total = np.zeros(len(self.ids))
        for term, weight in zip(query.ids, weights, strict=True):
            entries = self.of_term(term)
            total[entries["row"]] += entries["weight"] * weight
        return total


def inverse_document_frequency(chunks: int, frequencies: NDArray[np.int64]) -> NDArray[np.float64]:
    """BM25's ln(1 + (N - df + 0.5) / (df + 0.5)), always above zero, as Lucene and Qdrant compute it."""
    return np.log1p((chunks - frequencies + 0.5) / (frequencies + 0.5))


def row_scores(rows: SparseRows, query: Sparse, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """The same scores as `Postings.scores`, from the vectors themselves: (n,)."""
    owner = np.repeat(np.arange(len(rows.ids)), rows.lengths)
    place = np.minimum(np.searchsorted(query.ids, rows.terms), max(len(query.ids) - 1, 0))
    shared = query.ids[place] == rows.terms if len(query.ids) else np.zeros(len(rows.terms), bool)
    products = rows.weights[shared] * weights[place[shared]]
    return np.bincount(owner[shared], products, len(rows.ids)).astype(np.float64)  # of no products, it counts in ints


class Merge:
    """Several postings as one, in blocks of bounded memory.

    Args:
        parts: with which of their chunks are alive; the ids ascend from part to part.

    Attributes:
        ids: the chunks that are alive, (n,), ascending.
    """

    def __init__(self, parts: Sequence[tuple[Postings, Alive]]) -> None:
        self._parts = parts
        self.ids = np.concatenate([part.ids[alive] for part, alive in parts])
        self._terms = np.unique(np.concatenate([part.terms for part, _ in parts]))
        self._counts = np.zeros(len(self._terms), np.int64)

    def blocks(self) -> Iterator[NDArray[np.void]]:
        """The entries, by term and then row."""
        rows = self._rows()
        for low, high in self._spans():
            found, owners = [], []
            for (part, alive), row in zip(self._parts, rows, strict=True):
                first = np.searchsorted(part.terms, self._terms[low])
                last = np.searchsorted(part.terms, self._terms[high - 1], "right")
                entries = part.entries[part.offsets[first] : part.offsets[last]]
                lengths = np.diff(part.offsets[first : last + 1])
                owner = np.repeat(np.searchsorted(self._terms, part.terms[first:last]) - low, lengths)
                living = alive[entries["row"]]
                kept = entries[living]
                kept["row"] = row[kept["row"]]
                found.append(kept)
                owners.append(owner[living])
            owner = np.concatenate(owners)
            self._counts[low:high] = np.bincount(owner, minlength=high - low)
            yield np.concatenate(found)[np.argsort(owner, kind="stable")]

    def directory(self) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
        """Terms and offsets, once the blocks are out; a term that only dead chunks had is gone."""
        used = self._counts > 0
        return self._terms[used], _offsets(self._counts[used])

    def _rows(self) -> list[NDArray[np.int32]]:
        """For each part, the new row of each of its living rows."""
        starts = np.cumsum([0, *(np.count_nonzero(alive) for _, alive in self._parts)])
        return [
            (np.cumsum(alive) - 1 + start).astype(np.int32)
            for (_, alive), start in zip(self._parts, starts, strict=False)
        ]

    def _spans(self) -> Iterator[tuple[int, int]]:
        """Ranges of terms with at most `_BLOCK` entries, or of one term that has more."""
        sizes = np.zeros(len(self._terms), np.int64)
        for part, _ in self._parts:
            sizes[np.searchsorted(self._terms, part.terms)] += np.diff(part.offsets)
        ends = np.cumsum(sizes)
        low = 0
        while low < len(ends):
            before = ends[low - 1] if low else 0
            high = max(low + 1, int(np.searchsorted(ends, before + _BLOCK, "right")))
            yield low, high
            low = high


def merged(parts: Sequence[tuple[Postings, Alive]]) -> Postings:
    """Several postings as one, in memory."""
    merge = Merge(parts)
    entries = np.concatenate([np.empty(0, ENTRY), *merge.blocks()])
    return Postings(merge.ids, *merge.directory(), entries)


def _offsets(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
