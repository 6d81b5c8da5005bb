"""Whether one system is better than another: intervals, tests and counts over the same queries.

Everything here looks at differences, one a query, of two systems measured on the same queries; it knows nothing of
rankings. Random numbers come from a fixed seed, so that the same figures give the same answer.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from beige.errors import InputError

Figures = NDArray[np.float64]

SAMPLES = 10_000
"""How many times an interval resamples and a test swaps."""

CONFIDENCE = 0.95

_EXACT = 13
"""Up to this many differences every way of swapping them is looked at: 2**13 is below `SAMPLES`."""

_BLOCK = 1 << 22
"""Numbers that one step of resampling holds in memory."""

_SAME = 1e-9
"""Figures closer than this are a tie: they differ by rounding alone."""


@dataclass(frozen=True, slots=True)
class Interval:
    """Where a figure lies with 95 % confidence."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two systems on one measure.

    Attributes:
        first: a system's name.
        second: the other's.
        measure: the measure's name.
        difference: mean of the first less mean of the second.
        interval: of the difference.
        p: of the paired randomisation test, two-sided.
        adjusted: p after Holm's correction over all pairs that were compared on this measure.
        wins: queries on which the first is better.
        ties: queries on which both are equal.
        losses: queries on which the second is better.
    """

    first: str
    second: str
    measure: str
    difference: float
    interval: Interval
    p: float
    adjusted: float
    wins: int
    ties: int
    losses: int

    @property
    def significant(self) -> bool:
        """Whether the corrected p is below 5 %."""
        return self.adjusted < 1 - CONFIDENCE


def bootstrap(rows: Figures, samples: int = SAMPLES, seed: int = 0) -> list[Interval]:
    """The percentile bootstrap interval of each row's mean; all rows see the same resamples.

    Efron 1979, https://doi.org/10.1214/aos/1176344552; for measures of retrieval, Sakai 2006,
    https://doi.org/10.1145/1148170.1148261.

    Args:
        rows: figures, one a query, (m, n).
        samples: how many resamples of n queries, drawn with replacement.
        seed: of the random numbers.

    Raises:
        InputError: no figures.
    """
    n = _length(rows)
    chance = np.random.default_rng(seed)
    means = np.concatenate([_drawn(chance, size, n) @ rows.T / n for size in _blocks(samples, n)])  # (samples, m)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(means, (tail, 1 - tail), axis=0)
    return [Interval(*bounds) for bounds in zip(low.tolist(), high.tolist(), strict=True)]


def shares(first: Figures, second: Figures) -> Figures:
    """Each pair's share of Pearson's correlation of two rows: figures whose mean is the correlation, (n,).

    The correlation plus the pair's influence on it, `r + x y - r (x**2 + y**2) / 2` of standard scores x and y, so that
    means of shares vary as the correlation does when pairs are drawn anew (Devlin, Gnanadesikan and Kettenring 1975,
    https://doi.org/10.1093/biomet/62.3.531). Of ranks, they are the shares of Spearman's.

    Args:
        first: neither constant nor infinite, (n,).
        second: likewise, (n,).
    """
    x, y = ((row - row.mean()) / row.std() for row in (first, second))
    correlation = (x * y).mean()
    return np.asarray(correlation + x * y - correlation * (x**2 + y**2) / 2)


def randomisation(rows: Figures, samples: int = SAMPLES, seed: int = 0) -> list[float]:
    """The p of Fisher's paired randomisation test of each row of differences, two-sided; all rows see the same swaps.

    Were both systems equal, each query's figures could be swapped: the share of swaps whose mean difference is at least
    as large as the one seen, all swaps where they are few, else a sample that counts the one seen.

    Smucker, Allan and Carterette 2007, https://doi.org/10.1145/1321440.1321528; the sample's plus one from Phipson and
    Smyth 2010, https://doi.org/10.2202/1544-6115.1585.

    Args:
        rows: differences, one a query, (m, n).
        samples: how many swaps are drawn where there are too many to look at all.
        seed: of the random numbers.

    Raises:
        InputError: no differences.
    """
    n = _length(rows)
    moved = np.where(np.abs(rows) > _SAME, rows, 0)  # swapping equal figures changes nothing
    least = np.abs(moved.sum(axis=1)) * (1 - _SAME)  # a swap that gives the same sum in another order of adding
    few = np.count_nonzero(moved, axis=1) <= _EXACT
    chance = np.random.default_rng(seed)
    extreme = np.zeros(len(rows), np.int64)
    for size in _blocks(samples, n) if not few.all() else ():
        signs = 2.0 * chance.integers(2, size=(size, n), dtype=np.int8) - 1
        extreme += np.count_nonzero(np.abs(signs @ moved.T) >= least, axis=0)
    sampled = (extreme + 1) / (samples + 1)
    return [
        _every_swap(row[row != 0], bound) if exact else float(p)
        for row, bound, exact, p in zip(moved, least, few, sampled, strict=True)
    ]


def _every_swap(moved: Figures, least: float) -> float:
    """The share of all ways to swap these few differences (m,) whose sum is as large."""
    if not len(moved):
        return 1.0
    signs = np.array(list(itertools.product((1.0, -1.0), repeat=len(moved))))  # (2**m, m)
    return float(np.mean(np.abs(signs @ moved) >= least))


def holm(values: Sequence[float]) -> list[float]:
    """Holm's step-down correction of several p, in their order.

    Holm 1979, https://www.jstor.org/stable/4615733.
    """
    adjusted = [0.0] * len(values)
    highest = 0.0
    for rank, place in enumerate(sorted(range(len(values)), key=values.__getitem__)):
        highest = max(highest, min(1.0, (len(values) - rank) * values[place]))
        adjusted[place] = highest
    return adjusted


def compare(measure: str, figures: Mapping[str, Mapping[str, float]]) -> list[Comparison]:
    """Every pair of systems on one measure, in the order of the systems.

    Args:
        measure: the measure's name.
        figures: by system and query; every system has the same queries.

    Raises:
        InputError: systems that were measured on different queries, or on none.
    """
    pairs = list(itertools.combinations(figures, 2))
    if not pairs:
        return []
    for first, second in pairs:
        if figures[first].keys() != figures[second].keys():
            raise InputError(f"{first} and {second} were measured on different queries and cannot be compared")
    rows = np.array(
        [[figure - figures[second][query] for query, figure in figures[first].items()] for first, second in pairs],
        np.float64,
    )  # (pairs, n)
    tests = randomisation(rows)
    return [
        Comparison(
            first,
            second,
            measure,
            float(differences.mean()),
            interval,
            p,
            adjusted,
            wins=int(np.count_nonzero(differences > _SAME)),
            ties=int(np.count_nonzero(np.abs(differences) <= _SAME)),
            losses=int(np.count_nonzero(differences < -_SAME)),
        )
        for (first, second), differences, interval, p, adjusted in zip(
            pairs, rows, bootstrap(rows), tests, holm(tests), strict=True
        )
    ]


def _length(rows: Figures) -> int:
    """How many queries the rows (m, n) have."""
    n = int(rows.shape[1])
    if not n:
        raise InputError("a comparison needs figures of at least one query")
    return n


def _drawn(chance: np.random.Generator, size: int, n: int) -> Figures:
    """How often each resample drew each of n queries, (size, n)."""
    places = chance.integers(n, size=(size, n)) + n * np.arange(size)[:, None]
    return np.bincount(places.ravel(), minlength=size * n).reshape(size, n).astype(np.float64)


def _blocks(samples: int, n: int) -> list[int]:
    """The samples in blocks that stay within `_BLOCK` numbers."""
    size = max(1, min(samples, _BLOCK // n))
    return [min(size, samples - start) for start in range(0, samples, size)]
