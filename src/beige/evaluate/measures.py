"""Measures of rankings and of scores, by ir_measures' names: one formula, one pure function, its source beside it.

A ranking of one query comes to a measure as the grades of its documents, best first (`None` where nobody judged the
document), beside all the grades that the query has. Grades above 0 are relevant. Every figure equals trec_eval's.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from beige.errors import InputError, UsageError
from beige.evaluate.data import Judgements

Run = Mapping[str, Mapping[str, float]]
"""Scores by query id and document id."""

Ranked = Sequence[int | None]
"""Grades of the documents found, best first; None where a document is not judged."""

Grades = Sequence[int]
"""All grades that a query has, in any order."""


def ndcg(ranked: Ranked, grades: Grades, k: int) -> float:
    """Normalised discounted cumulative gain: gain is the grade, discount is log2(rank + 1).

    Järvelin and Kekäläinen 2002, https://doi.org/10.1145/582415.582418, with trec_eval's linear gains (`ndcg_cut`).
    """
    ideal = _dcg(sorted(grades, reverse=True)[:k])
    return _dcg(ranked[:k]) / ideal if ideal else 0.0


def recall(ranked: Ranked, grades: Grades, k: int) -> float:
    """The share of the relevant documents among the first k (trec_eval's `recall`)."""
    relevant = _relevant(grades)
    return _relevant(ranked[:k]) / relevant if relevant else 0.0


def reciprocal_rank(ranked: Ranked, grades: Grades, k: int) -> float:
    """One over the rank of the first relevant document among the first k (trec_eval's `recip_rank`).

    Kantor and Voorhees 2000, https://doi.org/10.1023/A:1009902609570.
    """
    return next((1 / rank for rank, grade in enumerate(ranked[:k], 1) if _good(grade)), 0.0)


def average_precision(ranked: Ranked, grades: Grades, k: int) -> float:
    """The mean, over all relevant documents, of the precision at their ranks (trec_eval's `map` and `map_cut`).

    Harman 1992, https://trec.nist.gov/pubs/trec1/papers/01.txt.
    """
    relevant = _relevant(grades)
    found, total = 0, 0.0
    for rank, grade in enumerate(ranked[:k], 1):
        if _good(grade):
            found += 1
            total += found / rank
    return total / relevant if relevant else 0.0


def precision(ranked: Ranked, grades: Grades, k: int) -> float:
    """The share of relevant documents among the first k, divided by k however few were found (trec_eval's `P`)."""
    return _relevant(ranked[:k]) / k


def judged(ranked: Ranked, grades: Grades, k: int) -> float:
    """The share of the first k that somebody judged, divided by how many were found (ir_measures' `Judged`)."""
    top = ranked[:k]
    return sum(grade is not None for grade in top) / len(top) if top else 0.0


@dataclass(frozen=True, slots=True)
class _Kind:
    """A family of measures: its formula, and whether its name must carry a cutoff."""

    formula: Callable[[Ranked, Grades, int], float]
    cut: bool


KINDS: Mapping[str, _Kind] = {
    "nDCG": _Kind(ndcg, cut=False),
    "R": _Kind(recall, cut=True),
    "RR": _Kind(reciprocal_rank, cut=False),
    "AP": _Kind(average_precision, cut=False),
    "P": _Kind(precision, cut=True),
    "Judged": _Kind(judged, cut=True),
}
"""The measures of rankings by ir_measures' names."""


@dataclass(frozen=True, slots=True)
class Measure:
    """A measure of rankings; prints what one types: `nDCG@10`.

    Attributes:
        kind: a name of `KINDS`.
        cutoff: how many ranks it looks at; None for all.
    """

    kind: str
    cutoff: int | None = None

    @classmethod
    def parse(cls, name: str) -> "Measure":
        """The measure of this name.

        Raises:
            UsageError: no measure has this name, or its cutoff is missing or below 1.
        """
        match = re.fullmatch(r"([A-Za-z]+)(?:@([1-9][0-9]*))?", name.strip())
        if match is None or match[1] not in KINDS or (KINDS[match[1]].cut and match[2] is None):
            known = ", ".join(kind + ("@k" if KINDS[kind].cut else "[@k]") for kind in KINDS)
            raise UsageError(f"{name!r} is not a measure: use one of {known}, such as nDCG@10")
        return cls(match[1], int(match[2]) if match[2] else None)

    def __str__(self) -> str:
        return self.kind if self.cutoff is None else f"{self.kind}@{self.cutoff}"


def rank(scores: Mapping[str, float]) -> list[str]:
    """Document ids as trec_eval ranks them: by score, compared as float32, descending; ties by id, descending.

    Raises:
        InputError: a score is not a number.
    """
    for document, score in scores.items():
        if math.isnan(score):
            raise InputError(f"the score of document {document!r} is not a number")
    with np.errstate(over="ignore"):  # beyond float32 is infinite, which still ranks first
        return sorted(scores, key=lambda document: (np.float32(scores[document]), document), reverse=True)


def by_query(judgements: Judgements, run: Run, measures: Sequence[Measure]) -> dict[Measure, dict[str, float]]:
    """Each measure of each judged query; a query without an answer in the run scores 0.

    Raises:
        InputError: the run answers a query that has no judgements, or holds a score that is not a number.
    """
    strange = next((query for query in run if query not in judgements), None)
    if strange is not None:
        raise InputError(f"the run answers the query {strange!r}, which has no judgements")
    figures: dict[Measure, dict[str, float]] = {measure: {} for measure in measures}
    for query, grades in judgements.items():
        ranked = [grades.get(document) for document in rank(run.get(query, {}))]
        every = list(grades.values())
        for measure in measures:
            cutoff = measure.cutoff or max(len(ranked), len(every))
            figures[measure][query] = KINDS[measure.kind].formula(ranked, every, cutoff) if ranked else 0.0
    return figures


def mean(judgements: Judgements, run: Run, measures: Sequence[Measure]) -> dict[Measure, float]:
    """Each measure's mean over all judged queries."""
    return {
        measure: math.fsum(figures.values()) / len(figures) if figures else 0.0
        for measure, figures in by_query(judgements, run, measures).items()
    }


def pearson(first: ArrayLike, second: ArrayLike) -> float:
    """Pearson's correlation of two rows of numbers (n,), from -1 to 1.

    Raises:
        InputError: fewer than two numbers, unequal lengths, or a row that is constant or not finite.
    """
    x, y = (np.asarray(row, np.float64) for row in (first, second))
    if x.ndim != 1 or x.shape != y.shape or len(x) < 2:
        raise InputError(f"a correlation needs two rows of one length above 1, not shapes {x.shape} and {y.shape}")
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise InputError("a correlation needs finite numbers")
    if (x == x[0]).all() or (y == y[0]).all():
        raise InputError("the correlation with a constant row is undefined")
    x, y = _unit(x), _unit(y)
    return float(np.clip(x @ y, -1.0, 1.0))


def spearman(first: ArrayLike, second: ArrayLike) -> float:
    """Spearman's correlation: Pearson's of the ranks, ties at their mean rank.

    Raises:
        InputError: as for `pearson`.
    """
    rows = [np.asarray(row, np.float64) for row in (first, second)]
    if not all(np.isfinite(row).all() for row in rows):
        raise InputError("a correlation needs finite numbers")
    return pearson(*(ranks(row) for row in rows))


def ranks(row: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks from 1, (n,); equal numbers share the mean of their ranks."""
    _, places, counts = np.unique(row, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)  # the last rank of each distinct number
    middle: NDArray[np.float64] = last - (counts - 1) / 2
    return middle[places]


def _dcg(grades: Ranked) -> float:
    return sum(grade / math.log2(rank + 1) for rank, grade in enumerate(grades, 1) if grade is not None and grade > 0)


def _good(grade: int | None) -> bool:
    return grade is not None and grade > 0


def _relevant(grades: Ranked) -> int:
    return sum(map(_good, grades))


def _unit(row: NDArray[np.float64]) -> NDArray[np.float64]:
    """The row less its mean, of length 1; scaled first, so that neither tiny nor huge numbers vanish when squared."""
    centred: NDArray[np.float64] = row - row.mean()  # (n,)
    centred /= np.abs(centred).max()
    return centred / np.linalg.norm(centred)
