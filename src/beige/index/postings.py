"""Sparse legs: for each id, the chunks that have it and with what weight."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from beige.index.codec import SparseRows
from beige.index.store import Ids
from beige.index.view import Alive
from beige.values import Floats, Sparse

Rows = NDArray[np.int32]
"""Places among a part's chunks."""

ROW, WEIGHT = np.dtype("<i4"), np.dtype("<f2")

_BLOCK = 1 << 20
"""Entries that a merge holds in memory at a time."""

_PLAIN = 1 << 15
"""Entries that are rather added up than chosen among: that takes a millisecond."""

_SEEK = 16
"""What finding one row in a list costs, in entries of a list that is read as a whole."""

_SLACK = 1e-5
"""More than the rounding of float32 sums, and of scores as they are told, relative to a score."""


@dataclass(frozen=True, eq=False)
class Postings:
    """Sparse vectors by id.

    Attributes:
        ids: chunks, int64, (n,), ascending; a row is a place in it.
        terms: distinct ids of the sparse space, uint32, (t,), ascending.
        offsets: where each term's entries begin, int64, (t + 1,).
        highest: each term's highest weight, float32, (t,).
        rows: of the entries, (p,), by term and then row.
        weights: of the entries, float16 as in the database, (p,).
    """

    ids: Ids
    terms: NDArray[np.uint32]
    offsets: NDArray[np.int64]
    highest: Floats
    rows: Rows
    weights: NDArray[np.float16]

    @classmethod
    def of(cls, rows: SparseRows) -> "Postings":
        """The postings of some chunks' vectors."""
        order = np.argsort(rows.terms, kind="stable")
        terms, weights = rows.terms[order], rows.weights[order]
        firsts = np.flatnonzero(np.concatenate([terms[:1] == terms[:1], terms[1:] != terms[:-1]]))
        return cls(
            rows.ids,
            terms[firsts],
            np.append(firsts, len(terms)).astype(np.int64),
            np.maximum.reduceat(weights, firsts) if len(firsts) else np.empty(0, np.float32),
            np.repeat(np.arange(len(rows.ids), dtype=ROW), rows.lengths)[order],
            weights.astype(WEIGHT),
        )

    def spans(self, query: Sparse) -> list[slice]:
        """Where the entries of each of the query's ids stand."""
        return [slice(0, 0) if place is None else self._span(place) for place in self._places(query)]

    def frequencies(self, query: Sparse, alive: Alive) -> NDArray[np.int64]:
        """How many living chunks have each of the query's ids: (k,)."""
        dead = np.flatnonzero(~alive).astype(ROW)

        def count(span: slice) -> int:
            rows = self.rows[span]
            if _SEEK * len(dead) < len(rows):  # most of a long list lives: fewer are to be looked for than looked at
                return len(rows) - int(np.count_nonzero(_found(rows, dead)[1]))
            return int(np.count_nonzero(alive[rows]))

        return np.array([count(span) for span in self.spans(query)], np.int64)

    def scores(self, query: Sparse, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Each chunk's score: (n,), summed in the order of the ids, so that it is the same wherever the chunk stands.

        Args:
            query: its ids; its weights are not looked at.
            weights: of the query's ids, with what they are to be multiplied by.
        """
        total = np.zeros(len(self.ids))
        for span, weight in zip(self.spans(query), weights, strict=True):
            total[self.rows[span]] += self.weights[span].astype(np.float64) * weight
        return total

    def scores_of(self, query: Sparse, weights: NDArray[np.float64], rows: Rows) -> NDArray[np.float64]:
        """The same scores of some rows, which ascend, without reading the lists as a whole: (r,)."""
        total = np.zeros(len(rows))
        for span, weight in zip(self.spans(query), weights, strict=True):
            total += self._weights_of(span, rows).astype(np.float64) * weight
        return total

    def best(
        self, query: Sparse, weights: NDArray[np.float64], k: int, alive: Alive, floor: float = 0.0
    ) -> tuple[Rows, NDArray[np.float64]]:
        """The k best living rows, all that tie with the last of them, and some others, ascending, with their scores.

        What `scores` gives, found without reading most of the lists of common ids: Turtle and Flood, "Query
        Evaluation: Strategies and Optimizations" (1995), https://doi.org/10.1016/0306-4573(95)00020-H (MaxScore).

        Args:
            query: its ids.
            weights: of the query's ids, with what they are to be multiplied by, not negative.
            k: how many.
            alive: which rows may be found.
            floor: rows below this score need not be found.
        """
        spans = self.spans(query)
        entries, living = sum(span.stop - span.start for span in spans), int(np.count_nonzero(alive))
        if entries <= _PLAIN or k >= living:
            return self._all(query, weights, alive)
        if _SEEK * len(spans) * living < entries:
            rows = np.flatnonzero(alive).astype(ROW)
        else:
            rows = self._contenders(query, weights, k, alive, floor)
            if _SEEK * len(spans) * len(rows) > entries:
                return self._all(query, weights, alive)
        scores = self.scores_of(query, weights, rows)
        return rows[scores > 0], scores[scores > 0]

    def _all(self, query: Sparse, weights: NDArray[np.float64], alive: Alive) -> tuple[Rows, NDArray[np.float64]]:
        scores = self.scores(query, weights)
        rows = np.flatnonzero((scores > 0) & alive).astype(ROW)
        return rows, scores[rows]

    def _contenders(self, query: Sparse, weights: NDArray[np.float64], k: int, alive: Alive, threshold: float) -> Rows:
        """The rows that `best` scores: no other one can reach the k-th.

        The ids that can add most are read first. Once what the others could add is less than what the k-th best row
        has already, only the rows that have something can still be among the best; in the lists of the other ids,
        these are the only ones to be looked up.
        """
        spans, places = self.spans(query), self._places(query)
        most = np.array([0.0 if place is None else float(self.highest[place]) for place in places]) * weights
        order = np.argsort(-most)
        rest = np.append(np.cumsum(most[order][::-1])[::-1], 0.0)  # what the ids from here on can add together
        total = np.zeros(len(self.ids), np.float32)
        rows, read = np.empty(0, ROW), 0
        while True:
            bar = (threshold - rest[read]) * (1 - _SLACK) - threshold * _SLACK
            if read == len(order):
                rows = np.flatnonzero(total >= bar if bar > 0 else total > 0).astype(ROW)
                break
            span, weight = spans[order[read]], np.float32(weights[order[read]])
            listed = self.rows[span]
            if bar > 0 and _SEEK * len(listed) > len(total):  # else reading the list is quicker than this look at all
                reach = total >= bar
                if _SEEK * np.count_nonzero(reach) < len(listed):
                    rows = np.flatnonzero(reach).astype(ROW)
                    break
            sums = total[listed] + self.weights[span].astype(np.float32) * weight
            total[listed] = sums
            threshold = _raised(threshold, sums[alive[listed]], k)
            read += 1
        rows = rows[alive[rows]]
        sums = total[rows]
        while read < len(order):
            sums += self._weights_of(spans[order[read]], rows) * np.float32(weights[order[read]])
            read += 1
            threshold = _raised(threshold, sums, k)
            kept = sums >= threshold - rest[read] - threshold * _SLACK
            rows, sums = rows[kept], sums[kept]
        return rows

    def _places(self, query: Sparse) -> list[int | None]:
        if not len(self.terms):
            return [None] * len(query)
        places = np.minimum(np.searchsorted(self.terms, query.ids), len(self.terms) - 1)
        there = self.terms[places] == query.ids
        return [place if found else None for place, found in zip(places.tolist(), there.tolist(), strict=True)]

    def _span(self, place: int) -> slice:
        return slice(int(self.offsets[place]), int(self.offsets[place + 1]))

    def _weights_of(self, span: slice, rows: Rows) -> Floats:
        """One id's weight in each of these rows, 0 where it is not in it."""
        places, there = _found(self.rows[span], rows)
        weights = np.zeros(len(rows), np.float32)
        weights[there] = self.weights[span][places[there]]
        return weights


def _found(listed: Rows, rows: Rows) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Where each of these rows stands in an ascending list, and whether it does."""
    if not len(listed):
        return np.zeros(len(rows), np.int64), np.zeros(len(rows), bool)
    places = np.minimum(np.searchsorted(listed, rows), len(listed) - 1)
    return places, listed[places] == rows


def _raised(threshold: float, scores: Floats, k: int) -> float:
    """The k-th best of these scores, where that is above the threshold."""
    above = scores[scores > threshold]
    return float(np.partition(above, -k)[-k]) if len(above) >= k else threshold


def inverse_document_frequency(chunks: int, frequencies: NDArray[np.int64]) -> NDArray[np.float64]:
    """BM25's ln(1 + (N - df + 0.5) / (df + 0.5)), always above zero, as Lucene and Qdrant compute it."""
    return np.log1p((chunks - frequencies + 0.5) / (frequencies + 0.5))


class Merge:
    """Several postings as one, in blocks of bounded memory.

    Args:
        parts: with which of their chunks are alive; the ids ascend from part to part.

    Attributes:
        ids: the chunks that are alive, (n,), ascending.
        weights: of the entries whose rows are out, in blocks.
    """

    def __init__(self, parts: Sequence[tuple[Postings, Alive]]) -> None:
        self._parts = parts
        self.ids = np.concatenate([part.ids[alive] for part, alive in parts])
        self.weights: list[NDArray[np.float16]] = []
        self._terms = np.unique(np.concatenate([part.terms for part, _ in parts]))
        self._counts = np.zeros(len(self._terms), np.int64)
        self._highest = np.zeros(len(self._terms), np.float32)

    def rows(self) -> Iterator[Rows]:
        """The entries' rows, by term and then row."""
        renumbered = self._renumbered()
        for low, high in self._spans():
            rows, weights, owners = [], [], []
            for (part, alive), row in zip(self._parts, renumbered, strict=True):
                first = np.searchsorted(part.terms, self._terms[low])
                last = np.searchsorted(part.terms, self._terms[high - 1], "right")
                span = slice(part.offsets[first], part.offsets[last])
                lengths = np.diff(part.offsets[first : last + 1])
                owner = np.repeat(np.searchsorted(self._terms, part.terms[first:last]) - low, lengths)
                living = alive[part.rows[span]]
                rows.append(row[part.rows[span][living]])
                weights.append(part.weights[span][living])
                owners.append(owner[living])
            owner = np.concatenate(owners)
            order = np.argsort(owner, kind="stable")
            weight = np.concatenate(weights)[order]
            counts = np.bincount(owner, minlength=high - low)
            self._counts[low:high] = counts
            if len(weight):
                used = np.flatnonzero(counts)
                firsts = (np.cumsum(counts) - counts)[used]
                self._highest[low + used] = np.maximum.reduceat(weight.astype(np.float32), firsts)
            self.weights.append(weight)
            yield np.concatenate(rows)[order]

    def directory(self) -> tuple[NDArray[np.uint32], NDArray[np.int64], Floats]:
        """Terms, offsets and highest weights, once the rows are out; a term that only dead chunks had is gone."""
        used = self._counts > 0
        return self._terms[used], _offsets(self._counts[used]), self._highest[used]

    def _renumbered(self) -> list[Rows]:
        """For each part, the new row of each of its living rows."""
        starts = np.cumsum([0, *(np.count_nonzero(alive) for _, alive in self._parts)])
        return [
            (np.cumsum(alive) - 1 + start).astype(ROW) for (_, alive), start in zip(self._parts, starts, strict=False)
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
    rows = np.concatenate([np.empty(0, ROW), *merge.rows()])
    weights = np.concatenate([np.empty(0, WEIGHT), *merge.weights])
    return Postings(merge.ids, *merge.directory(), rows, weights)


def _offsets(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
